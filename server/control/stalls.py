"""Looks whether running jobs have stopped to report, and tells it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence

from ..errors import ServerBusy
from ..jobs.job import Job, JobState
from ..jobs.stalls import Rhythm
from ..supervisor.journal import Line
from .tracked import Tracked

LOOK = 1.0
"""Seconds between looks."""


class StallWatch:
    """The rhythms of the running attempts among *tracked*. *tell* is given a job and what to say of it."""

    def __init__(
        self, tracked: Mapping[str, Tracked], least: float, tell: Callable[[Tracked, str], Awaitable[None]]
    ) -> None:
        self._tracked = tracked
        self._least = least
        self._tell = tell
        self._rhythms: dict[tuple[str, int], Rhythm] = {}

    def __repr__(self) -> str:
        return f"StallWatch({len(self._rhythms)} attempts)"

    async def hear(self, tracked: Tracked, lines: Sequence[Line]) -> None:
        """Take note that an attempt has reported *lines*."""
        if not lines:
            return
        told = self._rhythm(tracked.job).hear([line.time for line in lines], time.monotonic())
        if told:
            await self._tell(tracked, told)

    async def run(self) -> None:
        """Look again and again, for ever."""
        while True:
            await asyncio.sleep(LOOK)
            await self.look(time.monotonic())

    async def look(self, now: float) -> None:
        """Tell which jobs have become silent, once; what cannot be written down is told at the next look."""
        running = [each for each in self._tracked.values() if each.job.state is JobState.RUNNING]
        self._rhythms = {_key(each.job): self._rhythm(each.job) for each in running}
        for tracked in running:
            rhythm = self._rhythms[_key(tracked.job)]
            if told := rhythm.overdue(now):
                try:
                    await self._tell(tracked, told)
                except ServerBusy:
                    rhythm.untell()

    def _rhythm(self, job: Job) -> Rhythm:
        found = self._rhythms.get(_key(job))
        if found is None:
            found = self._rhythms[_key(job)] = Rhythm(job.spec.stall_after, self._least, time.monotonic())
        return found


def _key(job: Job) -> tuple[str, int]:
    return job.id, job.attempt
