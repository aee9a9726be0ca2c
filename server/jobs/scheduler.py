"""Who may start, who must make room, and why the others wait: pure functions of one situation.

Jobs stand in line by priority, and every AGEING seconds of waiting count as much as one step of priority. A job starts
with all of its slots at once, on all of its hosts. The first that does not fit is the head of the line on its hosts: it has
its slots reserved for the time at which enough of the running ones must have ended, and of those that want slots there
only what leaves that time untouched may overtake it. Jobs that share no host never wait for each other.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from operator import attrgetter

from ..access.rules import Quota
from .causes import AboutToStart, Backoff, Cause, Crowded, NeedsJob, NeedsServer, NeedsSlots, NeedsTurn, OverQuota
from .job import JobState
from .slots import Demand, fits, give, size
from .spec import After, Dependency
from .usage import Usage

AGEING = 600.0
"""Seconds of waiting that weigh as much as one step of priority."""
_RANK = attrgetter("rank")
_ENDED = frozenset({JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED})


@dataclass(frozen=True, slots=True)
class Waiting:
    """A job in the queue. Times are seconds since the epoch."""

    id: str
    number: int
    slots: Demand
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
    slots: Demand
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
    slots: Mapping[str, int]
    """How many each host has."""
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
    """The time at which a head of the line starts at the latest, and what is still free on its hosts then."""

    head: Waiting
    at: float
    spare: dict[str, int]


class Plan:
    """What follows from a situation. Nothing is worked out before it is asked for."""

    def __init__(self, situation: Situation) -> None:
        self._now = situation
        self._free = dict(situation.slots)
        for job in situation.running:
            give(self._free, job.slots, -1)

    def __repr__(self) -> str:
        return f"Plan({len(self._now.waiting)} waiting, {self._free} of {dict(self._now.slots)} slots free)"

    @property
    def free(self) -> Mapping[str, int]:
        """How many slots of each host nobody holds."""
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
            elif fits(job.slots, slots):
                found.line.append(job)
        found.line.sort(key=lambda job: (bool(job.slots), _RANK(job)))  # who takes nothing waits for nobody
        return found

    @property
    def heads(self) -> Sequence[Reservation]:
        """The first jobs in line that do not fit, no two of them on one host, and when each starts at the latest."""
        return self._outcome[1]

    def causes(self, job: Waiting, states: Mapping[str, JobState] | None = None) -> list[Cause]:
        """Return what keeps a waiting job from starting: each cause would suffice.

        *states*: of the jobs that it depends on, if it has come after the situation that this is the plan of.
        """
        total = self._now.slots
        if not fits(job.slots, total):
            return [NeedsServer(slots, total.get(host, 0), host) for host, slots in _lacking(job, total)]
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
        stuck = all(self._free.get(host, 0) <= 0 for host, _ in coming.slots)
        return bool(coming.slots) and stuck and coming.priority <= self._lowest_preemptible

    def latest_start(self, job_id: str) -> float | None:
        """Return when a job starts at the latest: known only of heads of the line."""
        return next((each.at for each in self.heads if each.head.id == job_id and each.at < math.inf), None)

    def _place_causes(self, job: Waiting) -> Iterator[Cause]:
        lacking = _lacking(job, self._free)
        waits_for = self._shared(job)
        if job.id in self._starting_ids or not (waits_for or lacking):
            yield AboutToStart()
            return
        turns = [(head, host) for head, host in waits_for if head.rank < job.rank]
        for host, slots in lacking if lacking or turns else job.slots:
            yield NeedsSlots(slots, self._free.get(host, 0), self._now.slots[host], host)
        for head, host in turns:
            yield NeedsTurn(head.id, bisect_left(self._lines[host], job.rank, key=_RANK))

    def _shared(self, job: Waiting) -> list[tuple[Waiting, str]]:
        """Return the heads of the line that want slots of a host of *job*'s, each with the first such host."""
        shared = ([host for host, _ in job.slots if host in each.spare] for each in self.heads)
        return [(each.head, hosts[0]) for each, hosts in zip(self.heads, shared, strict=True) if hosts]

    @cached_property
    def _lines(self) -> Mapping[str, list[Waiting]]:
        """The line of each host."""
        lines: dict[str, list[Waiting]] = {}
        for job in self.line:
            for host, _ in job.slots:
                lines.setdefault(host, []).append(job)
        return lines

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
    def _usage_soon(self) -> Usage:
        """What users have once those that may start have started."""
        return Usage(self._now.quotas, [*self._now.running, *self._starting])

    @cached_property
    def _starting(self) -> Sequence[Waiting]:
        return self._outcome[0]

    @cached_property
    def _outcome(self) -> tuple[list[Waiting], list[Reservation]]:
        """Return who starts, and the heads of the line."""
        free, busy = dict(self._free), dict(self._busy)
        usage = Usage(self._now.quotas, self._now.running)
        chosen: list[Waiting] = []
        heads: list[Reservation] = []
        reserved: dict[str, Reservation] = {}
        full = False
        for job in self.line:
            if full:
                break
            limit = self._now.parallel.get(job.group)
            if (limit and busy.get(job.group, 0) >= limit) or usage.forbids(job):
                continue
            before = [reserved[host] for host, _ in job.slots if host in reserved] if heads else []
            if fits(job.slots, free):
                if before and not self._overtakes(job, before):
                    continue
                chosen.append(job)
                give(free, job.slots, -1)
                usage.add(job)
                if job.group:
                    busy[job.group] = busy.get(job.group, 0) + 1
            elif before:
                continue
            else:
                heads.append(self._reserve(job, free, chosen))
                reserved |= dict.fromkeys(heads[-1].spare, heads[-1])
            full = bool(heads) and all(room <= 0 and host in reserved for host, room in free.items())
        return chosen, heads

    def _overtakes(self, job: Waiting, heads: Sequence[Reservation]) -> bool:
        """Return whether *heads* start no later than reserved if *job* starts now; if so, take it off what they have to spare."""
        late = [each for each in heads if each.at == math.inf or self._now.now + job.limit > each.at]
        for each in late:
            if each.at == math.inf or any(slots > each.spare[host] for host, slots in job.slots if host in each.spare):
                return False
        for each in late:
            give(each.spare, job.slots, -1)
        return True

    def _reserve(self, head: Waiting, free: Mapping[str, int], chosen: Sequence[Waiting]) -> Reservation:
        """Return when *head* starts at the latest, if all jobs before it use the whole time that they may."""
        room = {host: free[host] for host, _ in head.slots}
        ends = [(job.ends_by, job.slots) for job in self._now.running]
        ends += [(self._now.now + job.limit, job.slots) for job in chosen]
        for at, slots in sorted(ends):
            give(room, slots)
            if fits(head.slots, room):
                give(room, head.slots, -1)
                return Reservation(head, at, room)
        return Reservation(head, math.inf, dict.fromkeys(room, 0))

    def _preempted(self) -> Iterator[tuple[str, str]]:
        told: list[Running] = []
        for each in self.heads:
            leaving = self._leaving_for(each.head, told)
            told += leaving
            yield from ((job.id, each.head.id) for job in leaving)

    def _leaving_for(self, head: Waiting, told: Sequence[Running]) -> list[Running]:
        """Return as few jobs of lower priority as make room for *head*, the lowest and youngest first; [] if none can."""
        coming = {host: self._free[host] for host, _ in head.slots}
        for starting in self._starting:
            give(coming, starting.slots, -1)
        for job in self._now.running:
            if job.leaving or job in told:
                give(coming, job.slots)
        possible = [
            job
            for job in self._now.running
            if job.preemptible and not job.leaving and job.priority < head.priority and job not in told
        ]
        chosen: list[Running] = []
        for job in sorted(possible, key=lambda job: (job.priority, -job.started)):
            lacking = _lacking(head, coming)
            if not lacking:
                break
            if any(host == wanted for host, _ in job.slots for wanted, _ in lacking):
                chosen.append(job)
                give(coming, job.slots)
        if not fits(head.slots, coming):
            return []
        for job in sorted(chosen, key=lambda job: size(job.slots)):  # whom it turned out not to take
            give(coming, job.slots, -1)
            if fits(head.slots, coming):
                chosen.remove(job)
            else:
                give(coming, job.slots)
        return chosen


@dataclass(slots=True)
class _Sorted:
    """The waiting jobs by what is to become of them."""

    line: list[Waiting] = field(default_factory=list)
    doomed: list[tuple[str, str]] = field(default_factory=list)
    look_again: float = math.inf
    """When the first of those that pause after a failure comes to the line."""


def _lacking(job: Waiting, room: Mapping[str, int]) -> Demand:
    """Return what *job* wants of the hosts that have no *room* for that."""
    return tuple((host, slots) for host, slots in job.slots if slots > room.get(host, 0))


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
