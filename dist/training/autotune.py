"""Sizes of buckets tried out in the first steps of training, and kept only where they are clearly better."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..communication.agreement import agree
from ..world import World, mpi
from .buckets import MIB, Array

if TYPE_CHECKING:
    from .reducer import Layout, Reducer

ROUNDS = 9
"""In so many rounds each candidate reduces the gradients of one step; one round before them is not counted."""
_RATIO, _WINS = 0.95, 8


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

    Another than the first only where it is faster by 5 % or more in the median, and in 8 of 9 rounds at all.

    >>> choose(np.array([[1.0] * 9, [0.8] * 9, [0.97] * 9, [0.1] * 7 + [9.0] * 2]))
    (1, 0.8)
    """
    ratios = times / times[0]
    medians = np.median(ratios, axis=1)
    clear = (medians <= _RATIO) & ((ratios < 1).sum(axis=1) >= _WINS * times.shape[1] / ROUNDS)
    best = int(np.where(clear, medians, 1.0).argmin())
    return best, float(medians[best])


class Autotune:
    """Lets *reducer* reduce in one way after the other, and in the best from then on; *done* hears which that is.

    All ranks try the same in the same step, the slowest of them counts, and so all come to the same choice.
    """

    def __init__(self, reducer: Reducer, world: World, asked: Settings, done: Callable[[Settings], None]) -> None:
        self._reducer, self._world, self._done = reducer, world, done
        self._settings, self._layouts = _that_differ(reducer, [asked, *CANDIDATES])
        self._times = np.zeros((len(self._layouts), 1 + ROUNDS))
        self._number = 0
        if len(self._layouts) == 1:
            self._end(0, 1.0)
        else:
            reducer.after_each = self.step

    def step(self, seconds: float) -> None:
        """Take note that this step took *seconds*, and prepare the next one."""
        count = len(self._layouts)
        turn, place = divmod(self._number, count)
        # Each round begins with another: so nothing that repeats with the steps falls on the same candidate always.
        self._times[(turn + place) % count, turn] = seconds
        self._number += 1
        turn, place = divmod(self._number, count)
        if turn <= ROUNDS:
            self._reducer.use(self._layouts[(turn + place) % count])
            return
        agree(self._world, "how long steps took with each size of buckets")
        assert self._world.comm is not None
        self._world.comm.Allreduce(mpi().IN_PLACE, self._times, op=mpi().MAX)
        self._end(*choose(self._times[:, 1:]))

    def _end(self, best: int, ratio: float) -> None:
        self._reducer.after_each = None
        self._reducer.use(self._layouts[best])
        chosen = self._settings[best]
        self._layouts.clear()
        self._done(Settings(chosen.first_bucket_mb, chosen.bucket_cap_mb, tuned=True, ratio=ratio))


def _that_differ(reducer: Reducer, candidates: Sequence[Settings]) -> tuple[list[Settings], list[Layout]]:
    """Return the first one, whose layout *reducer* has, and those of *candidates* that deal otherwise, with their layouts."""
    settings, layouts = [candidates[0]], [reducer.layout]
    for each in candidates[1:]:
        dealt = reducer.deal(int(each.first_bucket_mb * MIB), int(each.bucket_cap_mb * MIB))
        if all(dealt != known.dealt for known in layouts):
            settings.append(each)
            layouts.append(reducer.laid_out(dealt))
    return settings, layouts


def refuse_autotune(*, virtual_shards: int | None, shard_gradients: bool, compression: object) -> None:
    """Raise ValueError where other buckets would give other numbers, or other shares."""
    others = {"virtual_shards": virtual_shards, "shard_gradients": shard_gradients or None, "compression": compression}
    for name, value in others.items():
        if value is not None:
            raise ValueError(
                f"DataParallel(autotune=True, {name}={value!r}): with {name} results depend on how gradients are dealt into "
                "buckets, so these must stay: leave autotune out"
            )
