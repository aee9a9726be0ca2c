"""A barrier that tells which ranks do not come."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from ..watchdog.watch import seconds_of
from ..world import Group
from .groups import members

if TYPE_CHECKING:
    from mpi4py import MPI

_TAG = 32_000
_SECONDS_BETWEEN_LOOKS = 1e-3
# The others wait a little longer than the first rank of the group, which tells them what it has found.
_SECONDS_TO_HEAR = 1.0


def monitored_barrier(group: Group | None = None, timeout: float | timedelta | None = None) -> None:
    """Wait until every rank of *group* (default: all) has come here, for at most *timeout* seconds.

    The default is that of `init`. Raises RuntimeError on every rank that has come, which names those that have not,
    where the watchdog would end the run. Slower than `barrier`: one rank hears all others.

    >>> from allgrad import dist
    >>> dist.monitored_barrier(timeout=5)
    """
    ranks = members(group, "monitored_barrier")
    seconds = seconds_of(timeout)
    if ranks is None or ranks.control is None:
        return
    if ranks.rank == 0:
        answer = _gather(ranks, ranks.control, seconds)
    else:
        answer = _ask(ranks, ranks.control, seconds + _SECONDS_TO_HEAR)
    if answer:
        raise RuntimeError(answer)


def _gather(ranks: Group, control: MPI.Intracomm, seconds: float) -> str:
    waiting: dict[int, Any] = {number: control.irecv(source=number, tag=_TAG) for number in range(1, ranks.size)}
    _wait(waiting, seconds)
    missing = [str(ranks.ranks[number]) for number in waiting]
    answer = ""
    if missing:
        answer = (
            f"monitored_barrier: rank{'s' * (len(missing) > 1)} {', '.join(missing)} did not come within {seconds:g} s"
        )
        for request in waiting.values():
            request.cancel()
    for number in set(range(1, ranks.size)) - waiting.keys():
        control.send(answer, number, _TAG)
    return answer


def _ask(ranks: Group, control: MPI.Intracomm, seconds: float) -> str:
    control.isend(None, 0, _TAG).wait()
    waiting: dict[int, Any] = {0: control.irecv(source=0, tag=_TAG)}
    answer: str = _wait(waiting, seconds)
    if waiting:
        waiting[0].cancel()
        return f"monitored_barrier: rank {ranks.ranks[0]} did not come within {seconds:g} s"
    return answer


def _wait(waiting: dict[int, Any], seconds: float) -> Any:
    """Take out of *waiting* all requests that are answered within *seconds*; return the last answer."""
    deadline = time.monotonic() + seconds
    answer = None
    while waiting and time.monotonic() < deadline:
        for number, request in list(waiting.items()):
            done, message = request.test()
            if done:
                answer = message
                del waiting[number]
        if waiting:
            time.sleep(_SECONDS_BETWEEN_LOOKS)
    return answer
