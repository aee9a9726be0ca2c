"""Training one model on every rank, each on its own share of the batch, with the mean of all gradients."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import allgrad
from allgrad import nn

from .agreement import agree
from .buckets import MIB
from .collectives import send_from
from .reducer import Reducer
from .world import current

if TYPE_CHECKING:
    from allgrad import Tensor


class DataParallel(nn.Module):
    """Wraps *module* so that ``backward`` leaves the mean of all ranks' gradients in every ``.grad``.

    Every rank builds the same model and wraps it, after `init`; rank 0's parameters and buffers are then
    everyone's. Give the optimizer this wrapper's or the module's parameters, and every rank the loss of its own
    samples. As torch.nn.parallel.DistributedDataParallel, which is also its name here; the module stays reachable
    as ``.module``, and the names in ``state_dict()`` begin with ``module.``.

    Gradients are views of buckets, which are reduced while the backward pass goes on. A parameter that a rank did
    not use counts as zero there, without `find_unused_parameters`; one that no rank used keeps its ``.grad``
    (None). In a world of one rank this only calls the module.

    Args:
        module: a model with at least one parameter that requires grad.
        broadcast_buffers: before each forward pass that follows one with gradients, take over rank 0's buffers, such
            as the running means of batch norm (default True).
        bucket_cap_mb: the size of a bucket in MiB (default 25).
        first_bucket_mb: the size of the first bucket, which is reduced earliest, in MiB (default 1).
        device_ids, output_device, find_unused_parameters, gradient_as_bucket_view, static_graph: taken for PyTorch's
            sake; there are no devices, and the rest is always so.

    Raises RuntimeError on every rank, naming the first parameter that differs, where the ranks' models differ, and
    ValueError for a bucket size that is not positive.

    >>> import allgrad as torch
    >>> from allgrad import dist
    >>> model = dist.DataParallel(torch.nn.Linear(2, 1))
    >>> model(torch.ones(3, 2)).sum().backward()
    >>> model.module.bias.grad
    tensor([3.])
    """

    def __init__(
        self,
        module: nn.Module,
        device_ids: object = None,
        output_device: object = None,
        *,
        broadcast_buffers: bool = True,
        bucket_cap_mb: float = 25,
        first_bucket_mb: float = 1,
        find_unused_parameters: bool = False,
        gradient_as_bucket_view: bool = False,
        static_graph: bool = False,
    ) -> None:
        super().__init__()
        for name, value in (("bucket_cap_mb", bucket_cap_mb), ("first_bucket_mb", first_bucket_mb)):
            if value <= 0:
                raise ValueError(f"DataParallel({name}={value}): a bucket has a size above 0 MiB, such as 25")
        parameters = [(name, p) for name, p in module.named_parameters() if p.requires_grad]
        if not parameters:
            raise RuntimeError(
                f"DataParallel({type(module).__name__}): no parameter requires grad, so there is nothing to average: "
                "call the module itself"
            )
        self.module = module
        self.broadcast_buffers = broadcast_buffers
        self._world = current()
        self._buffers_moved = False
        self._reducer: Reducer | None = None
        if self._world.comm is not None:
            self._reducer = Reducer(
                type(module).__name__,
                parameters,
                self._world,
                first_bytes=int(first_bucket_mb * MIB),
                bytes_=int(bucket_cap_mb * MIB),
            )
            self._take_from_rank_0([*module.named_parameters(), *module.named_buffers()])

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Call the module."""
        if self._reducer is not None:
            if self._buffers_moved and self.broadcast_buffers:
                self._take_from_rank_0(list(self.module.named_buffers()))
            self._buffers_moved = allgrad.is_grad_enabled() and self._reducer.enabled
            if self._buffers_moved:
                self._reducer.prepare()
        return self.module(*args, **kwargs)

    @contextmanager
    def no_sync(self) -> Iterator[None]:
        """Within this context gradients gather on each rank; the first ``backward`` after it reduces them all.

        For batches too large for memory: all parts but the last within ``no_sync()``. Forward passes belong into
        the context too.
        """
        if self._reducer is None:
            yield
            return
        before, self._reducer.enabled = self._reducer.enabled, False
        try:
            yield
        finally:
            self._reducer.enabled = before

    def _take_from_rank_0(self, tensors: list[tuple[str, Tensor]]) -> None:
        shapes = ", ".join(f"{name} {tensor.dtype} {tuple(tensor.shape)}" for name, tensor in tensors)
        agree(self._world, f"rank 0's values of {shapes}")
        assert self._world.comm is not None
        for _, tensor in tensors:
            send_from(self._world.comm, tensor.detach().numpy(), 0)


DistributedDataParallel = DataParallel
