"""The sum within one host: every rank adds its part of what all of them bring, in memory that they share.

A row is summed in three moves, each told by a counter in the window, so that no rank ever stops at a barrier: all have
brought it; each has added its part; and with several hosts the first rank has added those of the other hosts. A rank
brings a row again only after it has seen the sum, which is when all others have read what it had brought before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from allgrad.kernels.sums import scaled_sum

from ..communication.hosts import wait_until
from .window import Counter, Window

if TYPE_CHECKING:
    from mpi4py import MPI

    from .rows import Reduction

# Parts end where pages do.
_PART = 1 << 10


class HostSum:
    """Turns the rows of *window* into sums over all ranks, times *scale*: of *host*, and of all hosts by *leaders*.

    *leaders*, on the first rank of *host*, adds up the window's sums over the hosts; *hosts* is how many there are. Rows
    are numbered from 0; every rank starts and finishes all of them in turn, in this order, again and again.
    """

    def __init__(
        self, window: Window, host: MPI.Intracomm, scale: float, leaders: Reduction | None, *, hosts: int
    ) -> None:
        self._window, self._host, self._scale, self._leaders = window, host, scale, leaders
        self._last_move = Counter.ADDED if hosts == 1 else Counter.LANDED
        self._rows = len(window.sums)
        # How many rows this rank has come so far with, over all rounds.
        self._brought = self._added = self._sent = self._landed = self._finished = self._examined = 0

    def start(self, k: int) -> None:
        """Tell the others that this rank has brought row *k*."""
        assert self._brought % self._rows == k
        self._brought += 1
        self._window.count(Counter.BROUGHT, self._brought)

    def is_done(self, k: int) -> bool:
        """Do what there is to do by now, and return whether the sum of row *k*, the next to finish, is there."""
        assert self._finished % self._rows == k
        while self._added < self._window.least(Counter.BROUGHT):
            self._add(self._added % self._rows)
            self._added += 1
            self._window.count(Counter.ADDED, self._added)
        if self._last_move is Counter.ADDED:
            return self._window.least(Counter.ADDED) > self._finished
        if self._leaders is not None:
            self._go_on_between_hosts(self._leaders)
        return self._window.first(Counter.LANDED) > self._finished

    def finish(self, k: int) -> None:
        """Wait for the sum of row *k*."""
        wait_until(lambda: self.is_done(k), self._host)
        self._window.show_sum(k)
        self._finished += 1

    def is_finite(self) -> bool:
        """Whether none of the sums that are finished, since this was asked last, holds NaN or infinity: the same on all ranks.

        Where it does, some rank has brought one: sums of finite numbers do not overflow here.
        """
        since, self._examined = self._examined, self._finished
        return self._window.greatest(Counter.NOT_FINITE) <= since

    @property
    def watches(self) -> bool:
        """Whether `is_finite` knows: with several hosts a rank has seen only the sums of its own."""
        return self._last_move is Counter.ADDED

    def _go_on_between_hosts(self, leaders: Reduction) -> None:
        while self._sent < self._window.least(Counter.ADDED):
            leaders.start(self._sent % self._rows)
            self._sent += 1
        while self._landed < self._sent and leaders.is_done(self._landed % self._rows):
            leaders.finish(self._landed % self._rows)
            self._landed += 1
            self._window.count(Counter.LANDED, self._landed)

    def _add(self, k: int) -> None:
        brought, total = self._window.brought[k], self._window.sums[k]
        part = -(-total.size // self._host.size // _PART) * _PART
        mine = slice(part * self._host.rank, part * (self._host.rank + 1))
        if not scaled_sum([row[mine] for row in brought], self._scale, total[mine]):
            self._window.count(Counter.NOT_FINITE, self._added + 1)
