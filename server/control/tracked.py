"""A job that is not finished, as the server holds it in memory: always what is on disk, never more."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence

from ..jobs.job import Job
from ..messages.batches import Batch
from .supervision import Supervised

RECENT = 1 << 18
"""Bytes of a job's last events that are kept for watchers who are not far behind; the others read the store."""


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
        self._recent: deque[Batch] = deque()
        self._changed = asyncio.Event()

    def advance(self, job: Job, cursor: int, batches: Sequence[Batch] = ()) -> None:
        """Show the job as it is now, and the events up to *cursor*, to everybody; *batches*: those events, if at hand."""
        if batches and batches[0].after == self.cursor:  # else some were written that nobody has shown
            self._keep(batches)
        self.job, self.cursor = job, max(cursor, self.cursor)
        self._changed.set()
        self._changed = asyncio.Event()

    def _keep(self, batches: Sequence[Batch]) -> None:
        self._recent.extend(batches)
        size = sum(len(batch.data) for batch in self._recent)
        while size > RECENT:
            size -= len(self._recent.popleft().data)

    def batch_after(self, cursor: int) -> Batch | None:
        """Return the events that follow *cursor*, if they have just come."""
        return next((batch for batch in self._recent if batch.after == cursor), None)

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
