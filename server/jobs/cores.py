"""Which cores a job gets for itself, so that no two jobs share one; pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .hosts import deal
from .spec import JobSpec


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


def slots_here(spec: JobSpec, cores_per_slot: int) -> int:
    """Return how many slots of the server's machine a job takes: one whose ranks are all elsewhere takes none.

    >>> from allgrad.server import Host
    >>> slots_here(JobSpec(("train.py",), ranks=3, hosts=(Host("localhost", 2), Host("elsewhere", 2))), 1)
    2
    """
    if spec.batch:
        return 0
    ranks = sum(host.slots for host in deal(spec.hosts, spec.ranks) if host.local) if spec.hosts else spec.ranks
    return slots_of(ranks, spec.threads, cores_per_slot)


def slots_of(ranks: int, threads: int, cores_per_slot: int) -> int:
    """Return how many slots a job of *ranks* ranks takes, each with *threads* threads (0: what a slot has).

    >>> [slots_of(2, threads, cores_per_slot=4) for threads in (0, 1, 4, 5, 8)]
    [2, 2, 2, 4, 4]
    """
    return ranks * max(1, -(-threads // cores_per_slot))
