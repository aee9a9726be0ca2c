"""Which ranks are slow: how long each computes in a step, told to all of them while they go on."""

from __future__ import annotations

import socket
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from . import spans

if TYPE_CHECKING:
    from mpi4py import MPI

STEPS = 8
"""Of so many steps at a time every rank tells the others how long the median one took it."""
_FACTOR, _LEAST_SECONDS = 1.5, 5e-3


@dataclass(frozen=True)
class StepTime:
    """How long a step took one rank, in seconds: it was *computing*, and then *waiting* for the others."""

    rank: int
    host: str
    computing: float
    waiting: float


def slow(computing: Sequence[float]) -> list[int]:
    """Return the ranks that compute for more than 1.5 times, and 5 ms more than, what the median rank needs.

    >>> slow([0.020, 0.041, 0.021])
    [1]
    >>> slow([0.0001, 0.0004])
    []
    """
    usual = statistics.median_low(computing)
    return [rank for rank, seconds in enumerate(computing) if seconds > max(usual * _FACTOR, usual + _LEAST_SECONDS)]


class StepMeter:
    """Measures the steps of this rank."""

    def __init__(self, rank: int) -> None:
        self._rank, self._host = rank, socket.gethostname()
        self._steps: list[tuple[int, int]] = []
        self._since, self._waited = spans.now(), spans.waited()

    def step(self) -> StepTime | None:
        """Note that a step has ended; return what the median one of the last eight was, once in eight."""
        at, waited = spans.now(), spans.waited()
        self._steps.append((at - self._since, waited - self._waited))
        self._since, self._waited = at, waited
        if len(self._steps) < STEPS:
            return None
        computing = statistics.median(taken - waited for taken, waited in self._steps)
        waiting = statistics.median(waited for _, waited in self._steps)
        self._steps.clear()
        return StepTime(self._rank, self._host, computing / 1e9, waiting / 1e9)


class Stragglers:
    """Keeps the latest times of all ranks, and warns, on rank 0, once of each rank that is slow twice in a row."""

    def __init__(self) -> None:
        self.latest: list[StepTime] = []
        self._slow: set[int] = set()
        self._warned: set[int] = set()

    def hear(self, times: Sequence[StepTime], *, warn: bool) -> None:
        """Take over the *times* of all ranks; with *warn* tell of those that are slow."""
        self.latest = list(times)
        before, self._slow = self._slow, set(slow([found.computing for found in times]))
        new = sorted((before & self._slow) - self._warned)
        self._warned = (self._warned & self._slow) | set(new)
        if warn and new:
            _warn(self.latest, new)


class StepTimes:
    """Exchanges the times of steps between the ranks of *comm*, which all make one at the same time, beside the steps.

    *ranks* are their numbers in the world.
    """

    def __init__(self, comm: MPI.Intracomm, ranks: Sequence[int]) -> None:
        self._comm, self._ranks = comm, ranks
        self._meter, self._stragglers = StepMeter(ranks[comm.rank]), Stragglers()
        self._hosts: list[str] = comm.allgather(socket.gethostname())
        self._mine, self._everyones = np.zeros(2), np.zeros((comm.size, 2))
        self._told: MPI.Request | None = None

    @property
    def latest(self) -> list[StepTime]:
        """The latest times of all ranks, in order of rank; none before the 9th step."""
        return self._stragglers.latest

    def step(self) -> None:
        """Note that a step has ended; once in eight tell the others, and hear them in one of the next."""
        if self._told is not None and self._told.Test():
            self._hear()
        found = self._meter.step()
        if found is None:
            return
        if self._told is not None:
            self._told.Wait()
            self._hear()
        self._mine[:] = found.computing, found.waiting
        self._told = self._comm.Iallgather(self._mine, self._everyones)

    def _hear(self) -> None:
        self._told = None
        times = [
            StepTime(rank, host, float(computing), float(waiting))
            for rank, host, (computing, waiting) in zip(self._ranks, self._hosts, self._everyones, strict=True)
        ]
        self._stragglers.hear(times, warn=self._comm.rank == 0)


def _warn(times: Sequence[StepTime], places: Sequence[int]) -> None:
    usual = statistics.median_low(found.computing for found in times)
    for found in (times[place] for place in places):
        sys.stderr.write(
            f"allgrad: warning: rank {found.rank} on {found.host} is slow: it computes {found.computing * 1e3:.3g} ms in a step, "
            f"the median rank {usual * 1e3:.3g} ms, and all others wait for it; see what else runs there, or record a "
            "timeline with allgrad run --trace FILE\n"
        )
    sys.stderr.flush()
