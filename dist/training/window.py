"""Memory that the ranks of one host share: what each brings, the sum, and counters that say how far each is.

It is a file without a name (memfd), whose first owner hands it to the others: there is nothing to clean up, however
the ranks end, and no limit on /dev/shm counts. Every rank also has the sum as memory of its own, which costs nothing
until it writes there: the kernel then copies the page (MAP_PRIVATE), so what one rank does to its ``.grad`` no other sees.
"""

from __future__ import annotations

import mmap
import os
import platform
from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..world import mpi

if TYPE_CHECKING:
    from mpi4py import MPI

Array = NDArray[Any]

_LINE = 64
"""Bytes of a cache line: counters that two ranks write must not share one."""
_TOKEN_BYTES = 16
_PAGEMAP = "/proc/self/pagemap"
# Bits of an entry of pagemap: the page is in memory, on disk, or still the file's.
_PRESENT, _SWAPPED, _OF_FILE = 1 << 63, 1 << 62, 1 << 61
# Processors on which stores become visible in the order in which they were made.
_ORDERED = frozenset({"x86_64", "AMD64"})


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
        lengths = [_whole_pages(size * dtype.itemsize) for size, dtype in zip(sizes, dtypes, strict=True)]
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
        self._own_address = np.frombuffer(self._private, np.uint8).ctypes.data
        self._counters = memoryview(self._shared)[_LINE : self._at_sums].cast("q")
        self._fence = _fence()
        self._pagemap = _open_pagemap()

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
        if length and self._has_own_pages(self._own_address + start, length):
            self._private.madvise(mmap.MADV_DONTNEED, start, length)

    def _all(self, counter: Counter) -> memoryview:
        first = self._cell(counter, 0)
        return self._counters[first : first + self._size * _LINE // 8 : _LINE // 8]

    def _cell(self, counter: Counter, rank: int) -> int:
        return (counter * self._size + rank) * _LINE // 8

    def _at_rank(self, rank: int) -> int:
        return self._at_sums + (1 + rank) * self._region

    def _map(self, host: MPI.Intracomm, region: int) -> None:
        self._at_sums = _whole_pages(_LINE * (1 + len(Counter) * host.size))
        self._region = max(region, mmap.PAGESIZE)
        file, problem = _shared_file(host, self._at_rank(host.size))
        try:
            problem = problem or self._reserve(file)
            problems = [f"rank {rank} of the host: {text}" for rank, text in enumerate(host.allgather(problem)) if text]
        finally:
            if file >= 0:
                os.close(file)
        if problems:
            raise OSError("; ".join(problems))

    def _reserve(self, file: int) -> str:
        """Take this rank's part of *file*, near its processor, and now: a lack of memory would later end the process.

        Returns what went wrong, or "".
        """
        try:
            os.posix_fallocate(file, self._at_rank(self._rank), self._region)
            if self._rank == 0:
                os.posix_fallocate(file, 0, self._at_sums + self._region)
            self._shared = mmap.mmap(file, self._at_rank(self._size), flags=mmap.MAP_SHARED)
            self._private = mmap.mmap(file, self._region, flags=mmap.MAP_PRIVATE, offset=self._at_sums)
        except OSError as error:
            return str(error)
        return ""

    def _has_own_pages(self, address: int, length: int) -> bool:
        if self._pagemap is None:
            return True
        found = os.pread(self._pagemap, length // mmap.PAGESIZE * 8, address // mmap.PAGESIZE * 8)
        entries = np.frombuffer(found, np.uint64)
        return bool(np.any(((entries & (_PRESENT | _SWAPPED)) != 0) & ((entries & _OF_FILE) == 0)))


def _shared_file(host: MPI.Intracomm, total: int) -> tuple[int, str]:
    """Return the file that the ranks of *host* share, and what went wrong on this one, or ""."""
    file, problem = -1, ""
    token = os.urandom(_TOKEN_BYTES)
    if host.rank == 0:
        try:
            file = os.memfd_create("allgrad-gradients")
            os.ftruncate(file, total)
            os.pwrite(file, token, 0)
        except (OSError, AttributeError) as error:
            problem = str(error)
    owner, owners_file, expected = host.bcast((os.getpid(), file, token))
    if host.rank == 0:
        return file, problem
    if owners_file < 0:
        return file, "the first rank of the host has made no file"
    try:
        file = os.open(f"/proc/{owner}/fd/{owners_file}", os.O_RDWR)
        # In another namespace of processes the number is another's.
        if os.pread(file, _TOKEN_BYTES, 0) != expected:
            problem = f"process {owner} is not the one that is meant, but of another container"
    except OSError as error:
        problem = str(error)
    return file, problem


def _fence() -> Callable[[], None]:
    """Return what keeps reads and writes on its two sides apart, for the other ranks too."""
    if platform.machine() in _ORDERED:
        return _nothing
    # MPI's own, by the one call that is nothing else.
    window = mpi().Win.Create(None, comm=mpi().COMM_SELF)
    window.Lock_all()
    fence: Callable[[], None] = window.Sync
    return fence


def _nothing() -> None:
    """Such a processor needs no more than the order of the calls."""


def _open_pagemap() -> int | None:
    try:
        return os.open(_PAGEMAP, os.O_RDONLY)
    except OSError:
        return None


def _row(memory: mmap.mmap, start: int, size: int, dtype: np.dtype[Any]) -> Array:
    return np.frombuffer(memory, dtype, size, start) if size else np.zeros(0, dtype)


def _whole_pages(length: int) -> int:
    return -(-length // mmap.ALLOCATIONGRANULARITY) * mmap.ALLOCATIONGRANULARITY
