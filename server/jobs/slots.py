"""What a job takes: slots of the server's machine, and of the hosts on which the server counts them; pure."""

from __future__ import annotations

from collections.abc import Mapping

from .hosts import deal
from .spec import JobSpec

HERE = ""
"""The server's own machine, among hosts that have names."""

Demand = tuple[tuple[str, int], ...]
"""Hosts, and how many slots of each: all at once."""


def demand(spec: JobSpec, cores_per_slot: int, *, counts_hosts: bool = False) -> Demand:
    """Return what a job takes; what its ranks take elsewhere only if the server *counts_hosts*.

    >>> from allgrad.server import Host
    >>> spec = JobSpec(("train.py",), ranks=3, hosts=(Host("localhost", 2), Host("elsewhere", 2)))
    >>> demand(spec, 1), demand(spec, 1, counts_hosts=True)
    ((('', 2),), (('', 2), ('elsewhere', 1)))
    """
    if spec.batch:
        return ()
    if not spec.hosts:
        return ((HERE, slots_of(spec.ranks, spec.threads, cores_per_slot)),)
    taken: dict[str, int] = {}
    for host in deal(spec.hosts, spec.ranks):
        name = HERE if host.local else host.name
        if host.local or counts_hosts:
            taken[name] = taken.get(name, 0) + slots_of(host.slots, spec.threads, cores_per_slot)
    return tuple(taken.items())


def slots_of(ranks: int, threads: int, cores_per_slot: int) -> int:
    """Return how many slots *ranks* ranks take, each with *threads* threads (0: what a slot has).

    >>> [slots_of(2, threads, cores_per_slot=4) for threads in (0, 1, 4, 5, 8)]
    [2, 2, 2, 4, 4]
    """
    return ranks * max(1, -(-threads // cores_per_slot))


def size(wanted: Demand) -> int:
    """Return how many slots these are, on all hosts."""
    return sum(slots for _, slots in wanted)


def fits(wanted: Demand, room: Mapping[str, int]) -> bool:
    """Whether there is *room* for what is wanted on every host: nothing always fits.

    >>> fits((("a", 2), ("b", 1)), {"a": 2, "b": 0}), fits((), {})
    (False, True)
    """
    for host, slots in wanted:  # noqa: SIM110 -- three times as fast as all(), and asked of every job in the queue
        if slots > room.get(host, 0):
            return False
    return True


def give(room: dict[str, int], wanted: Demand, sign: int = 1) -> None:
    """Add *wanted* to the *room* on those hosts that it tells of, or with *sign* -1 take it away."""
    for host, slots in wanted:
        if host in room:
            room[host] += sign * slots
