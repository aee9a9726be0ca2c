"""How the clocks of ranks on several hosts relate, told from messages that go there and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from . import spans

if TYPE_CHECKING:
    from mpi4py import MPI

_EXCHANGES = 16


@dataclass(frozen=True)
class Reading:
    """What rank 0's clock is ahead of this rank's, in nanoseconds, when this rank's shows *at*."""

    at: int
    ahead: int


def reading(exchanges: Sequence[tuple[int, int, int]]) -> Reading:
    """Return what *exchanges* tell: of each when this rank asked, what rank 0 answered, and when that came.

    The answer was given somewhere in between; the quickest exchange leaves least doubt, half its duration (Cristian,
    Probabilistic clock synchronization, 1989).

    >>> reading([(100, 1160, 200), (300, 1310, 320)])
    Reading(at=310, ahead=1000)
    """
    asked, answered, came = min(exchanges, key=lambda exchange: exchange[2] - exchange[0])
    middle = (asked + came) // 2
    return Reading(middle, answered - middle)


def on_rank_0(at: int, first: Reading, last: Reading) -> int:
    """Return what rank 0's clock showed when this rank's showed *at*; between two readings clocks drift evenly.

    >>> on_rank_0(150, Reading(100, 1000), Reading(200, 1010))
    1155
    """
    if last.at == first.at:
        return at + first.ahead
    drift = (last.ahead - first.ahead) * (at - first.at) / (last.at - first.at)
    return at + first.ahead + round(drift)


def read_together(comm: MPI.Intracomm | None) -> Reading:
    """Return this rank's reading; all ranks of *comm* ask rank 0 in turn."""
    if comm is not None and comm.rank != 0:
        return _ask(comm)
    if comm is not None:
        for rank in range(1, comm.size):
            _answer(comm, rank)
    return Reading(spans.now(), 0)


def _answer(comm: MPI.Intracomm, rank: int) -> None:
    for _ in range(_EXCHANGES):
        comm.recv(source=rank)
        comm.send(spans.now(), dest=rank)


def _ask(comm: MPI.Intracomm) -> Reading:
    exchanges = []
    for _ in range(_EXCHANGES):
        asked = spans.now()
        comm.send(None, dest=0)
        exchanges.append((asked, comm.recv(source=0), spans.now()))
    return reading(exchanges)
