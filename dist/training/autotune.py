"""Sizes of buckets tried out in the first steps of training, and kept only where they are clearly better."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..communication.agreement import agree
from ..world import Group, mpi
from .buckets import MIB, Array

if TYPE_CHECKING:
    from .reducer import Layout, Reducer

ROUNDS = 7
"""In so many rounds each candidate reduces the gradients of one step; one round before them is not counted."""
_RATIO, _WINS = 0.95, 6


@dataclass(frozen=True)
class Settings:
    """How gradients are dealt into buckets, in MiB; *tuned* is False until trying out has ended, and without it.

    *ratio* is what a step from its first gradient to its last mean takes with them, to that with the settings asked for.
    """

    first_bucket_mb: float
    bucket_cap_mb: float
    tuned: bool = False
    ratio: float = 1.0


CANDIDATES = [Settings(0.25, 2), Settings(1, 8), Settings(1024, 1024)]
"""What is tried out beside the settings asked for: small buckets, which start early, and few, which cost fewer messages."""


def choose(times: Array) -> tuple[int, float]:
    """Return which row of *times* is best, seconds of (candidate, round), and the median of its ratios to the first row.

    Another than the first only where it is faster by 5 % or more in the median, and in 6 of 7 rounds at all.

    >>> choose(np.array([[1.0] * 7, [0.8] * 7, [0.97] * 7, [0.1] * 5 + [9.0] * 2]))
    (1, 0.8)
    """
    ratios = times / times[0]
    medians = np.median(ratios, axis=1)
    clear = (medians <= _RATIO) & ((ratios < 1).sum(axis=1) >= _WINS * times.shape[1] / ROUNDS)
    best = int(np.where(clear, medians, 1.0).argmin())
    return best, float(medians[best])


class Autotune:
    """Lets *reducer* reduce in one way after the other, and in the best from then on; *done* hears which that is.

    All ranks try the same in the same step, the slowest of them counts, and so all come to the same choice. A machine on which
    others work makes one of several seem best by chance: so the best has to win once more against what was asked for.
    """

    def __init__(self, reducer: Reducer, world: Group, asked: Settings, done: Callable[[Settings], None]) -> None:
        self._reducer, self._world, self._done = reducer, world, done
        self._candidates = _that_differ(reducer, [asked, *CANDIDATES])
        self._is_second = False
        self._begin()

    def step(self, seconds: float) -> None:
        """Take note that this step took *seconds*, and prepare the next one."""
        turn, candidate = self._turn()
        self._times[candidate, turn] = seconds
        self._number += 1
        turn, candidate = self._turn()
        if turn <= ROUNDS:
            self._reducer.use(self._candidates[candidate][1])
            return
        agree(self._world, "how long steps took with each size of buckets")
        assert self._world.comm is not None
        self._world.comm.Allreduce(mpi().IN_PLACE, self._times, op=mpi().MAX)
        best, ratio = choose(self._times[:, 1:])
        if best == 0 or self._is_second:
            self._end(best, ratio)
        else:
            self._candidates = [self._candidates[0], self._candidates[best]]
            self._is_second = True
            self._begin()

    def _begin(self) -> None:
        count = len(self._candidates)
        self._times = np.zeros((count, 1 + ROUNDS))
        self._number = 0
        if count == 1:
            self._end(0, 1.0)
        else:
            self._reducer.after_each = self.step
            self._reducer.use(self._candidates[0][1])

    def _turn(self) -> tuple[int, int]:
        """Return the number of the round, and whose turn it is.

        Each round begins with another: so nothing that repeats with the steps falls on the same candidate always.
        """
        turn, place = divmod(self._number, len(self._candidates))
        return turn, (turn + place) % len(self._candidates)

    def _end(self, best: int, ratio: float) -> None:
        chosen, layout = self._candidates[best]
        self._candidates = []
        self._reducer.after_each = None
        self._reducer.use(layout)
        self._done(Settings(chosen.first_bucket_mb, chosen.bucket_cap_mb, tuned=True, ratio=ratio))


def _that_differ(reducer: Reducer, candidates: Sequence[Settings]) -> list[tuple[Settings, Layout]]:
    """Return the first one, whose layout *reducer* has, and those of *candidates* that deal otherwise, with their layouts."""
    found = [(candidates[0], reducer.layout)]
    for each in candidates[1:]:
        dealt = reducer.deal(int(each.first_bucket_mb * MIB), int(each.bucket_cap_mb * MIB))
        if all(dealt != layout.dealt for _, layout in found):
            found.append((each, reducer.laid_out(dealt)))
    return found


def refuse_autotune(*, virtual_shards: int | None, shard_gradients: bool, compression: object) -> None:
    """Raise ValueError where other buckets would give other numbers, or other shares."""
    others = {"virtual_shards": virtual_shards, "shard_gradients": shard_gradients or None, "compression": compression}
    for name, value in others.items():
        if value is not None:
            raise ValueError(
                f"DataParallel(autotune=True, {name}={value!r}): with {name} results depend on how gradients are dealt into "
                "buckets, so these must stay: leave autotune out"
            )
