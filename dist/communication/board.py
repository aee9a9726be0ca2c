"""A board on which the ranks of one host write what they are about to do, and read what the others have written."""

from __future__ import annotations

import mmap
from typing import TYPE_CHECKING

from .hosts import neighbours
from .shared_memory import LINE, fence, map_together, whole_pages

if TYPE_CHECKING:
    from mpi4py import MPI

_CELLS = LINE // 8


class Board:
    """Room for one number of each rank of *host* at a time; all of them write the 1st, the 2nd, ... in turn.

    It takes no message and no call of MPI. Raises OSError on each of them where they cannot share memory.

    A rank writes a number only after it has read those before it of all ranks. So whoever is slow still finds the
    one before the latest, and two places for each rank are enough.
    """

    def __init__(self, host: MPI.Intracomm) -> None:
        self._rank, self._size = host.rank, host.size
        self._total = whole_pages(LINE * (1 + host.size))
        map_together(host, self._total, "allgrad-board", self._map)
        self._cells = memoryview(self._shared)[LINE : LINE * (1 + host.size)].cast("Q")
        self._fence = fence()
        self._written = 0

    def _map(self, file: int) -> None:
        self._shared = mmap.mmap(file, self._total, flags=mmap.MAP_SHARED)

    def write(self, value: int) -> int:
        """Write *value*, 64 bits, and return the how-manieth it is."""
        self._written += 1
        own = self._rank * _CELLS
        self._cells[own + 1 + self._written % 2] = value
        self._fence()
        self._cells[own] = self._written
        return self._written

    def read(self, number: int) -> list[int] | None:
        """Return what each rank has written as its *number*-th, or None while some have not."""
        if min(self._cells[::_CELLS]) < number:
            return None
        self._fence()
        return list(self._cells[1 + number % 2 :: _CELLS])


def board_of(comm: MPI.Intracomm) -> Board | None:
    """Return a board for the ranks of *comm*, which all call this; None where not all of them share memory."""
    host = neighbours(comm)
    try:
        return Board(host) if host.size == comm.size else None
    except OSError:
        return None
    finally:
        host.Free()
