"""The one place where things are done: applies what happens to jobs, writes it down, performs actions."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from . import journal, lifecycle, processes, scheduler, supervision
from .alerts import alert_of
from .attempt import Exit, Order, RunDir
from .errors import InvalidRequest, JobNotFound, ServerBusy
from .home import Home
from .job import Alert, Event, Job, JobSpec, JobState, StateChanged
from .journal import JournalReader, Line
from .lifecycle import Action, Happening
from .requests import check_request_id, check_spec
from .store import Store
from .supervision import Supervised
from .tracked import Tracked

Answer = TypeVar("Answer")

DEFAULT_GRACE = 5.0
DEFAULT_LOG_LIMIT = 256 << 20
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_START_POLL = 0.01
_DISK_PAUSE = 1.0
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Settings:
    """How a server runs its jobs."""

    slots: int
    threads: int = 1
    """Threads that one rank may use."""
    grace: float = DEFAULT_GRACE
    """Seconds between SIGTERM and SIGKILL."""
    log_limit: int = DEFAULT_LOG_LIMIT
    """Bytes of each rank's log that are kept, beside its beginning."""


class Control:
    """Queue, running attempts and their ends, for one home folder."""

    def __init__(self, home: Home, store: Store, settings: Settings) -> None:
        self.settings = settings
        self._home = home
        self._store = store
        self._tracked: dict[str, Tracked] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._scheduling = asyncio.Lock()
        self._readers = ThreadPoolExecutor(2, thread_name_prefix="store-reader")

    async def adopt(self) -> int:
        """Take up the unfinished jobs of the server before; return how many attempts are alive."""
        unfinished = await self.read(self._store.reader.unfinished)
        for number, job in unfinished:
            cursor = await self.read(self._store.reader.last_cursor, number)
            self._tracked[job.id] = Tracked(number, job, cursor)
        alive = 0
        for tracked in list(self._tracked.values()):
            if tracked.job.state is not JobState.QUEUED:
                alive += await self._take_up(tracked)
        self._spawn(self._sweep_strays())
        self._spawn(self._schedule())
        return alive

    async def submit(self, spec: JobSpec, request_id: str) -> Job:
        """Accept a job: when this returns, it is on disk. Raises InvalidRequest, RequestIdTaken."""
        check_request_id(request_id)
        await self.read(check_spec, spec, self.settings.slots)
        now, identity = time.time(), "".join(secrets.choice(_ALPHABET) for _ in range(8))
        job = Job(identity, spec, created=now, output_dir=str(self._home.output_dir(identity)))
        number, made = await self._store.insert(job, request_id, StateChanged(0, now, job.state))
        if made.id == identity:
            self._tracked[identity] = Tracked(number, job, 1)
            self._spawn(self._schedule())
        return await self.get(made.id)

    async def cancel(self, job_id: str) -> Job:
        """Ask for a job to be ended; a finished one stays as it is. Raises JobNotFound."""
        tracked = self._tracked.get(job_id)
        if tracked is not None:
            await self._apply(tracked, lifecycle.CancelAsked(time.time()))
        return await self.get(job_id)

    async def get(self, job_id: str) -> Job:
        """Return a job, one that waits with the reason why. Raises JobNotFound."""
        _, job, _ = await self.find(job_id)
        return job

    async def find(self, job_id: str) -> tuple[int, Job, Tracked | None]:
        """Return number, record and, unless it is finished, the tracked job. Raises JobNotFound."""
        while True:
            tracked = self._tracked.get(job_id)
            if tracked is not None:
                return tracked.number, self._explained(tracked.job, self._places()), tracked
            found = await self.read(self._store.reader.job, job_id)
            if found is None:
                raise JobNotFound(f"no job {job_id!r}", "the server has none of that id", "see: allgrad list")
            if found[1].state.terminal:
                return found[0], found[1], None
            await asyncio.sleep(_START_POLL)  # it is on disk, and about to be tracked

    async def page(self, state: JobState | None, below: int, limit: int) -> list[tuple[int, Job]]:
        """Return up to *limit* jobs whose number is under *below*, newest first."""
        found = await self.read(self._store.reader.page, state, below, limit)
        places = self._places()
        return [(number, self._explained(job, places)) for number, job in found]

    async def report(self, job_id: str, attempt: int, lines: Sequence[Line]) -> int:
        """Write down journal lines of an attempt; return up to which number all are on disk.

        Raises JobNotFound, or InvalidRequest if the attempt is over.
        """
        number, job, tracked = await self.find(job_id)
        if tracked is None or tracked.job.attempt != attempt:
            done = await self.read(self._store.reader.progress, number, attempt)
            if lines and lines[-1].sequence > done:
                raise InvalidRequest(f"attempt {attempt} of job {job_id} is over", f"it is {job.state}")
            return done
        async with tracked.lock:
            appended = await self._store.append(number, tracked.job, lines, alert_of)
            if appended.cursor is not None:
                tracked.advance(appended.job, appended.cursor)
        return appended.sequence

    async def read(self, question: Callable[..., Answer], *values: Any) -> Answer:
        """Ask something that may wait for the disk, without holding up everybody else."""
        return await asyncio.get_running_loop().run_in_executor(self._readers, question, *values)

    async def events(self, number: int, after: int, upto: int, limit: int) -> Sequence[tuple[int, bytes]]:
        """Return serialised events of job *number* after one cursor, up to another."""
        return await self.read(self._store.reader.events, number, after, upto, limit)

    async def last_cursor(self, number: int) -> int:
        """Return the last cursor of job *number*."""
        return await self.read(self._store.reader.last_cursor, number)

    def run_dir(self, job: Job) -> RunDir:
        """Return the folder of the job's present attempt."""
        return RunDir(self._home.run_dir(job.id, job.attempt))

    def free_slots(self) -> int:
        """Return how many slots no attempt holds."""
        held = sum(tracked.job.ranks for tracked in self._tracked.values() if tracked.job.state.holds_slots)
        return self.settings.slots - held

    def running(self) -> int:
        """Return how many jobs have processes."""
        return sum(tracked.job.state.holds_slots for tracked in self._tracked.values())

    async def close(self) -> None:
        """Let go of everything. The supervisors and their ranks live on."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for tracked in self._tracked.values():
            if tracked.supervisor is not None:
                tracked.supervisor.close()
        self._readers.shutdown()

    def _explained(self, job: Job, places: Mapping[str, int]) -> Job:
        if job.id not in places:
            return job
        reason = scheduler.why_waiting(job, places[job.id], self.free_slots(), self.settings.slots)
        return replace(job, reason=reason)

    def _places(self) -> Mapping[str, int]:
        """Return how many jobs are ahead of each one that waits."""
        return {job.id: place for place, job in enumerate(self._queue())}

    def _queue(self) -> list[Job]:
        waiting = [tracked for tracked in self._tracked.values() if tracked.job.state is JobState.QUEUED]
        return [tracked.job for tracked in sorted(waiting, key=lambda tracked: tracked.number)]

    async def _schedule(self) -> None:
        async with self._scheduling:
            for job in scheduler.startable(self._queue(), self.free_slots(), self.settings.slots):
                if tracked := self._tracked.get(job.id):  # it may have been cancelled meanwhile
                    await self._apply(tracked, lifecycle.SlotsGranted(time.time()))

    async def _apply(self, tracked: Tracked, happening: Happening, notes: Sequence[str] = ()) -> None:
        """Let something happen to a job: decide by the table, write down, show, act."""
        async with tracked.lock:
            before = tracked.job
            job, actions = lifecycle.after(before, happening)
            events: list[Event] = [Alert(0, happening.time, note) for note in notes]
            if (job.state, job.reason) != (before.state, before.reason):
                change = StateChanged(0, happening.time, job.state, job.reason, job.exit_code, job.attempt)
                events.append(change)
            if job != before or events:
                tracked.advance(job, await self._save(tracked.number, job, events))
            for action in actions:
                self._perform(tracked, action)
        if job.state.terminal and job.id in self._tracked:
            del self._tracked[job.id]
            log.info("job %s %s %s", job.id, job.state, job.reason)
            self._spawn(self._schedule())

    async def _save(self, number: int, job: Job, events: Sequence[Event]) -> int:
        """Write down what has happened, however long the disk is full: it cannot be taken back."""
        while True:
            try:
                return await self._store.save(number, job, events)
            except ServerBusy as error:
                if self._store.broken:
                    raise
                log.warning("%s", error)
                await asyncio.sleep(_DISK_PAUSE)

    def _perform(self, tracked: Tracked, action: Action) -> None:
        match action:
            case lifecycle.Launch():
                self._launch(tracked)
            case lifecycle.Stop():
                if tracked.supervisor is not None:
                    tracked.supervisor.stop()
            case lifecycle.Sweep():
                self._spawn(self._sweep(tracked))

    def _launch(self, tracked: Tracked) -> None:
        job, settings = tracked.job, self.settings
        order = Order(
            job_id=job.id,
            attempt=job.attempt,
            argv=list(job.argv),
            ranks=job.ranks,
            as_torch=job.spec.as_torch,
            env=job.spec.env,
            workdir=job.spec.workdir,
            output_dir=job.output_dir,
            home=str(self._home.path),
            threads=settings.threads,
            grace=settings.grace,
            log_limit=settings.log_limit,
        )
        try:
            tracked.supervisor = supervision.start(self.run_dir(job), order)
        except OSError as error:
            failed = lifecycle.Ended(time.time(), 1, f"cannot start its supervisor: {error}")
            self._spawn(self._apply(tracked, failed))
        else:
            self._spawn(self._follow(tracked, tracked.supervisor))

    async def _follow(self, tracked: Tracked, supervisor: Supervised) -> None:
        """Accompany an attempt from its start to its end."""
        run = self.run_dir(tracked.job)
        while (started := run.started()) is None and supervisor.alive:
            await asyncio.sleep(_START_POLL)
        if started is not None:
            await self._apply(tracked, lifecycle.Started(started))
        await supervisor.gone()
        supervisor.close()
        tracked.supervisor = None
        await self._conclude(tracked, run)

    async def _conclude(self, tracked: Tracked, run: RunDir) -> None:
        """Write down the end of an attempt whose supervisor is gone."""
        await self._collect(tracked, run)
        ended: Exit | None = run.exit()
        if ended is None:
            lost = lifecycle.ContactLost(time.time(), "its supervisor died without a record of the end")
            await self._apply(tracked, lost)
            return
        event = lifecycle.Ended(ended.finished, ended.exit_code, ended.reason, ended.stopped)
        await self._apply(tracked, event, ended.notes)

    async def _collect(self, tracked: Tracked, run: RunDir) -> None:
        """Write down what the supervisor did not come to send of the journal."""
        job = tracked.job
        done = await self.read(self._store.reader.progress, tracked.number, job.attempt)
        if await self.read(journal.last_sequence, run.journal) <= done:
            return
        reader = JournalReader(run.journal)
        while lines := await self.read(reader.read):
            await self.report(job.id, job.attempt, lines)

    async def _take_up(self, tracked: Tracked) -> bool:
        """Go on with an attempt of an earlier server; return whether it is alive."""
        job, run = tracked.job, self.run_dir(tracked.job)
        supervisor = supervision.find(run, job.id, job.attempt)
        if supervisor is not None:
            tracked.supervisor = supervisor
            if job.state is JobState.STOPPING:
                supervisor.stop()
            elif job.state is JobState.UNKNOWN:
                await self._apply(tracked, lifecycle.ContactRegained(time.time()))
            self._spawn(self._follow(tracked, supervisor))
            return True
        if job.state is JobState.STARTING and run.started() is None and run.exit() is None:
            self._launch(tracked)
            return True
        self._spawn(self._conclude(tracked, run))
        return False

    async def _sweep(self, tracked: Tracked) -> None:
        """End whatever an attempt without a supervisor left behind."""
        job = tracked.job

        def left() -> list[processes.Process]:
            return processes.tagged(job.id, job.attempt)

        await asyncio.to_thread(processes.end, left, self.settings.grace)
        await self._apply(tracked, lifecycle.FoundDead(time.time()))

    async def _sweep_strays(self) -> None:
        """End processes of finished jobs of this folder, left by a supervisor that was killed."""

        def strays() -> list[processes.Process]:
            mine = processes.tagged_under(str(self._home.path / "jobs"))
            return [process for process, job_id in mine if job_id not in self._tracked]

        await asyncio.to_thread(processes.end, strays, self.settings.grace)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            log.error("%s failed", task.get_coro(), exc_info=error)
