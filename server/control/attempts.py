"""The attempts of jobs, as the server accompanies them: started, found again, followed to their ends, swept."""

from __future__ import annotations

import asyncio
import errno
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

from ..errors import InvalidRequest, ServerBusy
from ..failpoints import reach
from ..home import Home
from ..jobs import alerts, lifecycle
from ..jobs.accounts import Accounts
from ..jobs.job import Job, JobState
from ..jobs.lifecycle import Action, Happening
from ..jobs.slots import HERE, Demand, demand
from ..jobs.spec import JobSpec
from ..jobs.stalls import LEAST
from ..store import Store
from ..supervisor import batch, elsewhere, journal, processes
from ..supervisor.attempt import Exit, Order, RunDir
from ..supervisor.journal import Line
from . import supervision
from .remains import Remains
from .supervision import Supervised
from .tracked import Tracked
from .work import Work

DEFAULT_GRACE = 5.0
DEFAULT_LOG_LIMIT = 256 << 20
DEFAULT_JOURNAL_LIMIT = 1 << 30
DEFAULT_KEEP_UPLOADS = 30 * 86400.0
DEFAULT_HOST_PATIENCE = 20.0
_START_POLL = 0.01
_LONGEST_START_POLL = 0.5
_FIRST_PAUSE = 0.5
"""Seconds after which starting or following an attempt is tried again, once that has failed; doubled each time."""
_TRIES = 5
_LONGEST_PAUSE = 60.0
_PASSING = {errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOMEM, errno.ENOSPC, errno.EDQUOT}
"""What the machine lacks for a while: open files, processes, memory, room on the disk. No job fails for that."""
_DISK_PAUSE = 1.0
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Settings:
    """How a server runs its jobs."""

    slots: int
    threads: int = 1
    """Cores that one slot stands for, and so the threads that one rank may use."""
    grace: float = DEFAULT_GRACE
    """Seconds between SIGTERM and SIGKILL."""
    log_limit: int = DEFAULT_LOG_LIMIT
    """Bytes of each rank's log that are kept, beside its beginning."""
    journal_limit: int = DEFAULT_JOURNAL_LIMIT
    """Bytes of each attempt's journal that are kept: as much can wait for a server that is away."""
    keep_finished: float | None = None
    """Seconds that a finished job is kept, with all that belongs to it; None: for ever."""
    keep_uploads: float = DEFAULT_KEEP_UPLOADS
    """Seconds that an upload is kept which nobody uses and no unfinished job names."""
    metrics_port: int | None = None
    """Where Prometheus may ask; None: nowhere."""
    stall_after: float = LEAST
    """Seconds of silence that are never a stall, unless a job says otherwise; 0: silence never is."""
    tensorboard: bool = True
    """Whether what jobs report is written as event files into their output folders, too."""
    host_patience: float = DEFAULT_HOST_PATIENCE
    """Seconds of silence after which a host counts as lost, and after which its ranks are ended there."""
    hosts: Mapping[str, int] = field(default_factory=dict)
    """Hosts that jobs may name, and the slots of each; empty: any, and what runs there is not counted."""
    kubernetes: Mapping[str, str] = field(default_factory=dict)
    """The volume `claim` that pods mount at `path`, their `image` and `namespace`; empty: there is no cluster."""
    accounts: Accounts | None = None
    """The accounts that jobs run under; None: all under the server's own."""
    cores: tuple[int, ...] = ()
    """The cores that are dealt to the jobs; empty: jobs are not bound to any."""

    @property
    def room(self) -> dict[str, int]:
        """The slots of the server's machine, and of each host."""
        return {HERE: self.slots, **self.hosts}

    def demand(self, spec: JobSpec) -> Demand:
        """Return what a job takes of them."""
        return demand(spec, self.threads, counts_hosts=bool(self.hosts))


class Apply(Protocol):
    """Lets something happen to a job."""

    def __call__(self, tracked: Tracked, happening: Happening, notes: Sequence[str] = (), /) -> Awaitable[None]:
        """Decide by the table, write down, show, act."""


class Attempts:
    """What is done to the processes of jobs. What comes of it is handed to *apply*, journals to *report*.

    What hosts still have of an attempt when it has ended is left to *remains*.
    """

    def __init__(
        self,
        home: Home,
        store: Store,
        settings: Settings,
        apply: Apply,
        report: Callable[[str, int, Sequence[Line]], Awaitable[int]],
        remains: Remains,
    ) -> None:
        self._home = home
        self._store = store
        self._settings = settings
        self._apply = apply
        self._report = report
        self._remains = remains
        self.work = Work()
        """The tasks that accompany attempts."""

    def run_dir(self, job: Job, attempt: int = 0) -> RunDir:
        """Return the folder of an attempt, by default the present one."""
        return RunDir(self._home.run_dir(job.id, attempt or job.attempt))

    def perform(self, tracked: Tracked, action: Action) -> None:
        """Do what a step of a job's life calls for."""
        match action:
            case lifecycle.Launch():
                self._launch(tracked)
            case lifecycle.Stop():
                if tracked.supervisor is not None:
                    tracked.supervisor.stop()
            case lifecycle.Sweep():
                self.work.spawn(self._sweep(tracked))

    async def take_up(self, tracked: Tracked) -> bool:
        """Go on with an attempt of an earlier server, or after a failure; return whether it is alive."""
        job, run = tracked.job, self.run_dir(tracked.job)
        supervisor = supervision.find(run, job.id, job.attempt)
        if supervisor is not None:
            tracked.supervisor = supervisor
            if job.state is JobState.STOPPING:
                supervisor.stop()
            elif job.state is JobState.UNKNOWN:
                await self._apply(tracked, lifecycle.ContactRegained(time.time()))
            self.work.spawn(self._follow(tracked, supervisor))
            return True
        if self._goes_on_without(job, run):
            self._launch(tracked)
            return True
        if job.state is JobState.STARTING and run.started() is None and run.exit() is None:
            self._launch(tracked)
            return True
        self.work.spawn(self._conclude(tracked, run))
        return False

    async def sweep_strays(self, known: Callable[[str], bool]) -> None:
        """End processes of this folder's jobs that are not *known*, left by a supervisor that was killed."""

        def strays() -> list[processes.Process]:
            mine = processes.tagged_under(str(self._home.path / "jobs"))
            return [process for process, job_id in mine if not known(job_id)]

        await asyncio.to_thread(processes.end, strays, self._settings.grace)

    def _launch(self, tracked: Tracked, tries: int = 0) -> None:
        """Start a supervisor for a job's attempt; *tries*: how often that has failed, or how many have died, before."""
        job = tracked.job
        try:
            tracked.supervisor = supervision.start(self.run_dir(job), self._order(job))
            reach("after-launch")
        except (OSError, InvalidRequest) as error:
            self.work.spawn(self._note_refusal(tracked, job.attempt, error, tries))
        else:
            self.work.spawn(self._follow(tracked, tracked.supervisor, tries))

    async def _note_refusal(self, tracked: Tracked, attempt: int, error: OSError | InvalidRequest, tries: int) -> None:
        """Fail an attempt whose supervisor cannot be started, or let it wait for what the machine lacks at the moment."""
        if isinstance(error, OSError) and error.errno in _PASSING:
            log.warning("the supervisor of job %s cannot be started yet: %s", tracked.job.id, error)
            reason = f"its supervisor cannot be started yet: {error.strerror}"
            await self._tell(tracked, attempt, lifecycle.Delayed(time.time(), reason))
            await self._launch_later(tracked, tries)
        else:
            failed = lifecycle.Ended(time.time(), 1, f"cannot start its supervisor: {error}")
            await self._tell(tracked, attempt, failed)

    async def _launch_later(self, tracked: Tracked, tries: int) -> None:
        """Start a supervisor for an attempt that has none after a pause, unless the job is to be stopped."""
        end = time.monotonic() + min(_FIRST_PAUSE * 2.0 ** min(tries, 10), _LONGEST_PAUSE)
        while tracked.job.state is not JobState.STOPPING and (left := end - time.monotonic()) > 0:
            await tracked.wait_beyond(tracked.cursor, left)
        if tracked.job.state is not JobState.STOPPING:
            self._launch(tracked, tries + 1)
        elif tracked.job.spec.batch:
            await self._conclude(tracked, self.run_dir(tracked.job))
        else:
            await self._tell(tracked, tracked.job.attempt, lifecycle.Ended(time.time(), None, stopped=True))

    def _order(self, job: Job) -> Order:
        spec, settings = job.spec, self._settings
        grace = spec.checkpoint.grace
        root = self._home.job_dir(job.id) / "workdir"
        return Order(
            job_id=job.id,
            attempt=job.attempt,
            argv=list(job.argv),
            ranks=job.ranks,
            as_torch=spec.as_torch,
            env=spec.env,
            workdir=str(root / spec.workdir) if spec.archive else spec.workdir,
            output_dir=job.output_dir,
            home=str(self._home.path),
            threads=spec.threads or (0 if spec.hosts or spec.batch else settings.threads),
            grace=settings.grace if grace is None else grace,
            log_limit=settings.log_limit,
            journal_limit=settings.journal_limit,
            cores=list(job.cores),
            max_runtime=spec.max_runtime,
            resume=job.checkpoint or (str(self._home.uploaded_file(spec.resume_from)) if spec.resume_from else ""),
            checkpoint_interval=spec.checkpoint.interval,
            archive=str(self._home.archive(spec.archive)) if spec.archive else "",
            root=str(root) if spec.archive else "",
            tensorboard=settings.tensorboard,
            hosts=[(host.name, host.slots) for host in spec.hosts],
            host_patience=settings.host_patience,
            launcher=spec.launcher,
            launcher_options=spec.launcher_options,
            place=settings.kubernetes,
            account=settings.accounts.account(job.owner) if settings.accounts else None,
        )

    async def _follow(self, tracked: Tracked, supervisor: Supervised, tries: int = 0) -> None:
        """Accompany an attempt from its start to its end; *tries*: how many of its supervisors have died before this one."""
        run = self.run_dir(tracked.job)
        try:
            await self._note_start(tracked, run, supervisor)
        except Exception:
            log.exception("the start of job %s cannot be written down; its end will be", tracked.job.id)
        await supervisor.gone()
        supervisor.close()
        tracked.supervisor = None
        if self._goes_on_without(tracked.job, run):
            await self._launch_later(tracked, tries)
        else:
            await self._conclude(tracked, run)

    def _goes_on_without(self, job: Job, run: RunDir) -> bool:
        """Return whether a supervisor that is gone is to be followed by another: Slurm and Kubernetes still have the ranks."""
        return job.spec.batch and job.state is not JobState.STOPPING and run.exit() is None

    async def _note_start(self, tracked: Tracked, run: RunDir, supervisor: Supervised) -> None:
        attempt = tracked.job.attempt
        delay, pause = "", _START_POLL
        while (started := run.started()) is None and supervisor.alive:
            if tracked.job.spec.batch and (reason := run.delay()) != delay:
                delay = reason
                await self._tell(tracked, attempt, lifecycle.Delayed(time.time(), reason))
            await asyncio.sleep(pause)
            pause = min(1.1 * pause, _LONGEST_START_POLL)
        if started is not None:
            await self._tell(tracked, attempt, lifecycle.Started(started))

    async def _conclude(self, tracked: Tracked, run: RunDir) -> None:
        """Write down the end of an attempt whose supervisor is gone.

        What fails here would leave the job for ever where it stands: so it is tried again, for as long as only the disk
        is full; otherwise, in the end, the attempt counts as lost.
        """
        attempt, pause, tries = tracked.job.attempt, _FIRST_PAUSE, 0
        while tries < _TRIES:
            try:
                await self._tell_end(tracked, attempt, run)
            except ServerBusy:
                if self._store.broken:
                    return  # the records stay where they are, for the next server
                await asyncio.sleep(_DISK_PAUSE)
            except Exception:
                tries += 1
                log.exception("the end of job %s cannot be written down; again in %g s", tracked.job.id, pause)
                await asyncio.sleep(pause)
                pause *= 2
            else:
                return
        await self._tell(
            tracked, attempt, lifecycle.ContactLost(time.time(), f"its records in {run.path} cannot be read")
        )

    async def _tell(self, tracked: Tracked, attempt: int, happening: Happening, notes: Sequence[str] = ()) -> None:
        """Let something happen to an attempt, unless the job has gone on without it."""
        if tracked.job.attempt == attempt and tracked.job.state.holds_slots:
            await self._apply(tracked, happening, notes)

    async def _tell_end(self, tracked: Tracked, attempt: int, run: RunDir) -> None:
        notes = await self._collect(tracked, run)
        ended: Exit | None = run.exit()
        reach("end-unwritten")
        if ended is None:
            lost = lifecycle.ContactLost(time.time(), "its supervisor died without a record of the end")
            await self._tell(tracked, attempt, lost, notes)
            return
        event = lifecycle.Ended(ended.finished, ended.exit_code, ended.reason, ended.stopped, ended.kind)
        await self._tell(tracked, attempt, event, [*ended.notes, *notes])
        self._remains.fetch(tracked.job.id, attempt)

    async def _collect(self, tracked: Tracked, run: RunDir) -> list[str]:
        """Write down what the supervisor did not come to send of the journal; return what a person should know."""
        job = tracked.job
        done = await asyncio.to_thread(self._store.reader.progress, tracked.number, job.attempt)
        try:
            if await asyncio.to_thread(journal.last_sequence, run.journal) <= done:
                return []
            reader = run.reports(run.order())
            while lines := await asyncio.to_thread(reader.read):
                await self._report(job.id, job.attempt, lines)
        except OSError as error:
            return [f"its journal cannot be read: {error.strerror or error}"]
        return []

    async def _sweep(self, tracked: Tracked) -> None:
        """End whatever an attempt without a supervisor left behind; as long as that fails, nobody is told that it has."""
        job, pause = tracked.job, _FIRST_PAUSE
        while True:
            try:
                notes = await self._end_remains(tracked)
            except OSError:
                log.exception("what is left of job %s cannot be ended; again in %g s", job.id, pause)
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
            else:
                break
        await self._tell(tracked, job.attempt, lifecycle.FoundDead(time.time()), notes)
        self._remains.fetch(job.id, job.attempt)

    async def _end_remains(self, tracked: Tracked) -> list[str]:
        """End the processes that an attempt may have, wherever they are; return what a person should know."""
        job = tracked.job

        def left() -> list[processes.Process]:
            return processes.tagged(job.id, job.attempt)

        await asyncio.to_thread(processes.end, left, self._settings.grace)
        with suppress(FileNotFoundError):  # it came to its end before it came to an order
            if job.spec.batch:
                await asyncio.to_thread(batch.sweep, self.run_dir(job))
            order = await asyncio.to_thread(self.run_dir(job).order)
            if order.elsewhere:
                await asyncio.to_thread(elsewhere.sweep, order)
                return await self._gather(tracked)
        return []

    async def _gather(self, tracked: Tracked) -> list[str]:
        """Fetch what is left elsewhere of an attempt without a supervisor; return what to tell of what cannot be reached."""
        run = self.run_dir(tracked.job)
        try:
            if not await asyncio.to_thread(elsewhere.gather, run):
                return [alerts.owed(run.owed())]
            notes = await self._collect(tracked, run)
            if run.owed():
                run.note_owed([])
        except (OSError, ServerBusy):
            log.exception("what job %s left on its hosts cannot be written down; it will be later", tracked.job.id)
            return []
        return notes
