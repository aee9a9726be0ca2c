"""Who may start, who must make room, and why the others wait: pure functions of one situation.

Jobs stand in line by priority, and every AGEING seconds of waiting count as much as one step of priority. A job starts
with all of its slots at once. The first that does not fit is the head: it has its slots reserved for the time at which
enough of the running ones must have ended, and only what leaves that time untouched may overtake it.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from operator import attrgetter

from ..access.rules import Quota
from .causes import AboutToStart, Backoff, Cause, Crowded, NeedsJob, NeedsServer, NeedsSlots, NeedsTurn, OverQuota
from .job import JobState
from .spec import After, Dependency

AGEING = 600.0
"""Seconds of waiting that weigh as much as one step of priority."""
_RANK = attrgetter("rank")
_ENDED = frozenset({JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED})


@dataclass(frozen=True, slots=True)
class Waiting:
    """A job in the queue. Times are seconds since the epoch."""

    id: str
    number: int
    slots: int
    queued: float
    priority: int = 0
    limit: float = math.inf
    """Seconds after which it has surely ended once it has started."""
    not_before: float = 0.0
    after: tuple[Dependency, ...] = ()
    group: str = ""
    """The sweep that it belongs to."""
    user: str = ""

    rank: tuple[float, int] = field(init=False)
    """The lowest starts first. It does not depend on the hour: two jobs never change places by waiting."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "rank", (self.queued - AGEING * self.priority, self.number))


@dataclass(frozen=True, slots=True)
class Running:
    """A job that holds slots."""

    id: str
    slots: int
    priority: int = 0
    ends_by: float = math.inf
    """When it has surely ended."""
    started: float = 0.0
    preemptible: bool = False
    leaving: bool = False
    """It has been told to stop."""
    group: str = ""
    user: str = ""


@dataclass(frozen=True, slots=True)
class Situation:
    """All that a decision depends on."""

    now: float
    slots: int
    waiting: Sequence[Waiting]
    running: Sequence[Running]
    states: Mapping[str, JobState] = field(default_factory=dict)
    """Of the jobs that waiting ones depend on."""
    parallel: Mapping[str, int] = field(default_factory=dict)
    """How many jobs of a group may run at once; no entry: as many as fit."""
    quotas: Mapping[str, Quota] = field(default_factory=dict)
    """What users may have running at once; no entry: no limit."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What is to be done now."""

    start: tuple[str, ...] = ()
    preempt: tuple[tuple[str, str], ...] = ()
    """Jobs that must make room, each with the one that it makes room for."""
    doomed: tuple[tuple[str, str], ...] = ()
    """Jobs that can never start, each with the reason."""
    look_again: float = math.inf
    """When a pause ends, if nothing happens before."""


@dataclass(frozen=True, slots=True)
class Reservation:
    """The time at which the head starts at the latest, and the slots that are still free then."""

    at: float
    spare: int


class Plan:
    """What follows from a situation. Nothing is worked out before it is asked for."""

    def __init__(self, situation: Situation) -> None:
        self._now = situation
        self._free = situation.slots - sum(job.slots for job in situation.running)

    def __repr__(self) -> str:
        return f"Plan({len(self._now.waiting)} waiting, {self._free} of {self._now.slots} slots free)"

    @property
    def free(self) -> int:
        """How many slots nobody holds."""
        return self._free

    @cached_property
    def decision(self) -> Decision:
        """What is to be done."""
        return Decision(
            start=tuple(job.id for job in self._starting),
            preempt=tuple(self._preempted()),
            doomed=tuple(self._sorted.doomed),
            look_again=self._sorted.look_again,
        )

    @property
    def line(self) -> Sequence[Waiting]:
        """The jobs that wait for slots only, in the order in which they are to start."""
        return self._sorted.line

    @cached_property
    def _sorted(self) -> _Sorted:
        now, slots, states = self._now.now, self._now.slots, self._now.states
        found = _Sorted()
        for job in self._now.waiting:
            if job.after and not _all_met(job.after, states):
                if spoiler := _spoiler(job.after, states):
                    found.doomed.append((job.id, spoiler))
            elif job.not_before > now:
                found.look_again = min(found.look_again, job.not_before)
            elif job.slots <= slots:
                found.line.append(job)
        found.line.sort(key=lambda job: (job.slots > 0, _RANK(job)))  # who takes nothing waits for nobody
        return found

    @cached_property
    def head(self) -> Waiting | None:
        """The first job in line that does not fit."""
        return self._outcome[1]

    @cached_property
    def reservation(self) -> Reservation:
        """When the head starts at the latest."""
        return self._outcome[2]

    def causes(self, job: Waiting, states: Mapping[str, JobState] | None = None) -> list[Cause]:
        """Return what keeps a waiting job from starting: each cause would suffice.

        *states*: of the jobs that it depends on, if it has come after the situation that this is the plan of.
        """
        if job.slots > self._now.slots:
            return [NeedsServer(job.slots, self._now.slots)]
        known = self._now.states if states is None else states
        found: list[Cause] = [
            NeedsJob(need, known.get(need.job_id, JobState.UNKNOWN))
            for need in job.after
            if not _met(need, known.get(need.job_id))
        ]
        if job.not_before > self._now.now:
            found.append(Backoff(job.not_before))
        limit = self._now.parallel.get(job.group)
        if limit and job.id not in self._starting_ids and self._busy_soon.get(job.group, 0) >= limit:
            found.append(Crowded(job.group, limit))
        if job.id not in self._starting_ids and self._usage_soon.forbids(job):
            found.append(OverQuota(self._now.quotas[job.user]))
        return found or list(self._place_causes(job))

    def unmoved_by(self, coming: Waiting, states: Mapping[str, JobState]) -> bool:
        """Return whether the decision stays the same with *coming*, which joins the queue last, as one more job.

        *states*: of the jobs that it depends on. False where finding out would take a new plan.
        """
        if coming.after and not _all_met(coming.after, states):
            return not _spoiler(coming.after, states)
        return coming.slots > 0 >= self._free and coming.priority <= self._lowest_preemptible

    def latest_start(self, job_id: str) -> float | None:
        """Return when a job starts at the latest: known only of the head of the line."""
        head = self.head
        return self.reservation.at if head and head.id == job_id and self.reservation.at < math.inf else None

    def _place_causes(self, job: Waiting) -> Iterator[Cause]:
        head = self.head
        if job.id in self._starting_ids or (head is None and job.slots <= self._free):
            yield AboutToStart()
            return
        first = head is None or job.rank <= head.rank
        if job.slots > self._free or first:
            yield NeedsSlots(job.slots, self._free, self._now.slots)
        if head is not None and not first:
            yield NeedsTurn(head.id, bisect_left(self.line, job.rank, key=_RANK))

    @cached_property
    def _lowest_preemptible(self) -> float:
        """The lowest priority of a running job that could be made to leave."""
        possible = (job.priority for job in self._now.running if job.preemptible and not job.leaving)
        return min(possible, default=math.inf)

    @cached_property
    def _starting_ids(self) -> frozenset[str]:
        return frozenset(job.id for job in self._starting)

    @cached_property
    def _busy(self) -> Mapping[str, int]:
        """How many jobs of each group run."""
        busy: dict[str, int] = {}
        for job in self._now.running:
            if job.group:
                busy[job.group] = busy.get(job.group, 0) + 1
        return busy

    @cached_property
    def _busy_soon(self) -> Mapping[str, int]:
        """How many jobs of each group run once those that may start have started."""
        busy = dict(self._busy)
        for job in self._starting:
            busy[job.group] = busy.get(job.group, 0) + 1
        return busy

    @cached_property
    def _usage_soon(self) -> _Usage:
        """What users have once those that may start have started."""
        return _Usage(self._now.quotas, [*self._now.running, *self._starting])

    @cached_property
    def _starting(self) -> Sequence[Waiting]:
        return self._outcome[0]

    @cached_property
    def _outcome(self) -> tuple[list[Waiting], Waiting | None, Reservation]:
        """Return who starts, who is the head, and its reservation."""
        free, busy = self._free, dict(self._busy)
        usage = _Usage(self._now.quotas, self._now.running)
        chosen: list[Waiting] = []
        head: Waiting | None = None
        reserved = Reservation(math.inf, 0)
        for job in self.line:
            if head is not None and free <= 0:
                break
            limit = self._now.parallel.get(job.group)
            if (limit and busy.get(job.group, 0) >= limit) or usage.forbids(job):
                continue
            if head is None and job.slots > max(0, free):
                head = job
                reserved = self._reserve(job, free, chosen)
                continue
            if head is not None:
                if job.slots > free or not self._harmless(job, reserved):
                    continue
                if self._now.now + job.limit > reserved.at:
                    reserved = Reservation(reserved.at, reserved.spare - job.slots)
            chosen.append(job)
            free -= job.slots
            usage.add(job)
            if job.group:
                busy[job.group] = busy.get(job.group, 0) + 1
        return chosen, head, reserved

    def _harmless(self, job: Waiting, reserved: Reservation) -> bool:
        """Return whether the head starts no later than reserved if *job* overtakes it."""
        if reserved.at == math.inf:
            return False
        return self._now.now + job.limit <= reserved.at or job.slots <= reserved.spare

    def _reserve(self, head: Waiting, free: int, chosen: Sequence[Waiting]) -> Reservation:
        """Return when *head* starts at the latest, if all jobs before it use the whole time that they may."""
        ends = [(job.ends_by, job.slots) for job in self._now.running]
        ends += [(self._now.now + job.limit, job.slots) for job in chosen]
        for at, slots in sorted(ends):
            free += slots
            if free >= head.slots:
                return Reservation(at, free - head.slots)
        return Reservation(math.inf, 0)

    def _preempted(self) -> Iterator[tuple[str, str]]:
        """Yield as few jobs of lower priority as make room for the head, the lowest and youngest first."""
        head = self.head
        if head is None:
            return
        coming = self._free - sum(job.slots for job in self._starting)
        coming += sum(job.slots for job in self._now.running if job.leaving)
        possible = [
            job for job in self._now.running if job.preemptible and not job.leaving and job.priority < head.priority
        ]
        chosen: list[Running] = []
        for job in sorted(possible, key=lambda job: (job.priority, -job.started)):
            if coming >= head.slots:
                break
            chosen.append(job)
            coming += job.slots
        if coming < head.slots:
            return
        for job in sorted(chosen, key=lambda job: job.slots):  # whom it turned out not to take
            if coming - job.slots >= head.slots:
                chosen.remove(job)
                coming -= job.slots
        yield from ((job.id, head.id) for job in chosen)


class _Usage:
    """How many jobs and slots the users with a quota have."""

    def __init__(self, quotas: Mapping[str, Quota], jobs: Iterable[Waiting | Running]) -> None:
        self._quotas = quotas
        self._jobs: Counter[str] = Counter()
        self._slots: Counter[str] = Counter()
        for job in jobs if quotas else ():
            self.add(job)

    def add(self, job: Waiting | Running) -> None:
        """Count a job."""
        if job.user in self._quotas:
            self._jobs[job.user] += 1
            self._slots[job.user] += job.slots

    def forbids(self, job: Waiting) -> bool:
        """Return whether its user may not have *job* besides."""
        quota = self._quotas.get(job.user)
        if quota is None:
            return False
        crowded = 0 < quota.running <= self._jobs[job.user]
        return crowded or 0 < quota.slots < self._slots[job.user] + job.slots


@dataclass(slots=True)
class _Sorted:
    """The waiting jobs by what is to become of them."""

    line: list[Waiting] = field(default_factory=list)
    doomed: list[tuple[str, str]] = field(default_factory=list)
    look_again: float = math.inf
    """When the first of those that pause after a failure comes to the line."""


def _all_met(after: Sequence[Dependency], states: Mapping[str, JobState]) -> bool:
    return all([_met(need, states.get(need.job_id)) for need in after])  # noqa: C419 -- three times as fast for one or two


def _spoiler(after: Sequence[Dependency], states: Mapping[str, JobState]) -> str:
    """Return why one of *after* can never be met, or ""."""
    for need in after:
        state = states.get(need.job_id)
        if need.condition is After.SUCCESS and state in _ENDED and state is not JobState.SUCCEEDED:
            became = "failed" if state is JobState.FAILED else "been cancelled"
            return f"job {need.job_id}, after whose success it was to run, has {became}"
    return ""


def _met(need: Dependency, state: JobState | None) -> bool:
    if need.condition is After.SUCCESS:
        return state is JobState.SUCCEEDED
    return state in _ENDED
