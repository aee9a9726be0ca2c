"""The life of a job as a pure table: `after(job, event)` is the job as it is then, and what is to be done."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from .job import Job, JobState, Stopping
from .retries import next_try
from .spec import FailureKind

CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Happening:
    """Something that happened to a job at *time*, in seconds since the epoch."""

    time: float


@dataclass(frozen=True, slots=True)
class SlotsGranted(Happening):
    """The scheduler gave the job its slots, and *cores* of its own if jobs are bound to cores."""

    cores: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Delayed(Happening):
    """The system that is to start the ranks has not yet; *reason* says why."""

    reason: str


@dataclass(frozen=True, slots=True)
class Started(Happening):
    """The supervisor of the attempt has started the ranks."""


@dataclass(frozen=True, slots=True)
class Ended(Happening):
    """The attempt has ended and left a record. *stopped*: because its supervisor was told to stop it."""

    exit_code: int | None
    """None: it was stopped before its ranks were started."""
    reason: str = ""
    stopped: bool = False
    kind: FailureKind = FailureKind.EXIT_CODE


@dataclass(frozen=True, slots=True)
class CancelAsked(Happening):
    """Somebody wants the job to end; *reason* is what the job will say of it."""

    reason: str = CANCELLED


@dataclass(frozen=True, slots=True)
class PauseAsked(Happening):
    """Somebody wants the job off its slots, or off the queue, for a while."""


@dataclass(frozen=True, slots=True)
class ResumeAsked(Happening):
    """Somebody wants a paused job to go on."""


@dataclass(frozen=True, slots=True)
class PreemptAsked(Happening):
    """The scheduler wants the job's slots for job *by*, which is of higher priority."""

    by: str


@dataclass(frozen=True, slots=True)
class PriorityChanged(Happening):
    """Somebody gave the job another priority."""

    priority: int


@dataclass(frozen=True, slots=True)
class DependencyFailed(Happening):
    """What the job was to wait for can never be; *reason* says why."""

    reason: str


@dataclass(frozen=True, slots=True)
class ContactLost(Happening):
    """The supervisor is gone and left no record of the end; *reason* says what is known."""

    reason: str


@dataclass(frozen=True, slots=True)
class ContactRegained(Happening):
    """The supervisor answers again."""


@dataclass(frozen=True, slots=True)
class FoundDead(Happening):
    """It is certain that no process of an attempt without a record of its end is left."""


@dataclass(frozen=True, slots=True)
class Launch:
    """Start a supervisor for the job's attempt."""


@dataclass(frozen=True, slots=True)
class Stop:
    """Tell the supervisor to end all processes of the attempt."""


@dataclass(frozen=True, slots=True)
class Sweep:
    """End whatever the attempt left behind, by its tag, until it is certain that nothing is left."""


Action = Launch | Stop | Sweep
Step = tuple[Job, tuple[Action, ...]]


def after(job: Job, event: Happening) -> Step:
    """Return *job* as it is after *event*, and the actions that this calls for, in order.

    A pair of state and event that is not in the table changes nothing; so a terminal state is written once.
    """
    rule = _TABLE.get((job.state, type(event)))
    return rule(job, event) if rule else (job, ())


def possible(job: Job, event: type[Happening]) -> bool:
    """Return whether *event* can mean anything to *job* as it stands; if not, who asks for it must be told."""
    doomed = job.state is JobState.STOPPING and _fate(job) is Stopping.CANCEL
    return (job.state, event) in _TABLE and not (doomed and event in (PauseAsked, ResumeAsked))


def _start(job: Job, event: Happening) -> Step:
    assert isinstance(event, SlotsGranted)
    started = replace(
        job, state=JobState.STARTING, reason="", attempt=job.attempt + 1, cores=event.cores, not_before=0.0
    )
    return started, (Launch(),)


def _run(job: Job, event: Happening) -> Step:
    return replace(job, state=JobState.RUNNING, reason="", started=event.time), ()


def _note_delay(job: Job, event: Happening) -> Step:
    assert isinstance(event, Delayed)
    return replace(job, reason=event.reason), ()


def _note_start(job: Job, event: Happening) -> Step:
    return replace(job, started=event.time), ()


def _cancel_waiting(job: Job, event: Happening) -> Step:
    assert isinstance(event, CancelAsked)
    reason = "cancelled before it started" if event.reason == CANCELLED and not job.attempt else event.reason
    return _finish(job, event, JobState.CANCELLED, reason), ()


def _doom(job: Job, event: Happening) -> Step:
    assert isinstance(event, DependencyFailed)
    return _finish(job, event, JobState.CANCELLED, event.reason), ()


def _hold(job: Job, event: Happening) -> Step:
    return replace(job, state=JobState.PAUSED, reason="paused"), ()


def _queue(job: Job, event: Happening) -> Step:
    return replace(job, state=JobState.QUEUED, reason="", queued=event.time), ()


def _stay(job: Job, event: Happening) -> Step:
    return job, ()


def _rank_anew(job: Job, event: Happening) -> Step:
    assert isinstance(event, PriorityChanged)
    return replace(job, priority=event.priority), ()


def _stop(job: Job, event: Happening) -> Step:
    return _stopping(job, Stopping.CANCEL, _why(event)), (Stop(),)


def _stop_unseen(job: Job, event: Happening) -> Step:
    return _stopping(job, Stopping.CANCEL, _why(event)), (Sweep(),)


def _stop_for_good(job: Job, event: Happening) -> Step:
    if _fate(job) is Stopping.CANCEL:
        return job, (Stop(),)
    return _stopping(job, Stopping.CANCEL, _why(event)), (Stop(),)


def _pause(job: Job, event: Happening) -> Step:
    return _stopping(job, Stopping.PAUSE, "pausing"), (Stop(),)


def _pause_after_all(job: Job, event: Happening) -> Step:
    return (job if _fate(job) is Stopping.CANCEL else _stopping(job, Stopping.PAUSE, "pausing")), ()


def _queue_after_all(job: Job, event: Happening) -> Step:
    return (job if _fate(job) is Stopping.CANCEL else _stopping(job, Stopping.REQUEUE, "pausing, to be resumed")), ()


def _preempt(job: Job, event: Happening) -> Step:
    assert isinstance(event, PreemptAsked)
    return _stopping(job, Stopping.REQUEUE, f"making room for job {event.by}"), (Stop(),)


def _lose(job: Job, event: Happening) -> Step:
    assert isinstance(event, ContactLost)
    return replace(job, state=JobState.UNKNOWN, reason=event.reason), (Sweep(),)


def _sweep(job: Job, event: Happening) -> Step:
    return job, (Sweep(),)


def _regain(job: Job, event: Happening) -> Step:
    return replace(job, state=JobState.RUNNING, reason=""), ()


def _end(job: Job, event: Happening) -> Step:
    assert isinstance(event, Ended)
    if event.stopped and job.state is JobState.STOPPING:
        return _settle(job, event, event.exit_code)
    if event.stopped:
        reason = "its supervisor was told to stop by someone else than the server"
        return _finish(job, event, JobState.CANCELLED, reason, event.exit_code), ()
    if event.exit_code == 0:
        return _finish(job, event, JobState.SUCCEEDED, "", 0), ()
    return _fail(job, event, event.kind, event.reason or f"exit code {event.exit_code}", event.exit_code)


def _bury(job: Job, event: Happening) -> Step:
    return _fail(job, event, FailureKind.LOST, f"{job.reason}; its processes are gone", job.exit_code)


def _bury_stopped(job: Job, event: Happening) -> Step:
    return _settle(job, event, job.exit_code)


def _settle(job: Job, event: Happening, exit_code: int | None) -> Step:
    """Return a stopped job as what it was stopped for."""
    match _fate(job):
        case Stopping.CANCEL:
            return _finish(job, event, JobState.CANCELLED, job.reason, exit_code), ()
        case Stopping.PAUSE:
            return replace(_off(job), state=JobState.PAUSED, reason="paused"), ()
        case Stopping.REQUEUE:
            return replace(_off(job), state=JobState.QUEUED, reason="", queued=event.time), ()


def _fail(job: Job, event: Happening, kind: FailureKind, reason: str, exit_code: int | None) -> Step:
    """Return a job whose attempt failed: finished, or waiting for the next attempt."""
    again = None if job.state is JobState.STOPPING and _fate(job) is Stopping.CANCEL else next_try(job, kind)
    if again is None:
        return _finish(job, event, JobState.FAILED, reason, exit_code), ()
    paused = job.state is JobState.STOPPING and _fate(job) is Stopping.PAUSE
    waiting = replace(
        _off(job),
        state=JobState.PAUSED if paused else JobState.QUEUED,
        reason=f"{again.words} after: {reason}",
        queued=event.time,
        not_before=event.time + again.pause,
        failures={**job.failures, kind.value: job.failures.get(kind.value, 0) + 1},
    )
    return waiting, ()


def _stopping(job: Job, what: Stopping, reason: str) -> Job:
    return replace(job, state=JobState.STOPPING, stopping=what, reason=reason)


def _fate(job: Job) -> Stopping:
    return job.stopping or Stopping.CANCEL


def _why(event: Happening) -> str:
    assert isinstance(event, CancelAsked)
    return event.reason


def _off(job: Job) -> Job:
    """Return *job* without what only one with processes has."""
    return replace(job, stopping=None, cores=())


def _finish(job: Job, event: Happening, state: JobState, reason: str, exit_code: int | None = None) -> Job:
    return replace(_off(job), state=state, reason=reason, finished=event.time, exit_code=exit_code)


_ALIVE: Mapping[type[Happening], Callable[[Job, Happening], Step]] = {
    Ended: _end,
    CancelAsked: _stop,
    PauseAsked: _pause,
    ResumeAsked: _stay,
    PreemptAsked: _preempt,
    PriorityChanged: _rank_anew,
    ContactLost: _lose,
}
_RULES: Mapping[JobState, Mapping[type[Happening], Callable[[Job, Happening], Step]]] = {
    JobState.QUEUED: {
        SlotsGranted: _start,
        CancelAsked: _cancel_waiting,
        PauseAsked: _hold,
        ResumeAsked: _stay,
        PriorityChanged: _rank_anew,
        DependencyFailed: _doom,
    },
    JobState.PAUSED: {
        CancelAsked: _cancel_waiting,
        PauseAsked: _stay,
        ResumeAsked: _queue,
        PriorityChanged: _rank_anew,
    },
    JobState.STARTING: {Started: _run, Delayed: _note_delay, **_ALIVE},
    JobState.RUNNING: _ALIVE,
    JobState.STOPPING: {
        Started: _note_start,
        Ended: _end,
        CancelAsked: _stop_for_good,
        PauseAsked: _pause_after_all,
        ResumeAsked: _queue_after_all,
        PriorityChanged: _rank_anew,
        ContactLost: _sweep,
        FoundDead: _bury_stopped,
    },
    JobState.UNKNOWN: {
        Ended: _end,
        CancelAsked: _stop_unseen,
        PriorityChanged: _rank_anew,
        ContactLost: _sweep,
        ContactRegained: _regain,
        FoundDead: _bury,
    },
}
_TABLE = {(state, event): rule for state, rules in _RULES.items() for event, rule in rules.items()}
