"""Where gradients lie: parameters dealt into flat buckets, and where each lies in its bucket's row of memory."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

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
    def views(self) -> Sequence[Array]:
        """The places of the gradients."""

    @property
    def flags(self) -> Array:
        """One for each parameter: not 0 where this rank has a gradient."""

    @property
    def used(self) -> Array:
        """The means of all ranks' flags, once reduced."""


class Bucket:
    """The gradients of some parameters in one row: *brought* by this rank, and their *mean*, the same memory or another.

    Behind the gradients lies one flag for each parameter, 1 on a rank that has a gradient for it. So the same mean
    tells which parameters were used on any rank: *used* is then not 0.
    """

    def __init__(self, slots: Sequence[Slot], brought: Array, mean: Array) -> None:
        shapes = [slot.shape for slot in slots]
        self.views, self.flags = cut(brought, shapes)
        self.brought, self.mean = brought[: brought.size - len(slots)], mean[: mean.size - len(slots)]
        self.means, self.used = (self.views, self.flags) if mean is brought else cut(mean, shapes)


def row_size(slots: Sequence[Slot]) -> int:
    """Return how many elements the row of a bucket of *slots* has."""
    return sum(slot.size for slot in slots) + len(slots)


def cut(row: Array, shapes: Sequence[tuple[int, ...]]) -> tuple[list[Array], Array]:
    """Return the arrays of *shapes* that lie one behind the other in *row*, and what is left behind them: the flags."""
    ends = list(accumulate(map(math.prod, shapes), initial=0))
    views = [row[start:end].reshape(shape) for start, end, shape in zip(ends[:-1], ends[1:], shapes, strict=True)]
    return views, row[ends[-1] :]
