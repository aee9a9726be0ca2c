"""The sum over MPI in fewer bytes: for each row of memory the exchange that a way of compression makes of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..communication.hosts import wait_until
from ..communication.under_way import UnderWay
from ..training.buckets import Slot
from ..world import mpi
from .method import Array, Compression, Exchange, Messages, Place

if TYPE_CHECKING:
    from mpi4py import MPI


class CompressedSum:
    """Turns *rows*, each rank's times its *scale*, into sums over the ranks of *comm*, as `Allreduce` does.

    A row holds the gradients of its *members* and, behind them, their flags, which always travel as they are.
    """

    def __init__(
        self,
        rows: Sequence[Array],
        comm: MPI.Intracomm,
        scale: float,
        members: Sequence[Sequence[Slot]],
        compression: Compression,
    ) -> None:
        self._rows, self._comm, self._scale = rows, comm, scale
        # When a second message starts depends on the moment: on one communicator those of two rows could be mixed up.
        lanes = [comm.Dup() for _ in range(compression.lanes)]
        self._gradients = [sum(slot.size for slot in slots) for slots in members]
        self.exchanges: list[Exchange | None] = [
            compression.exchange(Place(row[:size], slots, lanes)) if size else None
            for row, size, slots in zip(rows, self._gradients, members, strict=True)
        ]
        self._on_the_way: dict[int, _Row] = {}

    @property
    def size(self) -> int:
        """How many ranks exchange."""
        return self._comm.size

    @property
    def rank(self) -> int:
        """Which of them this is."""
        return self._comm.rank

    def start(self, k: int) -> None:
        """Start to add up row *k*; until `finish` its memory belongs to this."""
        row = self._rows[k]
        with np.errstate(all="ignore"):
            if self._scale != 1:
                np.multiply(row, self._scale, out=row)
        exchange = self.exchanges[k]
        self._on_the_way[k] = _Row(
            row[self._gradients[k] :], self._comm, exchange.messages() if exchange is not None else iter(())
        )

    def is_done(self, k: int) -> bool:
        """Go on with every row as far as possible, and return whether the sum of row *k* has arrived."""
        before = None
        for row in self._on_the_way.values():
            while row.has_arrived() and (before is None or before.is_done or row.sent < before.sent):
                row.go_on()
            before = row
        return self._on_the_way[k].is_done

    def finish(self, k: int) -> None:
        """Wait for the sum of row *k*."""
        wait_until(lambda: self.is_done(k), self._comm)
        self._on_the_way.pop(k).show_flags()


class _Row:
    """One row on its way: its flags, the messages that are under way, and how many were sent one upon the other."""

    def __init__(self, flags: Array, comm: MPI.Intracomm, messages: Messages) -> None:
        self._flags, self._messages = flags, messages
        wide = np.promote_types(flags.dtype, np.float32) if flags.dtype.kind == "f" else np.dtype(np.float32)
        self._sum = flags.astype(wide)
        self._flags_sum = comm.Iallreduce(mpi().IN_PLACE, self._sum)
        self._comm = comm
        self._pending: UnderWay | None = None
        self.sent = 0
        self.is_done = False
        self.go_on()

    def has_arrived(self) -> bool:
        """Whether it may go on."""
        return not self.is_done and (self._pending is None or self._pending.is_over())

    def go_on(self) -> None:
        """Take in what has arrived, and send what follows upon it."""
        try:
            self._pending = UnderWay(self._comm, next(self._messages))
            self.sent += 1
        except StopIteration:
            self.is_done = True

    def show_flags(self) -> None:
        """Wait for the sum of the flags, and write it."""
        self._flags_sum.Wait()
        self._flags[...] = self._sum
