"""Gradients reduced by a function of the script's: PyTorch's communication hooks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

import allgrad
from allgrad import Tensor

from ..communication.agreement import agree
from ..communication.future import Future
from ..world import Group, mpi
from .buckets import Bucket

if TYPE_CHECKING:
    from .reducer import Reducer

Hook = Callable[[Any, "GradBucket"], Any]


class GradBucket:
    """The gradients of one bucket on this rank, as a hook gets them; as torch.distributed.GradBucket."""

    def __init__(self, index: int, count: int, bucket: Bucket, parameters: Sequence[Tensor]) -> None:
        self._index, self._count = index, count
        self._bucket, self._parameters = bucket, parameters
        self._buffer = allgrad.from_numpy(bucket.brought)

    def index(self) -> int:
        """Return the number of the bucket, from 0 for the one that was ready first."""
        return self._index

    def is_last(self) -> bool:
        """Whether it is the last one of this step."""
        return self._index == self._count - 1

    def buffer(self) -> Tensor:
        """Return all gradients in one dimension, those of this rank, not divided by anything."""
        return self._buffer

    def set_buffer(self, buffer: Tensor) -> None:
        """Let `buffer` return *buffer* from now on."""
        self._buffer = buffer

    def gradients(self) -> list[Tensor]:
        """Return the gradients, in the shapes of `parameters`."""
        return [allgrad.from_numpy(view) for view in self._bucket.views]

    def parameters(self) -> list[Tensor]:
        """Return the parameters."""
        return list(self._parameters)


class HookedReduction:
    """Leaves the reduction of *reducer*'s buckets to *hook*, which is called for each with *state*.

    At the end of the backward pass, in order of the buckets: what a hook communicates then pairs on all ranks, whatever
    else the backward pass communicates. All are called before the first result is waited for.
    """

    def __init__(self, reducer: Reducer, world: Group, state: Any, hook: Hook) -> None:
        self._reducer, self._world, self._state, self._hook = reducer, world, state, hook
        self._results: list[Any] = []

    def start(self, k: int) -> None:
        """Nothing: see above."""

    def is_done(self, k: int) -> bool:
        """Return False: see above."""
        return False

    def finish(self, k: int) -> None:
        """Wait for the result of bucket *k*, and show it."""
        buckets = self._reducer.layout.buckets
        if k == 0:
            self._share_flags(buckets)
            self._results = [
                self._hook(self._state, GradBucket(number, len(buckets), bucket, self._reducer.parameters_of(number)))
                for number, bucket in enumerate(buckets)
            ]
        buckets[k].mean[...] = self._checked(k, self._results[k], buckets[k])

    def _share_flags(self, buckets: Sequence[Bucket]) -> None:
        assert self._world.comm is not None
        flags = np.concatenate([bucket.flags.real.astype(np.float64) for bucket in buckets])
        agree(self._world, f"which of {flags.size} gradients there are, before a communication hook")
        self._world.comm.Allreduce(mpi().IN_PLACE, flags)
        ends = np.cumsum([bucket.flags.size for bucket in buckets])[:-1]
        for bucket, found in zip(buckets, np.split(flags / self._world.size, ends), strict=True):
            bucket.used[...] = found

    def _checked(self, k: int, result: Any, bucket: Bucket) -> Any:
        value = result.wait() if isinstance(result, Future) else result
        name = getattr(self._hook, "__qualname__", type(self._hook).__name__)
        if not isinstance(value, Tensor):
            raise TypeError(
                f"the communication hook {name} returned {type(value).__name__} for bucket {k}: expected what gradients become, a "
                "Tensor like bucket.buffer(), or a Future of them, such as work.get_future().then(lambda f: f.value()[0])"
            )
        array = value.detach().numpy()
        if array.shape != bucket.mean.shape or array.dtype != bucket.mean.dtype:
            raise ValueError(
                f"the communication hook {name} returned {array.dtype} of shape {array.shape} for bucket {k}: expected "
                f"{bucket.mean.dtype} of shape {bucket.mean.shape}, as bucket.buffer() has"
            )
        return array
