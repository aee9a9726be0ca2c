"""What becomes of a module's buffers, such as running statistics, when a step is computed in virtual shards.

Every shard begins with the buffers as they were before the step. Afterwards those of floating point have moved by the
mean of the shards' changes, weighted by their samples and formed along the tree; the others, such as counts of
batches, are the first shard's.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType

import numpy as np

import allgrad
from allgrad import Tensor, nn

from .rows import Array


class ShardBuffers:
    """The buffers of *module*: *averaged* are those of floating point, *counts* the others."""

    def __init__(self, module: nn.Module) -> None:
        self.slots = [
            (part, name, tensor)
            for part in module.modules()
            for name, tensor in part._buffers.items()
            if tensor is not None
        ]
        found = list({id(tensor): tensor for _, _, tensor in self.slots}.values())
        self.averaged = [tensor for tensor in found if _is_averaged(tensor)]
        self.counts = [tensor for tensor in found if not _is_averaged(tensor)]

    def move(self, changes: Sequence[Array], counts: Sequence[Array]) -> None:
        """Move the module's buffers by the sum of all *changes*, and to the first shard's *counts*."""
        with allgrad.no_grad():
            for tensor, change in zip(self.averaged, changes, strict=True):
                tensor.add_(allgrad.from_numpy(change))
            for tensor, found in zip(self.counts, counts, strict=True):
                tensor.copy_(allgrad.from_numpy(found))


class BufferCopies:
    """One shard's copies of *buffers*, which the module has, and may change, while this is entered."""

    def __init__(self, buffers: ShardBuffers) -> None:
        self._buffers = buffers
        self._copies: dict[int, Tensor] = {}
        for _, _, tensor in buffers.slots:
            if id(tensor) not in self._copies:
                self._copies[id(tensor)] = tensor.detach().clone()

    def __enter__(self) -> None:
        for part, name, tensor in self._buffers.slots:
            part._buffers[name] = self._copies[id(tensor)]

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for part, name, tensor in self._buffers.slots:
            # A module may have put another tensor in its place instead of changing this one.
            now = part._buffers[name]
            if now is not None:
                self._copies[id(tensor)] = now
            part._buffers[name] = tensor

    def write_changes(self, places: Sequence[Array], weight: float) -> None:
        """Write *weight* times the change of each averaged buffer into its place."""
        for tensor, place in zip(self._buffers.averaged, places, strict=True):
            before, after = tensor.detach().numpy(), self._copies[id(tensor)].detach().numpy()
            with np.errstate(invalid="ignore"):
                # What has not changed must add exactly nothing, also where it is infinite.
                change = np.where(after == before, 0, after - before)
            np.multiply(change, weight, out=place, casting="same_kind")

    def counts(self) -> list[Array]:
        """Return what the shard has made of the buffers that are not averaged."""
        return [self._copies[id(tensor)].detach().numpy() for tensor in self._buffers.counts]


def _is_averaged(tensor: Tensor) -> bool:
    return tensor.is_floating_point() or tensor.is_complex()
