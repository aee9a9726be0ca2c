"""How long the scheduler takes to decide with 10,000 jobs in the queue, and what a server with as many does.

Run as `python benchmarks/scheduling.py [REPEATS]`. Prints the median and the range of each figure, in milliseconds.
"""

from __future__ import annotations

import gc
import math
import random
import statistics
import sys
import time
from collections.abc import Callable

from allgrad.server.jobs.job import JobState
from allgrad.server.jobs.scheduler import Plan, Running, Situation, Waiting
from allgrad.server.jobs.slots import HERE
from allgrad.server.jobs.spec import Dependency

QUEUED = 10_000
SLOTS = 64
NOW = 1_000_000.0


def main() -> None:
    """Measure and print."""
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    cases: dict[str, Callable[[], Situation]] = {
        "all slots taken, no time limits": lambda: situation(limits=False, free=0),
        "all slots taken, backfill looks at every job": lambda: situation(limits=True, free=1),
        "all slots free": lambda: situation(limits=True, free=SLOTS),
        "every job waits for another": lambda: situation(limits=True, free=1, chained=True),
    }
    for name, make in cases.items():
        report(f"{name}: decide", [timed(make, lambda plan, _: plan.decision) for _ in range(repeats)])
        report(f"{name}: and say why the last one waits", [timed(make, why_last) for _ in range(repeats)])


def situation(*, limits: bool, free: int, chained: bool = False) -> Situation:
    """A queue of jobs of all sizes and priorities."""
    chance = random.Random(1)
    running = [
        Running(f"r{number}", ((HERE, 1),), ends_by=NOW + 1000 + number if limits else math.inf)
        for number in range(SLOTS - free)
    ]
    waiting = [
        Waiting(
            f"w{number}",
            number,
            ((HERE, chance.randint(2 if free == 1 else 1, 16)),),
            NOW - chance.uniform(0, 86_400),
            chance.randint(-5, 5),
            chance.uniform(60, 86_400) if limits else math.inf,
            after=(Dependency(f"w{number - 1}"),) if chained and number else (),
        )
        for number in range(QUEUED)
    ]
    states = {f"w{number}": JobState.QUEUED for number in range(QUEUED)} if chained else {}
    return Situation(NOW, {HERE: SLOTS}, waiting, running, states)


def why_last(plan: Plan, last: Waiting) -> None:
    """Decide, and explain a job at the end of the queue."""
    assert plan.decision is not None
    assert plan.causes(last)


def timed(make: Callable[[], Situation], work: Callable[[Plan, Waiting], object]) -> float:
    """Return the milliseconds that *work* takes on a fresh plan."""
    now = make()
    gc.collect()
    begun = time.perf_counter()
    work(Plan(now), now.waiting[-1])
    return 1000 * (time.perf_counter() - begun)


def report(name: str, values: list[float]) -> None:
    """Print one figure."""
    print(f"{name:72} {statistics.median(values):8.2f}  ({min(values):.2f} to {max(values):.2f})")


if __name__ == "__main__":
    main()
