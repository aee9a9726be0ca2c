"""The life of a job as a pure table: `after(job, event)` is the job as it is then, and what is to be done."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from .job import Job, JobState


@dataclass(frozen=True, slots=True)
class Happening:
    """Something that happened to a job at *time*, in seconds since the epoch."""

    time: float


@dataclass(frozen=True, slots=True)
class SlotsGranted(Happening):
    """The scheduler gave the job its slots."""


@dataclass(frozen=True, slots=True)
class Started(Happening):
    """The supervisor of the attempt has started the ranks."""


@dataclass(frozen=True, slots=True)
class Ended(Happening):
    """The attempt has ended and left a record. *stopped*: because its supervisor was told to stop it."""

    exit_code: int
    reason: str = ""
    stopped: bool = False


@dataclass(frozen=True, slots=True)
class CancelAsked(Happening):
    """Somebody wants the job to end."""


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


def _start(job: Job, event: Happening) -> Step:
    return replace(job, state=JobState.STARTING, reason="", attempt=job.attempt + 1), (Launch(),)


def _run(job: Job, event: Happening) -> Step:
    return replace(job, state=JobState.RUNNING, started=event.time), ()


def _note_start(job: Job, event: Happening) -> Step:
    return replace(job, started=event.time), ()


def _cancel_queued(job: Job, event: Happening) -> Step:
    return _finish(job, event, JobState.CANCELLED, "cancelled before it started"), ()


def _stop(job: Job, event: Happening) -> Step:
    return replace(job, state=JobState.STOPPING, reason="cancelled"), (Stop(),)


def _stop_unseen(job: Job, event: Happening) -> Step:
    return replace(job, state=JobState.STOPPING, reason="cancelled"), (Sweep(),)


def _stop_again(job: Job, event: Happening) -> Step:
    return job, (Stop(),)


def _lose(job: Job, event: Happening) -> Step:
    assert isinstance(event, ContactLost)
    return replace(job, state=JobState.UNKNOWN, reason=event.reason), (Sweep(),)


def _sweep(job: Job, event: Happening) -> Step:
    return job, (Sweep(),)


def _regain(job: Job, event: Happening) -> Step:
    return replace(job, state=JobState.RUNNING, reason=""), ()


def _end(job: Job, event: Happening) -> Step:
    assert isinstance(event, Ended)
    if event.stopped:
        asked = job.state is JobState.STOPPING
        reason = "cancelled" if asked else "its supervisor was told to stop by someone else than the server"
        ended = _finish(job, event, JobState.CANCELLED, reason)
    elif event.exit_code == 0:
        ended = _finish(job, event, JobState.SUCCEEDED, "")
    else:
        ended = _finish(job, event, JobState.FAILED, event.reason or f"exit code {event.exit_code}")
    return replace(ended, exit_code=event.exit_code), ()


def _bury(job: Job, event: Happening) -> Step:
    return _finish(job, event, JobState.FAILED, f"{job.reason}; its processes are gone"), ()


def _bury_cancelled(job: Job, event: Happening) -> Step:
    return _finish(job, event, JobState.CANCELLED, "cancelled"), ()


def _finish(job: Job, event: Happening, state: JobState, reason: str) -> Job:
    return replace(job, state=state, reason=reason, finished=event.time)


_TABLE: Mapping[tuple[JobState, type[Happening]], Callable[[Job, Happening], Step]] = {
    (JobState.QUEUED, SlotsGranted): _start,
    (JobState.QUEUED, CancelAsked): _cancel_queued,
    (JobState.STARTING, Started): _run,
    (JobState.STARTING, Ended): _end,
    (JobState.STARTING, CancelAsked): _stop,
    (JobState.STARTING, ContactLost): _lose,
    (JobState.RUNNING, Ended): _end,
    (JobState.RUNNING, CancelAsked): _stop,
    (JobState.RUNNING, ContactLost): _lose,
    (JobState.STOPPING, Started): _note_start,
    (JobState.STOPPING, Ended): _end,
    (JobState.STOPPING, CancelAsked): _stop_again,
    (JobState.STOPPING, ContactLost): _sweep,
    (JobState.STOPPING, FoundDead): _bury_cancelled,
    (JobState.UNKNOWN, Ended): _end,
    (JobState.UNKNOWN, CancelAsked): _stop_unseen,
    (JobState.UNKNOWN, ContactLost): _sweep,
    (JobState.UNKNOWN, ContactRegained): _regain,
    (JobState.UNKNOWN, FoundDead): _bury,
}
