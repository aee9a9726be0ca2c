"""How ranks notice that they are not about to do the same thing, before MPI mixes up their messages.

MPI pairs the calls of all ranks by their order alone: where two differ it returns wrong sums, and no error. So
whatever the ranks do together begins with a comparison of the fingerprints of what each is about to do: on one host in
memory that they share, otherwise by a message of 16 bytes, the greatest and the least of them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from itertools import count, zip_longest
from typing import TYPE_CHECKING

import numpy as np

from ..observation.spans import waiting
from ..world import Group, mpi
from .hosts import wait_until

if TYPE_CHECKING:
    from mpi4py import MPI


class DisagreementError(RuntimeError):
    """The ranks were about to do different things; *said* is what each of *ranks* announced."""

    def __init__(self, said: Sequence[str], ranks: Sequence[int]) -> None:
        super().__init__(
            f"the ranks disagree about what comes next: {by_rank(said, ranks)}; "
            "every rank must make the same calls, in the same order"
        )
        self.said = said


class Announcement:
    """What this rank is about to do with all others of *group*, said without waiting for their answer.

    Announcements are answered strictly in order: one is sent only when all before it are settled, and *then*, if
    given, is called the moment it is. So all ranks do the same in the same order, whenever each of them looks.
    """

    def __init__(self, group: Group, what: str, then: Callable[[], None] | None = None) -> None:
        self._group, self._what, self._then = group, what, then
        self._request: MPI.Request | None = None
        self._number = 0
        self._settled = self._differs = False
        group.line.begin(what)
        group.announced.append(self)
        if group.control is None:
            self.settle()
        elif group.announced[0] is self:
            self._send()

    def is_answered(self) -> bool:
        """Whether all ranks have announced this and all before it; DisagreementError as from `settle`."""
        while not self._settled:
            first = self._group.announced[0]
            first._send()
            if not first._is_heard():
                return False
            first._conclude()
        return True

    def is_refused(self) -> bool:
        """Whether the ranks have disagreed about it, which was raised when that came out."""
        return self._settled and self._differs

    def settle(self) -> None:
        """Wait for what all ranks have announced; DisagreementError on every rank unless it is the same."""
        with waiting(self._what):
            while not self._settled:
                first = self._group.announced[0]
                first._send()
                first._hear()
                first._conclude()

    def _send(self) -> None:
        group = self._group
        if self._number or self._request is not None or group.control is None:
            return
        digest = hashlib.blake2b(self._what.encode(), digest_size=8).digest()
        if group.board is not None:
            self._number = group.board.write(int.from_bytes(digest))
            return
        fingerprint = np.frombuffer(digest, np.uint64)
        self._extremes = np.concatenate([fingerprint, ~fingerprint])
        self._request = group.control.Iallreduce(mpi().IN_PLACE, self._extremes, op=mpi().MAX)

    def _is_heard(self) -> bool:
        """Whether the ranks have all announced something; `_differs` then says whether not all the same."""
        if self._group.board is not None:
            said = self._group.board.read(self._number)
            self._differs = said is not None and len(set(said)) > 1
            return said is not None
        if self._request is not None:
            if not self._request.Test():
                return False
            self._differs = bool(self._extremes[0] != ~self._extremes[1])
        return True

    def _hear(self) -> None:
        control = self._group.control
        if self._group.board is not None:
            assert control is not None
            wait_until(self._is_heard, control)
        elif self._request is not None:
            self._request.Wait()
            self._differs = bool(self._extremes[0] != ~self._extremes[1])

    def _conclude(self) -> None:
        self._group.announced.popleft()
        self._settled = True
        if self._differs:
            assert self._group.control is not None
            raise DisagreementError(self._group.control.allgather(self._what), self._group.ranks)
        if self._then is not None:
            self._then()


def agree(group: Group, what: str) -> None:
    """Wait until all ranks of *group* say the same *what*; DisagreementError on every rank if they do not."""
    Announcement(group, what).settle()


def by_rank(said: Iterable[str], numbers: Iterable[int] | None = None) -> str:
    """Sort what each rank (0 and on, or those of *numbers*) said into ``rank 1: this; ranks 0, 2: that``.

    >>> by_rank(["mean", "barrier", "mean"])
    'ranks 0, 2: mean; rank 1: barrier'
    """
    ranks: dict[str, list[str]] = {}
    for number, text in zip(count() if numbers is None else numbers, said, strict=False):
        ranks.setdefault(text, []).append(str(number))
    return "; ".join(f"rank{'s' if len(who) > 1 else ''} {', '.join(who)}: {text}" for text, who in ranks.items())


def require_one_layout(world: Group, what: str, layout: list[str]) -> None:
    """Raise RuntimeError on every rank, naming the first parameter that differs, unless all have this *layout*."""
    assert world.comm is not None
    try:
        agree(world, f"{what} of {len(layout)} parameters: {', '.join(layout)}")
    except DisagreementError as disagreement:
        kind = what.partition("(")[0]
        if not all(said.startswith(f"{kind}(") for said in disagreement.said):
            raise
        layouts = world.comm.allgather(layout)
        for found in zip_longest(*layouts, fillvalue="no further parameter"):
            if len(set(found)) > 1:
                raise RuntimeError(
                    f"{kind}: the model differs between ranks, first in this: {by_rank(found, world.ranks)}; "
                    "build the same model on every rank before wrapping it"
                ) from None
        raise
