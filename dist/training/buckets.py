"""Where gradients lie: parameters dealt into flat buckets, and the memory of one bucket."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..world import mpi

if TYPE_CHECKING:
    from mpi4py import MPI

Array = NDArray[Any]

MIB = 1 << 20


@dataclass(frozen=True)
class Slot:
    """One parameter, as far as its gradient's place is concerned."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def size(self) -> int:
        """How many elements it has."""
        return math.prod(self.shape)

    def __str__(self) -> str:
        return f"{self.name} {self.dtype} {self.shape}"


def deal(slots: Sequence[Slot], first_bytes: int = MIB, bytes_: int = 25 * MIB) -> list[list[int]]:
    """Deal *slots*, in the order in which their gradients are expected, into buckets of about *bytes_* bytes.

    A bucket holds one dtype and is closed by the slot with which it reaches its size; the first one of each dtype
    is closed at *first_bytes*, so that the reduction starts early. The result lists the numbers of the slots;
    buckets stand in the order of their first slot.

    >>> slots = [Slot(name, (4,), np.dtype("float32")) for name in "abcd"]
    >>> deal(slots, first_bytes=16, bytes_=32)
    [[0], [1, 2], [3]]
    """
    buckets: list[list[int]] = []
    open_: dict[np.dtype[Any], tuple[list[int], int]] = {}
    begun: set[np.dtype[Any]] = set()
    for number, slot in enumerate(slots):
        if slot.dtype not in open_:
            open_[slot.dtype] = [], 0
            buckets.append(open_[slot.dtype][0])
        bucket, filled = open_[slot.dtype]
        bucket.append(number)
        filled += slot.size * slot.dtype.itemsize
        open_[slot.dtype] = bucket, filled
        if filled >= (bytes_ if slot.dtype in begun else first_bytes):
            del open_[slot.dtype]
            begun.add(slot.dtype)
    return buckets


def bucket_name(number: int, slots: Sequence[Slot], members: Sequence[int]) -> str:
    """Return what people call bucket *number*, of which *members* says which *slots* lie in it.

    >>> bucket_name(0, [Slot("fc.weight", (4,), np.dtype("float32"))], [0])
    'bucket 0 (fc.weight)'
    """
    names = [slots[i].name for i in members]
    shown = ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
    return f"bucket {number} ({shown})"


class Reducible(Protocol):
    """The gradients of some parameters in one row of memory, as `Reducer` reduces them, in whichever way."""

    @property
    def flags(self) -> Array:
        """One for each parameter: not 0 on a rank that has a gradient, and once reduced where any rank has one."""

    @property
    def views(self) -> Sequence[Array]:
        """The places of the gradients."""

    def start(self) -> None:
        """Start to reduce; until `finish` the memory is not to be touched."""

    def is_summed(self) -> bool:
        """Let MPI go on with it, and return whether all has arrived."""

    def finish(self) -> None:
        """Wait for it, and leave the means and the flags of all ranks."""


class Bucket:
    """The gradients of some parameters in one row of memory, and the reduction of it that is under way.

    Behind the gradients lies one flag for each parameter, 1 on a rank that has a gradient for it. So the same sum
    that reduces the gradients tells which parameters were used on any rank.
    """

    def __init__(self, slots: Sequence[Slot], comm: MPI.Intracomm) -> None:
        ends = np.cumsum([0, *(slot.size for slot in slots)])
        self._memory = np.zeros(ends[-1] + len(slots), slots[0].dtype)
        self.flags = self._memory[ends[-1] :]
        self.views = [
            self._memory[start : start + slot.size].reshape(slot.shape)
            for slot, start in zip(slots, ends[:-1], strict=True)
        ]
        self._comm = comm
        self._sent = self._memory
        self._request: MPI.Request | None = None

    def start(self) -> None:
        """Start to add up this bucket over all ranks; until `finish` its memory belongs to MPI."""
        # MPI knows no float16.
        self._sent = self._memory.astype(np.float32) if self._memory.dtype == np.float16 else self._memory
        # In one piece: pieces of 1 or 4 MB, which help a blocking call, take longer here under both MPIs.
        self._request = self._comm.Iallreduce(mpi().IN_PLACE, self._sent)

    def is_summed(self) -> bool:
        """Let MPI go on with it, and return whether it has arrived."""
        return self._request is not None and self._request.Test()

    def finish(self) -> None:
        """Wait for the sum and turn the gradients in it into means."""
        assert self._request is not None
        self._request.Wait()
        self._request = None
        flags = self._sent.size - self.flags.size
        np.multiply(self._sent[:flags], 1 / self._comm.size, out=self._memory[:flags], casting="same_kind")
        self.flags[...] = self._sent[flags:]
