"""Forgetting finished jobs when they are old enough, with their metrics, logs and outputs; and uploads that nobody uses."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Sequence

from ..errors import AllgradError, ServerBusy
from ..failpoints import reach
from ..files import trash
from ..files.uploads import Uploads
from ..home import Home
from ..jobs.job import Job
from ..store import Store

LOOK = 600.0
"""Seconds between looks for jobs that have become old."""
AT_ONCE = 100
PAUSE = 0.05
"""Seconds between deletions, which are left to other work."""
log = logging.getLogger(__name__)


async def forget_uploads(keep: float, uploads: Uploads, needed: Callable[[], Collection[str]]) -> None:
    """Delete, again and again, uploads that nobody has used for *keep* seconds and no unfinished job has *needed*.

    What broke off on its way and nobody continues goes, too.
    """
    begun = time.time() - time.monotonic()
    while True:
        try:
            gone = await asyncio.to_thread(uploads.forget, begun + time.monotonic() - keep, needed())
            await asyncio.to_thread(uploads.clean)
            log.info("%d uploads are forgotten", len(gone))
        except OSError:
            log.exception("uploads cannot be forgotten")
        await asyncio.sleep(LOOK)


async def forget_job(home: Home, store: Store, number: int, job: Job) -> None:
    """Forget a finished job, and delete its files. Raises ServerBusy, and all is as it was, if the disk is full."""
    await asyncio.to_thread(trash.set_aside, home, job.id)
    reach("delete-begun")
    try:
        await store.delete(number, job)
    except ServerBusy:
        await asyncio.to_thread(trash.put_back, home, job.id)
        raise
    await asyncio.to_thread(trash.remove, home, job.id)


class Retention:
    """Deletes jobs *keep* seconds after their end. *old* returns ids of those that ended before a time."""

    def __init__(
        self,
        keep: float,
        old: Callable[[float, int, int], Awaitable[Sequence[tuple[int, str]]]],
        delete: Callable[[str], Awaitable[None]],
    ) -> None:
        self._keep = keep
        self._old = old
        self._delete = delete
        self._begun = time.time() - time.monotonic()

    def __repr__(self) -> str:
        return f"Retention(keep={self._keep:g} s)"

    async def run(self) -> None:
        """Look again and again, for ever."""
        while True:
            await self.look(self._begun + time.monotonic())  # a clock that jumps ahead must not cost a year of jobs
            await asyncio.sleep(LOOK)

    async def look(self, now: float) -> None:
        """Delete what is old at the time *now*; what cannot be deleted stays until the next look."""
        after = 0
        while found := await self._old(now - self._keep, after, AT_ONCE):
            for number, job_id in found:
                after = number
                try:
                    await self._delete(job_id)
                except AllgradError as error:
                    log.info("job %s is kept: %s", job_id, error)
                await asyncio.sleep(PAUSE)
