"""A job that is not finished, as the server holds it in memory: always what is on disk, never more."""

from __future__ import annotations

import asyncio

from ..jobs.job import Job
from .supervision import Supervised


class Tracked:
    """One unfinished job, its last cursor, and those who wait for more.

    Whoever changes it holds *lock*, writes to disk, and only then calls advance(): what is seen is durable.
    """

    def __init__(self, number: int, job: Job, cursor: int) -> None:
        self.number = number
        self.job = job
        self.cursor = cursor
        self.lock = asyncio.Lock()
        self.supervisor: Supervised | None = None
        self._changed = asyncio.Event()

    def advance(self, job: Job, cursor: int) -> None:
        """Show the job as it is now, and the events up to *cursor*, to everybody."""
        self.job, self.cursor = job, max(cursor, self.cursor)
        self._changed.set()
        self._changed = asyncio.Event()

    async def wait_beyond(self, cursor: int, timeout: float) -> bool:
        """Wait until there is an event after *cursor*; return False if *timeout* seconds pass without one."""
        changed = self._changed
        if self.cursor > cursor:
            return True
        try:
            async with asyncio.timeout(timeout):
                await changed.wait()
        except TimeoutError:
            return False
        return True

    def __repr__(self) -> str:
        return f"Tracked({self.job.id}, {self.job.state}, cursor={self.cursor})"
