"""The one place where things are done to jobs: applies what happens to them, writes it down, performs actions."""

from __future__ import annotations

import asyncio
import functools
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from ..access import rules as access
from ..access.rules import AuditRecord, Quota
from ..errors import InvalidRequest, JobNotFound, JobStateConflict, ServerBusy, SweepNotFound
from ..failpoints import reach
from ..files import trash
from ..files.uploads import Uploads
from ..home import Home
from ..jobs import lifecycle
from ..jobs.alerts import OWED, SILENT, alert_of, heard_again, warned
from ..jobs.causes import Cause
from ..jobs.job import Alert, Event, Job, JobState, StateChanged, Sweep
from ..jobs.lifecycle import Action, Happening
from ..jobs.policies import check_priority, check_sweep
from ..jobs.spec import JobSpec, SweepSpec
from ..jobs.sweeps import job_specs
from ..store import JobFilter, Store
from ..supervisor.attempt import RunDir
from ..supervisor.journal import Line
from .admission import Admission, Identities
from .attempts import Attempts, Settings
from .dispatch import Dispatcher
from .remains import Remains
from .retention import Retention, forget_job, forget_uploads
from .stalls import StallWatch
from .sweeping import EarlyStopper
from .tracked import Tracked
from .work import Work

Answer = TypeVar("Answer")

_TRACK_POLL = 0.01
_DISK_PAUSE = 1.0
_CANCEL_PATIENCE = 3.0
"""Seconds that a cancel waits for a full disk before it is answered."""
log = logging.getLogger(__name__)


class Control:
    """Queue, running attempts and their ends, for one home folder."""

    def __init__(self, home: Home, store: Store, settings: Settings) -> None:
        self.settings = settings
        self._home = home
        self._store = store
        self._tracked: dict[str, Tracked] = {}
        self._readers = ThreadPoolExecutor(2, thread_name_prefix="store-reader")
        self.uploads = Uploads(home)
        self._work = Work()
        self._deletions: dict[str, asyncio.Task[None]] = {}
        self._identities = Identities()
        self._remains = Remains(home, store, self.find, self.report)
        self._attempts = Attempts(home, store, settings, self._apply, self.report, self._remains)
        self.quotas = {quota.user: quota for quota in store.reader.quotas()}
        """By user; no entry: no limit."""
        self._dispatcher = Dispatcher(
            self._tracked, settings, self._apply, self._state_of, self._sweep_spec, self.quotas
        )
        self._admission = Admission(
            settings, self.uploads, self._tracked, self.quotas, self._state_of, self._knows, self.read
        )
        self._stalls = StallWatch(self._tracked, settings.stall_after, self._tell_silence)
        self._early_stopper = EarlyStopper(store, self._sweep_spec, self._stop_early)

    def __repr__(self) -> str:
        return f"Control({self._home.path}, {len(self._tracked)} unfinished jobs)"

    async def adopt(self) -> int:
        """Take up the unfinished jobs of the server before; return how many attempts are alive."""
        reader = self._store.reader
        await self.read(self.uploads.clean)
        await self.read(trash.finish, self._home, lambda job_id: reader.state(job_id) is not None)
        for number, job in await self.read(reader.unfinished):
            cursor = await self.read(reader.last_cursor, number)
            self._tracked[job.id] = Tracked(number, job, cursor)
        alive = 0
        for tracked in list(self._tracked.values()):
            if tracked.job.state.holds_slots:
                alive += await self._attempts.take_up(tracked)
            await self._dispatcher.learn(tracked)
        self._work.spawn(asyncio.to_thread(self._store.check_metrics))
        self._work.spawn(self._attempts.sweep_strays(self._tracked.__contains__))
        self._work.spawn(self._remains.fetch_all())
        self._work.spawn(self._dispatcher.run())
        self._work.spawn(self._stalls.run())
        self._work.spawn(forget_uploads(self.settings.keep_uploads, self.uploads, self._needed_uploads))
        if self.settings.keep_finished is not None:
            old = functools.partial(self.read, reader.finished)
            self._work.spawn(Retention(self.settings.keep_finished, old, self.delete).run())
        return alive

    async def submit(self, spec: JobSpec, request_id: str, packed: bytes | None = None) -> Job:
        """Accept a job: when this returns, it is on disk. *packed*: the spec, serialised, if at hand.

        Raises InvalidRequest, RequestIdTaken, QuotaExceeded.
        """
        await self._admission.check([spec], request_id)
        job = self._new_job(spec)
        most = self._admission.most_queued([job])
        access.about(job.id)
        entered = StateChanged(0, job.created, job.state)
        number, made = await self._store.insert(job, request_id, entered, most, packed)
        reach("submit-stored")
        if made.id != job.id:
            return await self.get(made.id)
        await self._track(number, job)
        return self._dispatcher.explained(job, new=True)

    async def submit_sweep(self, spec: SweepSpec, request_id: str) -> Sweep:
        """Accept a sweep and all of its jobs at once. Raises InvalidRequest, RequestIdTaken."""
        check_sweep(spec)
        identity = self._identities.new()
        specs = job_specs(identity, spec)
        await self._admission.check(specs, request_id)
        jobs = tuple(self._new_job(each, sweep=identity) for each in specs)
        most = self._admission.most_queued(jobs)
        sweep = Sweep(identity, spec, time.time(), jobs)
        access.about(identity)
        made, numbers = await self._store.insert_sweep(sweep, request_id, most)
        for number, job in zip(numbers, jobs, strict=False):
            await self._track(number, job)
        return await self.sweep(made)

    async def cancel(self, job_id: str) -> Job:
        """Ask for a job to be ended; a finished one stays as it is. Raises JobNotFound.

        Raises ServerBusy if that cannot be written down; its processes are ended all the same.
        """
        tracked = self._tracked.get(job_id)
        if tracked is not None:
            access.check_own(tracked.job.owner, f"job {job_id}")
            asked = self._work.spawn(self._apply(tracked, lifecycle.CancelAsked(time.time())))
            done, _ = await asyncio.wait({asked}, timeout=_CANCEL_PATIENCE)
            if not done:
                raise ServerBusy(
                    f"job {job_id} is being ended, but that cannot be written down", "its disk is full", "make room"
                )
            asked.result()
        return await self.get(job_id)

    async def cancel_sweep(self, sweep_id: str) -> Sweep:
        """Ask for all jobs of a sweep to be ended. Raises SweepNotFound."""
        for job in (await self.sweep(sweep_id)).jobs:
            await self.cancel(job.id)
        return await self.sweep(sweep_id)

    async def pause(self, job_id: str) -> Job:
        """Take a job off its slots or off the queue. Raises JobNotFound, JobStateConflict."""
        return await self._ask(job_id, lifecycle.PauseAsked(time.time()), "pause")

    async def resume(self, job_id: str) -> Job:
        """Put a paused job back into the queue. Raises JobNotFound, JobStateConflict."""
        return await self._ask(job_id, lifecycle.ResumeAsked(self._dispatcher.now()), "resume")

    async def change_priority(self, job_id: str, priority: int) -> Job:
        """Give a job another priority. Raises JobNotFound, JobStateConflict, InvalidRequest."""
        check_priority(priority)
        return await self._ask(job_id, lifecycle.PriorityChanged(time.time(), priority), "change the priority of")

    async def delete(self, job_id: str) -> None:
        """Forget a finished job and its files. Raises JobNotFound, JobStateConflict, ServerBusy."""
        number, job, tracked = await self.find(job_id)
        access.check_own(job.owner, f"job {job_id}")
        if tracked is not None:
            raise JobStateConflict(
                f"cannot delete job {job_id}", f"it is {job.state}", f"first: allgrad cancel {job_id}", job_id=job_id
            )
        if other := self._dispatcher.needed_by(job_id):
            raise JobStateConflict(
                f"cannot delete job {job_id}",
                f"job {other} depends on it",
                "wait for that one, or cancel it",
                job_id=job_id,
            )
        if job_id not in self._deletions:
            self._deletions[job_id] = self._work.spawn(self._forget(number, job))
        await asyncio.shield(self._deletions[job_id])  # it goes on if that takes longer than who asked for it waits

    async def get(self, job_id: str) -> Job:
        """Return a job, one that waits with the reason why. Raises JobNotFound."""
        _, job, _ = await self.find(job_id)
        return self._dispatcher.explained(job)

    async def find(self, job_id: str) -> tuple[int, Job, Tracked | None]:
        """Return number, record and, unless it is finished, the tracked job. Raises JobNotFound."""
        while True:
            tracked = self._tracked.get(job_id)
            if tracked is not None:
                return tracked.number, tracked.job, tracked
            found = await self.read(self._store.reader.job, job_id)
            if found is None:
                raise JobNotFound(f"no job {job_id!r}", "the server has none of that id", "see: allgrad list")
            if found[1].state.terminal:
                return found[0], found[1], None
            await asyncio.sleep(_TRACK_POLL)  # it is on disk, and about to be tracked

    async def explain(self, job_id: str) -> tuple[Job, list[Cause], float | None]:
        """Return a job, what keeps it from running if it waits, and its latest start if known. Raises JobNotFound."""
        _, job, tracked = await self.find(job_id)
        if tracked is None:
            return job, [], None
        latest = self._dispatcher.plan.latest_start(job_id)
        return self._dispatcher.explained(job), self._dispatcher.causes(job), latest

    async def page(self, wanted: JobFilter, below: int, limit: int) -> list[tuple[int, Job]]:
        """Return up to *limit* jobs that are *wanted* and whose number is under *below*, newest first."""
        found = await self.read(self._store.reader.page, wanted, below, limit)
        return [(number, self._dispatcher.explained(job)) for number, job in found]

    async def sweep(self, sweep_id: str) -> Sweep:
        """Return a sweep with its jobs. Raises SweepNotFound."""
        found = await self.read(self._store.reader.sweep, sweep_id)
        if found is None:
            raise SweepNotFound(f"no sweep {sweep_id!r}", "the server has none of that id", "see: allgrad sweeps")
        return replace(found, jobs=tuple(map(self._dispatcher.explained, found.jobs)))

    async def sweeps(self, below: int, limit: int) -> list[tuple[int, Sweep]]:
        """Return up to *limit* sweeps whose number is under *below*, newest first."""
        return await self.read(self._store.reader.sweeps, below, limit)

    async def set_quota(self, quota: Quota) -> Quota:
        """Limit what a user may have at once. Raises InvalidRequest."""
        access.check_quota(quota)
        access.about(quota.user)
        await self._store.set_quota(quota)
        self.quotas[quota.user] = quota
        self._dispatcher.wake()
        return quota

    async def audit(self, below: int, limit: int) -> list[AuditRecord]:
        """Return up to *limit* records of the audit log whose number is under *below*, newest first."""
        return await self.read(self._store.reader.audit, below, limit)

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
            reach("report-stored")
            if appended.batches:
                tracked.advance(appended.job, appended.batches[-1].upto, appended.batches)
        await self._stalls.hear(tracked, lines)
        await self._early_stopper.look(job, lines)
        return appended.sequence

    async def read(self, question: Callable[..., Answer], *values: object) -> Answer:
        """Ask the store, or a file, without holding up anybody."""
        return await asyncio.get_running_loop().run_in_executor(self._readers, question, *values)

    async def events(self, number: int, after: int, upto: int, limit: int) -> Sequence[tuple[int, bytes]]:
        """Return serialised events of job *number* after one cursor, up to another."""
        return await self.read(self._store.reader.events, number, after, upto, limit)

    async def last_cursor(self, number: int) -> int:
        """Return the last cursor of job *number*."""
        return await self.read(self._store.reader.last_cursor, number)

    def output_dir(self, job: Job) -> Path:
        """Return where a job keeps what should remain."""
        return self._home.output_dir(job.id)

    async def keep_upload(self, digest: str, plain: bool) -> None:
        """Check an upload of which all has arrived, and keep it. Raises InvalidRequest."""
        await self._store.note_upload(digest, await asyncio.to_thread(self.uploads.complete, digest, plain))

    def run_dir(self, job: Job, attempt: int = 0) -> RunDir:
        """Return the folder of an attempt, by default the present one."""
        return self._attempts.run_dir(job, attempt)

    @property
    def sound(self) -> bool:
        """Whether the disk has done all that it was asked to."""
        return self._store.broken is None

    def free_slots(self) -> Mapping[str, int]:
        """Return how many slots of the server's machine, and of each of its hosts, no attempt holds."""
        return self._dispatcher.plan.free

    def count(self, *, running: bool) -> int:
        """Return how many jobs have processes, or else how many wait for slots."""
        states = [tracked.job.state for tracked in self._tracked.values()]
        return sum(state.holds_slots for state in states) if running else states.count(JobState.QUEUED)

    async def close(self) -> None:
        """Let go of everything. The supervisors and their ranks live on."""
        await self._work.close()
        await self._attempts.work.close()
        await self._remains.work.close()
        for tracked in self._tracked.values():
            if tracked.supervisor is not None:
                tracked.supervisor.close()
        self._readers.shutdown()

    def _needed_uploads(self) -> set[str]:
        specs = [tracked.job.spec for tracked in self._tracked.values()]
        return {digest for spec in specs for digest in (spec.archive, spec.resume_from) if digest}

    def _new_job(self, spec: JobSpec, sweep: str = "") -> Job:
        now, identity = self._dispatcher.now(), self._identities.new()
        return Job(
            identity,
            spec,
            created=now,
            output_dir=str(self._home.output_dir(identity)),
            priority=spec.priority,
            queued=now,
            sweep=sweep,
            owner=access.caller().user,
        )

    async def _forget(self, number: int, job: Job) -> None:
        try:
            await forget_job(self._home, self._store, number, job)
        finally:
            del self._deletions[job.id]

    async def _track(self, number: int, job: Job) -> None:
        tracked = self._tracked[job.id] = Tracked(number, job, 1)
        await self._dispatcher.learn(tracked)

    async def _ask(self, job_id: str, happening: Happening, verb: str) -> Job:
        """Let *happening* happen to a job; raise JobStateConflict if it cannot."""
        _, job, tracked = await self.find(job_id)
        access.check_own(job.owner, f"job {job_id}")
        if tracked is None or not lifecycle.possible(job, type(happening)):
            fix = "" if job.state.terminal else f"see: allgrad why {job_id}"
            raise JobStateConflict(f"cannot {verb} job {job_id}", f"it is {job.state}", fix, job_id=job_id)
        await self._apply(tracked, happening)
        return await self.get(job_id)

    async def _state_of(self, job_id: str) -> JobState | None:
        return await self.read(self._store.reader.state, job_id)

    async def _knows(self, request_id: str) -> bool:
        return await self.read(self._store.reader.knows, request_id)

    async def _sweep_spec(self, sweep_id: str) -> SweepSpec | None:
        return await self.read(self._store.reader.sweep_spec, sweep_id)

    async def _stop_early(self, job_id: str, reason: str) -> None:
        if tracked := self._tracked.get(job_id):
            await self._apply(tracked, lifecycle.CancelAsked(time.time(), reason))

    async def _tell_silence(self, tracked: Tracked, message: str) -> None:
        """Tell that a job has become silent, or is heard again. Raises ServerBusy if it cannot be written down."""
        async with tracked.lock:
            if tracked.job.state is JobState.RUNNING:
                job = warned(tracked.job, message) if message.startswith(SILENT) else heard_again(tracked.job)
                alert = Alert(0, time.time(), message)
                tracked.advance(job, await self._store.save(tracked.number, job, [alert]))

    async def _apply(self, tracked: Tracked, happening: Happening, notes: Sequence[str] = ()) -> None:
        """Let something happen to a job: decide by the table, write down, show, act."""
        async with tracked.lock:
            before = tracked.job
            job, actions = lifecycle.after(before, happening)
            for note in notes:
                job = warned(job, note) if note.startswith(OWED) else job
            events: list[Event] = [Alert(0, happening.time, note) for note in notes]
            if (job.state, job.reason) != (before.state, before.reason):
                change = StateChanged(0, happening.time, job.state, job.reason, job.exit_code, job.attempt)
                events.append(change)
            if job != before or events:
                ends = [action for action in actions if isinstance(action, lifecycle.Stop)]
                tracked.advance(job, await self._save(tracked, job, events, ends))
                reach("before-actions")
            for action in actions:
                self._attempts.perform(tracked, action)
        self._dispatcher.wake()
        if job.state.terminal and job.id in self._tracked:
            del self._tracked[job.id]
            log.info("job %s %s %s", job.id, job.state, job.reason)
            self._dispatcher.forget(job)
            self._early_stopper.forget(job)

    async def _save(self, tracked: Tracked, job: Job, events: Sequence[Event], ends: Sequence[Action]) -> int:
        """Write down what has happened, however long the disk is full: it cannot be taken back.

        What *ends* processes does not wait for that.
        """
        while True:
            try:
                return await self._store.save(tracked.number, job, events)
            except ServerBusy as error:
                for action in ends:
                    self._attempts.perform(tracked, action)
                ends = ()
                if self._store.broken:
                    raise
                log.warning("%s", error)
                await asyncio.sleep(_DISK_PAUSE)
