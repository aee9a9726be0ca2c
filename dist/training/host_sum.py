"""The sum within one host, in memory that its ranks share: of large rows each adds a part, small ones all add up for themselves.

A large row is summed in three moves, each told by a counter in the window, so that no rank ever stops at a barrier: all
have brought it; each has added its part; and with several hosts the first rank has added those of the other hosts. A rank
brings a row again only after it has seen the sum, which is when all others have read what it had brought before.

A small row, on a single host, takes one move: each rank copies it into the window, and when all have, adds all of them up
in its own memory. The window has two places for it, used in turn: who brings a row for the next time does not disturb
those that still add, and who brings it once more knows by the others' next one that they have done.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from allgrad.kernels.sums import scaled_sum

from ..communication.hosts import wait_until
from .window import Counter, Window

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mpi4py import MPI

    from .rows import Reduction
    from .window import Array

# Parts end where pages do.
_PART = 1 << 10


class HostSum:
    """Turns the rows of *window* into sums over all ranks, times *scale*: of *host*, and of all hosts by *leaders*.

    *leaders*, on the first rank of *host*, adds up the window's sums over the hosts; *hosts* is how many there are. *own* holds
    for each small row this rank's memory of it, from where it is brought and where the sum comes, and else None; the
    window's row is then twice as long. Rows are numbered from 0; every rank starts and finishes all of them in turn, in
    this order, again and again.
    """

    def __init__(
        self,
        window: Window,
        host: MPI.Intracomm,
        scale: float,
        leaders: Reduction | None,
        *,
        hosts: int,
        own: Sequence[Array | None],
    ) -> None:
        self._window, self._host, self._scale, self._leaders = window, host, scale, leaders
        self._last_move = Counter.ADDED if hosts == 1 else Counter.LANDED
        self._own = own
        self._places = [
            ([row[: row.size // 2] for row in brought], [row[row.size // 2 :] for row in brought])
            for brought in window.brought
        ]
        self._rows = len(window.sums)
        # How many rows this rank has come so far with, over all rounds.
        self._brought = self._added = self._sent = self._landed = self._finished = self._examined = 0

    def start(self, k: int) -> None:
        """Tell the others that this rank has brought row *k*."""
        turn, number = divmod(self._brought, self._rows)
        assert number == k
        own = self._own[k]
        if own is not None:
            self._places[k][turn % 2][self._host.rank][...] = own
        self._brought += 1
        self._window.count(Counter.BROUGHT, self._brought)

    def is_done(self, k: int) -> bool:
        """Do what there is to do by now, and return whether the sum of row *k*, the next to finish, is there."""
        assert self._finished % self._rows == k
        while self._added < self._window.least(Counter.BROUGHT):
            self._add()
        if self._own[k] is not None:
            return self._added > self._finished
        if self._last_move is Counter.ADDED:
            return self._window.least(Counter.ADDED) > self._finished
        if self._leaders is not None:
            self._go_on_between_hosts(self._leaders)
        return self._window.first(Counter.LANDED) > self._finished

    def finish(self, k: int) -> None:
        """Wait for the sum of row *k*."""
        wait_until(lambda: self.is_done(k), self._host)
        if self._own[k] is None:
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

    def brought(self, k: int) -> Array:
        """Return what this rank brought when it last finished row *k*; valid until it starts that row again."""
        if self._own[k] is None:
            return self._window.brought[k][self._host.rank]
        turn = (self._finished - 1 - k) // self._rows
        return self._places[k][turn % 2][self._host.rank]

    def _go_on_between_hosts(self, leaders: Reduction) -> None:
        while self._sent < self._window.least(Counter.ADDED):
            leaders.start(self._sent % self._rows)
            self._sent += 1
        while self._landed < self._sent and leaders.is_done(self._landed % self._rows):
            leaders.finish(self._landed % self._rows)
            self._landed += 1
            self._window.count(Counter.LANDED, self._landed)

    def _add(self) -> None:
        """Add up the next row that all have brought: the whole of a small one, this rank's part of a large one."""
        turn, k = divmod(self._added, self._rows)
        own = self._own[k]
        if own is not None:
            rows, total = self._places[k][turn % 2], own
        else:
            total = self._window.sums[k]
            part = -(-total.size // self._host.size // _PART) * _PART
            mine = slice(part * self._host.rank, part * (self._host.rank + 1))
            rows, total = [row[mine] for row in self._window.brought[k]], total[mine]
        if not scaled_sum(rows, self._scale, total):
            self._window.count(Counter.NOT_FINITE, self._added + 1)
        self._added += 1
        self._window.count(Counter.ADDED, self._added)
