"""Gradients of which every rank keeps its share alone (ZeRO-2): summed where they are owned, and dropped elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from allgrad import Tensor

from ..communication.buffers import HALF_TYPES, as_bytes
from ..communication.under_way import UnderWay
from ..training.buckets import Slot
from ..training.reducer import Reducer
from ..world import World
from .pages import Pages
from .shares import Array, Row, even_cuts, fix

if TYPE_CHECKING:
    from mpi4py import MPI


class ScatteredGradient(Tensor):
    """What stands in ``.grad`` of a parameter whose gradient is divided: *share* is what this rank has of it.

    Every other use raises RuntimeError: there is no whole gradient to read.
    """

    __slots__ = ("share",)
    share: Array

    def __init__(self, share: Array) -> None:
        self.share = share
        self._node = self._grad = self._counter = self._view = None

    @property
    def _array(self) -> Any:  # type: ignore[override]
        raise RuntimeError(
            "this gradient is divided among the ranks (shard_gradients=True), and there is no whole one to use: step "
            "with a dist.ShardedOptimizer, clip with its clip_grad_norm_, and reset with zero_grad()"
        )

    def __repr__(self) -> str:
        return f"ScatteredGradient({self.share.size} elements on this rank)"


class ScatteredBucket:
    """A bucket whose memory is there while gradients gather in it; after `finish` only *share*, this rank's mean, is.

    Every rank sends each owner its interval, and adds up its own in the order of ranks: the sum does not depend on MPI.
    """

    def __init__(self, slots: Sequence[Slot], comm: MPI.Intracomm) -> None:
        ends = np.cumsum([0, *(slot.size for slot in slots)])
        self._pages = Pages(int(ends[-1]), slots[0].dtype)
        self.views = [
            self._pages.array[start : start + slot.size].reshape(slot.shape)
            for slot, start in zip(slots, ends[:-1], strict=True)
        ]
        self.flags: Array = np.zeros(len(slots), np.float32)
        self.used: Array = np.zeros(len(slots), np.float32)
        self._comm = comm
        self._cuts = even_cuts(int(ends[-1]), comm.size)
        mine = self._cuts[comm.rank + 1] - self._cuts[comm.rank]
        self.share: Array = np.zeros(mine, slots[0].dtype)
        self._incoming: Array = np.empty((0, mine), slots[0].dtype)
        self._under_way: UnderWay | None = None

    def start(self) -> None:
        """Start to send every owner its interval."""
        width, cuts = self.share.itemsize, np.array(self._cuts)
        self._incoming = np.empty((self._comm.size, self.share.size), self.share.dtype)
        sizes, received = np.diff(cuts) * width, np.full(self._comm.size, self.share.nbytes)
        requests = [
            self._comm.Ialltoallv((as_bytes(self._pages.array), sizes), (as_bytes(self._incoming), received)),
            self._comm.Iallreduce(self.flags, self.used),
        ]
        self._under_way = UnderWay(self._comm, requests)

    def is_summed(self) -> bool:
        """Let MPI go on with it, and return whether all has arrived."""
        assert self._under_way is not None
        return self._under_way.is_over()

    def finish(self) -> None:
        """Wait for all intervals, drop this rank's gradients, and leave the mean of what it owns in *incoming*."""
        assert self._under_way is not None
        self._under_way.wait()
        self._under_way = None
        self._pages.drop()
        self.used /= self._comm.size
        wide = np.float32 if self.share.dtype.name in HALF_TYPES else self.share.dtype
        mean = self._incoming[0].astype(wide)
        for other in self._incoming[1:]:
            mean += other
        mean *= mean.dtype.type(1 / self._comm.size)
        self._incoming = mean.astype(self.share.dtype, copy=False)

    def take_over(self, begin: int, end: int, *, add: bool) -> None:
        """Write the mean of elements *begin* to *end* of the share into it, or *add* it to what is there."""
        if add:
            self.share[begin:end] += self._incoming[begin:end]
        else:
            self.share[begin:end] = self._incoming[begin:end]

    def forget(self) -> None:
        """Let go of the mean, which has been taken over."""
        self._incoming = np.empty((0, self.share.size), self.share.dtype)


@dataclass(frozen=True)
class _Scattering:
    """Reduces *buckets*, each as it does it."""

    buckets: Sequence[ScatteredBucket]

    def start(self, k: int) -> None:
        self.buckets[k].start()

    def is_done(self, k: int) -> bool:
        return self.buckets[k].is_summed()

    def finish(self, k: int) -> None:
        self.buckets[k].finish()


def _scattered(comm: MPI.Intracomm, members: Sequence[Sequence[Slot]]) -> tuple[Sequence[ScatteredBucket], _Scattering]:
    # Of its own: when a bucket starts depends on the moment, so that on one communicator it could be taken for
    # something that the script does.
    own = comm.Dup()
    buckets = [ScatteredBucket(each, own) for each in members]
    return buckets, _Scattering(buckets)


class ScatteringReducer(Reducer):
    """A `Reducer` that leaves a `ScatteredGradient` in every ``.grad``, and no other gradient on this rank.

    *rows*, one for each bucket and made by *make_row*, say which elements each rank owns.
    """

    _buckets: list[ScatteredBucket]  # type: ignore[assignment]

    def __init__(
        self,
        name: str,
        parameters: Sequence[tuple[str, Tensor]],
        world: World,
        *,
        first_bytes: int,
        bytes_: int,
        make_row: Callable[[Sequence[Tensor], World], Any] = Row,
    ) -> None:
        self._gathering: set[int] = set()  # gradients to which the next one is added
        super().__init__(name, parameters, world, first_bytes=first_bytes, bytes_=bytes_, lay_out=_scattered)
        self.rows = [make_row([self._parameters[i] for i in bucket], world) for bucket in self._dealt]
        for row in self.rows:
            fix(row)
        self._hooks += [
            parameter.register_hook(self._making_room_for(i)) for i, parameter in enumerate(self._parameters)
        ]

    def _making_room_for(self, i: int) -> Callable[[Tensor], None]:
        def about_to_arrive(gradient: Tensor) -> None:
            self._make_room(i)

        return about_to_arrive

    def _make_room(self, i: int) -> None:
        """Before a new gradient of parameter *i*: remember whether there is one already, which it adds to."""
        parameter = self._parameters[i]
        if isinstance(parameter._grad, ScatteredGradient):
            self._gathering.add(i)
            parameter._grad = None
        elif parameter._grad is None:
            self._gathering.discard(i)

    def _contribute_nothing_new(self, i: int) -> None:
        self._make_room(i)
        super()._contribute_nothing_new(i)

    def _show_means(self) -> None:
        for k, (row, bucket) in enumerate(zip(self.rows, self._buckets, strict=True)):
            for at, i in enumerate(self._dealt[k]):
                if bucket.used[at] != 0 or i in self._gathering:
                    self._show(row, bucket, at, i)
                else:
                    self._parameters[i]._grad = None
            bucket.forget()
        self._gathering.clear()

    def _show(self, row: Row, bucket: ScatteredBucket, at: int, i: int) -> None:
        owned = row.owned_of(at)
        begin = row.ends[at] + owned.start - row.owned().start if owned.start < owned.stop else 0
        end = begin + owned.stop - owned.start
        bucket.take_over(begin, end, add=i in self._gathering)
        self._parameters[i]._grad = ScatteredGradient(bucket.share[begin:end])
