"""Memory that the ranks of one host share: what each brings, the sum, and counters that say how far each is.

Every rank also has the sum as memory of its own, which costs nothing until it writes there: the kernel then copies the
page (MAP_PRIVATE), so what one rank does to its ``.grad`` no other sees.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Sequence
from enum import IntEnum
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..communication.shared_memory import LINE, fence, map_together, whole_pages
from .own_pages import OwnPages

if TYPE_CHECKING:
    from mpi4py import MPI

Array = NDArray[Any]


class Counter(IntEnum):
    """What each rank counts for the others to see; counters only grow."""

    BROUGHT = 0
    """Rows that it has filled."""
    ADDED = 1
    """Rows of which its part of the sum is there."""
    LANDED = 2
    """Rows whose sum over all hosts is there, which the first rank counts."""
    NOT_FINITE = 3
    """Rows up to the last one in whose sum it has found NaN or infinity."""


class Window:
    """For each row of *sizes* elements of *dtypes*: what every rank of *host* brings, their sum, and this rank's view of it.

    All ranks of *host* make it together. Raises OSError on each of them where they cannot share memory.
    """

    def __init__(self, host: MPI.Intracomm, sizes: Sequence[int], dtypes: Sequence[np.dtype[Any]]) -> None:
        self._rank, self._size = host.rank, host.size
        lengths = [whole_pages(size * dtype.itemsize) for size, dtype in zip(sizes, dtypes, strict=True)]
        self._starts = [sum(lengths[:k]) for k in range(len(lengths))]
        self._lengths = lengths
        self._map(host, sum(lengths))
        every = list(zip(self._starts, sizes, dtypes, strict=True))
        self.sums = [_row(self._shared, self._at_sums + start, size, dtype) for start, size, dtype in every]
        self.own_sums = [_row(self._private, start, size, dtype) for start, size, dtype in every]
        self.brought = [
            [_row(self._shared, self._at_rank(rank) + start, size, dtype) for rank in range(host.size)]
            for start, size, dtype in every
        ]
        self._own_pages = OwnPages(np.frombuffer(self._private, np.uint8).ctypes.data)
        self._counters = memoryview(self._shared)[LINE : self._at_sums].cast("q")
        self._fence = fence()

    def count(self, counter: Counter, value: int) -> None:
        """Let all ranks see that this one's *counter* is *value*, and whatever it has written before."""
        self._fence()
        self._counters[self._cell(counter, self._rank)] = value

    def least(self, counter: Counter) -> int:
        """Return the least *counter* of all ranks; what they wrote before they counted so far can be read."""
        found = min(self._all(counter))
        self._fence()
        return found

    def greatest(self, counter: Counter) -> int:
        """Return the greatest *counter* of all ranks."""
        return max(self._all(counter))

    def first(self, counter: Counter) -> int:
        """Return the *counter* of the first rank, as `least` does."""
        found = self._counters[self._cell(counter, 0)]
        self._fence()
        return found

    def show_sum(self, k: int) -> None:
        """Let this rank's view of the sum of row *k* show that sum, and forget what this rank had written there."""
        start, length = self._starts[k], self._lengths[k]
        if length and (start, length) in self._own_pages:
            self._private.madvise(mmap.MADV_DONTNEED, start, length)

    def _all(self, counter: Counter) -> memoryview:
        first = self._cell(counter, 0)
        return self._counters[first : first + self._size * LINE // 8 : LINE // 8]

    def _cell(self, counter: Counter, rank: int) -> int:
        return (counter * self._size + rank) * LINE // 8

    def _at_rank(self, rank: int) -> int:
        return self._at_sums + (1 + rank) * self._region

    def _map(self, host: MPI.Intracomm, region: int) -> None:
        self._at_sums = whole_pages(LINE * (1 + len(Counter) * host.size))
        self._region = max(region, mmap.PAGESIZE)
        map_together(host, self._at_rank(host.size), "allgrad-gradients", self._reserve)

    def _reserve(self, file: int) -> None:
        """Take this rank's part of *file*, near its processor, and now: a lack of memory would later end the process."""
        os.posix_fallocate(file, self._at_rank(self._rank), self._region)
        if self._rank == 0:
            os.posix_fallocate(file, 0, self._at_sums + self._region)
        self._shared = mmap.mmap(file, self._at_rank(self._size), flags=mmap.MAP_SHARED)
        self._private = mmap.mmap(file, self._region, flags=mmap.MAP_PRIVATE, offset=self._at_sums)


def _row(memory: mmap.mmap, start: int, size: int, dtype: np.dtype[Any]) -> Array:
    return np.frombuffer(memory, dtype, size, start) if size else np.zeros(0, dtype)
