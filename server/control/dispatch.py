"""The scheduler's loop: shows it the jobs as they are, lets happen what it decides, and explains who waits why."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace

from ..access.rules import Quota
from ..jobs import cores, lifecycle
from ..jobs.causes import Cause, InBatchQueue, OnHold
from ..jobs.job import Job, JobState
from ..jobs.scheduler import Plan, Running, Situation, Waiting
from ..jobs.slots import HERE
from ..jobs.spec import SweepSpec
from .attempts import Apply, Settings
from .tracked import Tracked

_START_TIME = 5.0
"""Seconds that an attempt may take to start and to be ended, beside its max_runtime and its grace."""
_AFTER_FAILURE = 1.0
_LONG = 100
"""The plan of more jobs than that explains them for _REUSE times as long as it took to make, though things have changed since."""
_REUSE = 20.0
_REST = 4.0
"""Times as long as deciding took that others have before the next decision."""
log = logging.getLogger(__name__)


class Dispatcher:
    """Decides over the jobs in *tracked*, which others change; wake() tells it when they have.

    *state_of* returns the state of a job that is not tracked, or None; *sweep_spec* the spec of a sweep;
    *quotas* is what users may have.
    """

    def __init__(
        self,
        tracked: Mapping[str, Tracked],
        settings: Settings,
        apply: Apply,
        state_of: Callable[[str], Awaitable[JobState | None]],
        sweep_spec: Callable[[str], Awaitable[SweepSpec | None]],
        quotas: Mapping[str, Quota],
    ) -> None:
        self._tracked = tracked
        self._settings = settings
        self._apply = apply
        self._state_of = state_of
        self._sweep_spec = sweep_spec
        self._quotas = quotas
        self._ended: dict[str, JobState] = {}
        self._needed: Counter[str] = Counter()
        self._members: Counter[str] = Counter()
        self._parallel: dict[str, int] = {}
        self._views: dict[str, tuple[Job, Waiting]] = {}
        self._woken = asyncio.Event()
        self._plan = Plan(Situation(0.0, settings.room, (), ()))
        self._stale = True
        self._grown = False
        """Whether jobs have come since the plan was made that leave its decision as it is."""
        self._plan_ends = math.inf
        self._plan_serves_until = 0.0
        self._queued_last = 0.0

    def __repr__(self) -> str:
        return f"Dispatcher({len(self._tracked)} jobs)"

    def now(self) -> float:
        """Return the time at which a job enters the queue: it never falls, even if the clock does."""
        self._queued_last = max(self._queued_last, time.time())
        return self._queued_last

    async def learn(self, tracked: Tracked) -> None:
        """Get to know a job, and what it depends on."""
        job = tracked.job
        self._queued_last = max(self._queued_last, job.queued)
        for need in job.spec.after:
            self._needed[need.job_id] += 1
        self._members[job.sweep] += 1
        for need in job.spec.after:
            if need.job_id not in self._tracked and need.job_id not in self._ended:
                state = await self._state_of(need.job_id)
                if need.job_id in self._needed:  # else it has been cancelled meanwhile, and forgotten
                    self._ended[need.job_id] = state or JobState.CANCELLED
        if job.sweep and job.sweep not in self._parallel:
            spec = await self._sweep_spec(job.sweep)
            if job.sweep in self._members:
                self._parallel[job.sweep] = spec.max_parallel if spec else 0
        if self._changes_nothing(tracked):
            self._grown = True
        else:
            self.wake()

    def forget(self, job: Job) -> None:
        """Take note that *job*, which learn() was told of, has ended; what only it depended on is forgotten."""
        self._views.pop(job.id, None)
        for need in job.spec.after:
            if _counted_down(self._needed, need.job_id):
                self._ended.pop(need.job_id, None)
        if _counted_down(self._members, job.sweep):
            self._parallel.pop(job.sweep, None)
        if job.id in self._needed:
            self._ended[job.id] = job.state
        self.wake()

    def needed_by(self, job_id: str) -> str | None:
        """Return a job that has not ended and depends on *job_id*, or None."""
        if job_id not in self._needed:
            return None
        every = (tracked.job for tracked in self._tracked.values())
        return next((job.id for job in every if any(need.job_id == job_id for need in job.spec.after)), None)

    def wake(self) -> None:
        """Take note that something has changed on which a decision may depend."""
        self._stale = True
        self._woken.set()

    @property
    def plan(self) -> Plan:
        """What follows from the jobs as they are."""
        if self._stale or self._grown or time.time() >= self._plan_ends:
            begun = time.monotonic()
            self._plan, self._stale, self._grown = Plan(self._situation()), False, False
            self._plan_ends = self._plan.decision.look_again
            took = time.monotonic() - begun
            self._plan_serves_until = begun + (_REUSE * took if len(self._tracked) > _LONG else 0.0)
        return self._plan

    def causes(self, job: Job) -> list[Cause]:
        """Return what keeps *job* from running, if it waits."""
        if job.state is JobState.PAUSED:
            return [OnHold(job.id)]
        if job.state is JobState.STARTING and job.reason:
            return [InBatchQueue(job.spec.launcher, job.reason)]
        return self._causes(job, self.plan) if job.state is JobState.QUEUED else []

    def explained(self, job: Job, *, new: bool = False) -> Job:
        """Return *job* with the reason why it waits, if it does: as it was a moment ago, if the queue is long.

        *new*: it has just come, so that it is enough to know what came before.
        """
        if job.state is not JobState.QUEUED or job.id not in self._tracked:
            return job
        serves = (new and not self._stale) or time.monotonic() < self._plan_serves_until
        words = "; ".join(map(str, self._causes(job, self._plan if serves else self.plan)))
        return replace(job, reason=", ".join(filter(None, (job.reason, words))))

    def _causes(self, job: Job, plan: Plan) -> list[Cause]:
        tracked = self._tracked.get(job.id)
        if tracked is None or tracked.job.state is not JobState.QUEUED:
            return []
        return plan.causes(self._waiting(tracked), self._states(job))

    def _changes_nothing(self, tracked: Tracked) -> bool:
        """Return whether a job that has just come leaves the decision as it is: then it need not be made again."""
        if self._stale or tracked.job.state is not JobState.QUEUED:
            return False
        return self._plan.unmoved_by(self._waiting(tracked), self._states(tracked.job))

    async def run(self) -> None:
        """Decide whenever something has changed, for ever."""
        while True:
            try:
                took = await self._decide()
            except Exception:
                log.exception("scheduling failed; it goes on in %g s", _AFTER_FAILURE)
                await asyncio.sleep(_AFTER_FAILURE)
                continue
            await asyncio.sleep(min(_REST * took, 0.1))
            try:
                async with asyncio.timeout(max(0.0, min(self._plan_ends - time.time(), 3600.0))):
                    await self._woken.wait()
            except TimeoutError:
                continue

    async def _decide(self) -> float:
        """Decide, and let it happen; return the seconds that the decision took."""
        self._woken.clear()
        begun = time.perf_counter()
        decision = self.plan.decision
        took = time.perf_counter() - begun
        for job_id, reason in decision.doomed:
            await self._happen(job_id, lifecycle.DependencyFailed(time.time(), reason))
        for job_id in decision.start:
            if tracked := self._tracked.get(job_id):
                granted = lifecycle.SlotsGranted(time.time(), self._cores_for(tracked.job))
                await self._happen(job_id, granted)
        for job_id, by in decision.preempt:
            await self._happen(job_id, lifecycle.PreemptAsked(time.time(), by))
        return took

    async def _happen(self, job_id: str, happening: lifecycle.Happening) -> None:
        if tracked := self._tracked.get(job_id):  # it may have ended meanwhile
            await self._apply(tracked, happening)

    def _cores_for(self, job: Job) -> tuple[int, ...]:
        held = [tracked.job.cores for tracked in self._tracked.values() if tracked.job.state.holds_slots]
        mine = self._settings.cores
        slots = dict(self._settings.demand(job.spec)).get(HERE, 0)
        return cores.assign(mine, held, slots * self._settings.threads) if mine else ()

    def _situation(self) -> Situation:
        waiting: list[Waiting] = []
        running: list[Running] = []
        now = time.time()
        for tracked in self._tracked.values():
            if tracked.job.state is JobState.QUEUED:
                waiting.append(self._waiting(tracked))
            elif tracked.job.state.holds_slots:
                running.append(self._running(tracked.job, now))
        parallel = {sweep: limit for sweep, limit in self._parallel.items() if limit}
        states = {job_id: state for job_id in self._needed if (state := self._state(job_id)) is not None}
        return Situation(now, self._settings.room, waiting, running, states, parallel, self._quotas)

    def _states(self, job: Job) -> Mapping[str, JobState]:
        """Return the states of the jobs that *job* depends on."""
        found = ((need.job_id, self._state(need.job_id)) for need in job.spec.after)
        return {job_id: state for job_id, state in found if state is not None}

    def _state(self, job_id: str) -> JobState | None:
        tracked = self._tracked.get(job_id)
        return tracked.job.state if tracked else self._ended.get(job_id)

    def _waiting(self, tracked: Tracked) -> Waiting:
        job = tracked.job
        seen = self._views.get(job.id)
        if seen is not None and seen[0] is job:
            return seen[1]
        view = Waiting(
            id=job.id,
            number=tracked.number,
            slots=self._settings.demand(job.spec),
            queued=job.queued,
            priority=job.priority,
            limit=self._limit(job),
            not_before=job.not_before,
            after=job.spec.after,
            group=job.sweep,
            user=job.owner,
        )
        self._views[job.id] = job, view
        return view

    def _running(self, job: Job, now: float) -> Running:
        # An attempt that is starting may still bear the start time of the one before.
        started = now if job.state is JobState.STARTING or job.started is None else job.started
        return Running(
            id=job.id,
            slots=self._settings.demand(job.spec),
            priority=job.priority,
            ends_by=started + self._limit(job),
            started=started,
            preemptible=job.spec.checkpoint.preemptible and job.state in (JobState.STARTING, JobState.RUNNING),
            leaving=job.state is JobState.STOPPING,
            group=job.sweep,
            user=job.owner,
        )

    def _limit(self, job: Job) -> float:
        """Return the seconds after which an attempt has surely ended."""
        spec = job.spec
        if spec.max_runtime is None:
            return math.inf
        grace = self._settings.grace if spec.checkpoint.grace is None else spec.checkpoint.grace
        return spec.max_runtime + grace + _START_TIME


def _counted_down(counter: Counter[str], key: str) -> bool:
    """Take one off *key*; return whether none is left."""
    counter[key] -= 1
    if counter[key] > 0:
        return False
    del counter[key]
    return True
