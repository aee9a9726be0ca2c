"""Which cores a job gets for itself, so that no two jobs share one; pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def assign(mine: Sequence[int], held: Iterable[Sequence[int]], count: int) -> tuple[int, ...]:
    """Return *count* of the cores *mine* that none of *held* takes; neighbours where there are enough of them.

    Returns () if so many are not free: the job is then not bound to any.

    >>> assign([0, 1, 2, 3, 4, 5], [(0,), (3,)], 2)
    (1, 2)
    >>> assign([0, 1, 2, 3], [(0, 2)], 2)
    (1, 3)
    """
    taken = {core for cores in held for core in cores}
    free = [core for core in sorted(mine) if core not in taken]
    if len(free) < count or not count:
        return ()
    for first in range(len(free) - count + 1):
        stretch = free[first : first + count]
        if stretch[-1] - stretch[0] == count - 1:
            return tuple(stretch)
    return tuple(free[:count])
