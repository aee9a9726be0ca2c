"""What hosts without the server's folder still have of attempts that have ended: fetched once they can be reached, and told."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import suppress

from ..errors import InvalidRequest, JobNotFound, ServerBusy
from ..home import Home
from ..jobs import alerts
from ..jobs.job import Alert, Job
from ..store import Store
from ..supervisor import elsewhere
from ..supervisor.attempt import RunDir
from ..supervisor.journal import Line
from .tracked import Tracked
from .work import Work

_FIRST_PAUSE = 1.0
"""Seconds after which a host is asked again for what it has; doubled each time."""
_LONGEST_PAUSE = 30.0
log = logging.getLogger(__name__)


class Remains:
    """Fetches what is owed. *find* returns number, record and, unless it is finished, the tracked job."""

    def __init__(
        self,
        home: Home,
        store: Store,
        find: Callable[[str], Awaitable[tuple[int, Job, Tracked | None]]],
        report: Callable[[str, int, Sequence[Line]], Awaitable[int]],
    ) -> None:
        self._home, self._store = home, store
        self._find, self._report = find, report
        self.work = Work()
        """The tasks that ask for it."""

    def __repr__(self) -> str:
        return f"Remains({self._home.path}, {self.work})"

    async def fetch_all(self) -> None:
        """Fetch what the server before had not come to fetch."""
        for job_id, attempt in await asyncio.to_thread(lambda: list(self._owing("*"))):
            with suppress(JobNotFound):  # it is being deleted
                _, job, _ = await self._find(job_id)
                if job.attempt != attempt or not job.state.holds_slots:
                    self.fetch(job_id, attempt)

    def fetch(self, job_id: str, attempt: int) -> None:
        """Fetch what hosts have of an attempt that has ended, from now on until all of it is here."""
        if self._run(job_id, attempt).owed():
            self.work.spawn(self._fetch(job_id, attempt))

    async def _fetch(self, job_id: str, attempt: int) -> None:
        run, pause = self._run(job_id, attempt), _FIRST_PAUSE
        hosts = run.owed()
        with suppress(FileNotFoundError, JobNotFound):  # the job has been deleted meanwhile
            while not await self._is_here(job_id, attempt, run, hosts):
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
            await asyncio.to_thread(run.note_owed, [])

    async def _is_here(self, job_id: str, attempt: int, run: RunDir, hosts: Sequence[str]) -> bool:
        """Ask the hosts once; return whether all that they had has come, and has been written down."""
        try:
            if not await asyncio.to_thread(elsewhere.gather, run):
                return False
            await self._report_late(job_id, attempt, run)
            await self._tell(job_id, attempt, run, hosts)
        except (FileNotFoundError, JobNotFound):
            raise
        except (OSError, ServerBusy, InvalidRequest) as error:  # a disk is full, or the job went on at this moment
            log.warning("what job %s left on %s: %s; again later", job_id, ", ".join(hosts), error)
            return False
        return True

    async def _report_late(self, job_id: str, attempt: int, run: RunDir) -> None:
        """Write down what had not come of the journal, unless another attempt has begun, among whose reports it would be wrong."""
        reader = run.reports(run.order())
        while lines := await asyncio.to_thread(reader.read):
            number, job, tracked = await self._find(job_id)
            if job.attempt != attempt:
                return
            if tracked is not None:
                await self._report(job_id, attempt, lines)
            elif run.path.exists():  # whoever deletes a job has its files set aside before
                await self._store.append(number, job, lines, alerts.alert_of)

    async def _tell(self, job_id: str, attempt: int, run: RunDir, hosts: Sequence[str]) -> None:
        """Tell that nothing of an attempt is on *hosts* any more."""
        others = [self._run(job_id, other).owed() for _, other in self._owing(job_id) if other != attempt]
        rest = sorted({host for owing in others for host in owing})
        alert = Alert(0, time.time(), f"what ranks had written on {', '.join(hosts)} has been fetched")
        number, job, tracked = await self._find(job_id)
        if tracked is None:
            if run.path.exists():
                await self._store.save(number, alerts.still_owed(job, rest), [alert])
            return
        async with tracked.lock:
            job = alerts.still_owed(tracked.job, rest)
            tracked.advance(job, await self._store.save(number, job, [alert]))

    def _owing(self, job_id: str) -> Iterator[tuple[str, int]]:
        """Yield the attempts of *job_id*, or of all for ``*``, of which something is owed."""
        for path in self._home.path.glob(f"jobs/{job_id}/attempt-*/owed.json"):
            if RunDir(path.parent).owed():
                yield path.parent.parent.name, int(path.parent.name.rpartition("-")[2])

    def _run(self, job_id: str, attempt: int) -> RunDir:
        return RunDir(self._home.run_dir(job_id, attempt))
