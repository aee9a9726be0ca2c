"""How all ranks notice a gradient that is not finite on some of them, and say on which.

A reduction that looks at its sums while they are in the cache says so itself (`WatchfulReduction`). For any other, marks
stand in the flags that are reduced anyway.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np

from allgrad.kernels.sums import is_finite

from ..communication.agreement import by_rank
from ..world import Group
from .buckets import Array, Reducible, cut
from .rows import Reduction

# In place of the flag of a parameter, which is 0 or 1: the mean over the ranks is then above 1.
_MARK = 1 << 14


@runtime_checkable
class WatchfulReduction(Reduction, Protocol):
    """A reduction that tells whether what it made is finite, and keeps what this rank has brought."""

    @property
    def watches(self) -> bool:
        """Whether it does so here; all ranks say the same."""

    def is_finite(self) -> bool:
        """Whether all means that are finished, since this was asked last, are finite; all ranks hear the same."""

    def brought(self, k: int) -> Array:
        """Return what this rank has brought to row *k*, which is finished."""


class Finiteness:
    """Finds out whether the *buckets* that *reduction* reduces are finite on all ranks; *names* are their parameters'."""

    def __init__(self, reduction: Reduction, buckets: Sequence[Reducible], names: Sequence[Sequence[str]]) -> None:
        self._watchful = reduction if isinstance(reduction, WatchfulReduction) and reduction.watches else None
        self._buckets, self._names = buckets, names
        self._found: list[str] = []

    def before(self, k: int) -> None:
        """Look at bucket *k*, which this rank is about to bring, unless the reduction will."""
        if self._watchful is None:
            bucket = self._buckets[k]
            marked = _not_finite(bucket.views, bucket.flags)
            for at in marked:
                bucket.flags[at] = _MARK
            self._found += [self._names[k][at] for at in marked]

    def require(self, world: Group) -> None:
        """After all buckets: raise FloatingPointError on every rank where any rank's gradients are not finite."""
        found, self._found = self._found, []
        if self._watchful is None:
            if any(mean > 1.5 for bucket in self._buckets for mean in bucket.used.real):
                _raise_not_finite(world, found)
        elif not self._watchful.is_finite():
            for k, (bucket, names) in enumerate(zip(self._buckets, self._names, strict=True)):
                brought = cut(self._watchful.brought(k), [view.shape for view in bucket.views])
                found += [names[at] for at in _not_finite(*brought)]
            _raise_not_finite(world, found)


def _not_finite(views: Sequence[Array], flags: Array) -> list[int]:
    with np.errstate(all="ignore"):
        return [at for at, view in enumerate(views) if flags[at] != 0 and not is_finite(view)]


def _raise_not_finite(world: Group, names: list[str]) -> None:
    """Raise FloatingPointError that says in which gradients every rank found something; all ranks call it."""
    assert world.control is not None
    shown = ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
    said = world.control.allgather(f"NaN or infinity in the gradients of {shown}" if names else "all finite")
    raise FloatingPointError(
        f"the mean of the gradients is not finite ({by_rank(said, world.ranks)}): look for what made it with "
        "allgrad.check_finite(), or catch this on every rank and skip the step; DataParallel(check_finite=False) does not look"
    )
