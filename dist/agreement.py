"""How ranks notice that they are not about to do the same thing, before MPI mixes up their messages.

MPI pairs the calls of all ranks by their order alone: where two differ it returns wrong sums, and no error. So
whatever the ranks do together begins with 16 bytes, the greatest and the least of the fingerprints of what each is
about to do.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

import numpy as np

from .world import World, mpi


class DisagreementError(RuntimeError):
    """The ranks were about to do different things; *said* is what each of them announced, in order of rank."""

    def __init__(self, said: Sequence[str]) -> None:
        super().__init__(
            f"the ranks disagree about what comes next: {by_rank(said)}; "
            "every rank must make the same calls, in the same order"
        )
        self.said = said


class Announcement:
    """What this rank is about to do with all others, sent without waiting for their answer."""

    def __init__(self, world: World, what: str) -> None:
        self._world, self._what = world, what
        self._request = None
        if world.comm is not None:
            digest = np.frombuffer(hashlib.blake2b(what.encode(), digest_size=8).digest(), np.uint64)
            self._extremes = np.concatenate([digest, ~digest])
            self._request = world.comm.Iallreduce(mpi().IN_PLACE, self._extremes, op=mpi().MAX)

    def is_answered(self) -> bool:
        """Whether all ranks have announced something, so that `settle` would not wait."""
        return self._request is None or self._request.Test()

    def settle(self) -> None:
        """Wait for what all ranks have announced; DisagreementError on every rank unless it is the same."""
        if self._request is None:
            return
        self._request.Wait()
        self._request = None
        if self._extremes[0] != ~self._extremes[1]:
            assert self._world.comm is not None
            raise DisagreementError(self._world.comm.allgather(self._what))


def agree(world: World, what: str) -> None:
    """Wait until all ranks of *world* say the same *what*; DisagreementError on every rank if they do not."""
    Announcement(world, what).settle()


def by_rank(said: Iterable[str]) -> str:
    """Sort what each rank said into ``rank 1: this; ranks 0, 2: that``.

    >>> by_rank(["mean", "barrier", "mean"])
    'ranks 0, 2: mean; rank 1: barrier'
    """
    ranks: dict[str, list[str]] = {}
    for number, text in enumerate(said):
        ranks.setdefault(text, []).append(str(number))
    return "; ".join(f"rank{'s' if len(who) > 1 else ''} {', '.join(who)}: {text}" for text, who in ranks.items())
