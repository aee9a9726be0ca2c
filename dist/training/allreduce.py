"""The sum over MPI: one non-blocking allreduce for each row of memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..communication.under_way import UnderWay
from ..world import mpi
from .window import Array

if TYPE_CHECKING:
    from mpi4py import MPI


class Allreduce:
    """Turns *rows*, each rank's times its *scale*, into sums over the ranks of *comm*, which start them in one order."""

    def __init__(self, rows: Sequence[Array], comm: MPI.Intracomm, scale: float = 1.0) -> None:
        self._rows, self._comm, self._scale = rows, comm, scale
        self._sent = list(rows)
        self._under_way: list[UnderWay | None] = [None for _ in rows]

    def start(self, k: int) -> None:
        """Start to add up row *k*; until `finish` its memory belongs to MPI."""
        row = self._rows[k]
        # MPI knows no float16.
        self._sent[k] = row.astype(np.float32) if row.dtype == np.float16 else row
        if self._scale != 1:
            np.multiply(self._sent[k], self._scale, out=self._sent[k])
        # In one piece: pieces of 1 or 4 MB, which help a blocking call, take longer here under both MPIs.
        self._under_way[k] = UnderWay(self._comm, [self._comm.Iallreduce(mpi().IN_PLACE, self._sent[k])])

    def is_done(self, k: int) -> bool:
        """Let MPI go on with row *k*, and return whether its sum has arrived."""
        under_way = self._under_way[k]
        return under_way is not None and under_way.is_over()

    def finish(self, k: int) -> None:
        """Wait for the sum of row *k*."""
        under_way = self._under_way[k]
        assert under_way is not None
        under_way.wait()
        self._under_way[k] = None
        if self._sent[k] is not self._rows[k]:
            self._rows[k][...] = self._sent[k]
