"""A job and what happens to it, as values: shared by the server, its clients and the command line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from .spec import JobSpec, SweepSpec

ID_LENGTH = 8
"""Characters of the id of a job."""
ADMIN = "admin"
"""The user to whom the token in the server's own folder belongs."""


class JobState(StrEnum):
    """Where a job stands. A terminal state is written once and never changes."""

    QUEUED = "QUEUED"
    STARTING = "STARTING"
    RUNNING = "RUNNING"
    STOPPING = "STOPPING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    UNKNOWN = "UNKNOWN"
    PAUSED = "PAUSED"

    @property
    def terminal(self) -> bool:
        """Whether the job has ended for good."""
        return self in (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED)

    @property
    def holds_slots(self) -> bool:
        """Whether processes of the job may be alive, so that its slots are not free."""
        return not self.terminal and self not in (JobState.QUEUED, JobState.PAUSED)


class Stopping(StrEnum):
    """What a job that is being stopped will be once its processes are gone."""

    CANCEL = "cancel"
    PAUSE = "pause"
    REQUEUE = "requeue"


@dataclass(frozen=True, slots=True)
class Job:
    """A job as it stood at one moment. Times are seconds since the epoch."""

    id: str
    spec: JobSpec
    state: JobState = JobState.QUEUED
    reason: str = ""
    """Why it waits, why it failed, why it is unknown; empty when there is nothing to explain."""
    created: float = 0.0
    started: float | None = None
    finished: float | None = None
    exit_code: int | None = None
    """Of the first rank that failed (128 + signal number if a signal ended it), or 0."""
    attempt: int = 0
    output_dir: str = ""
    checkpoint: str = ""
    """Path of the checkpoint reported last."""
    warning: str = ""
    """What a person should look at though the job goes on, such as a loss that became NaN."""
    priority: int = 0
    queued: float = 0.0
    """When it last entered the queue."""
    not_before: float = 0.0
    """Before which it is not started again, after a failure."""
    cores: tuple[int, ...] = ()
    """The cores that its ranks are bound to; empty: not bound."""
    sweep: str = ""
    """The id of the sweep that it belongs to."""
    failures: Mapping[str, int] = field(default_factory=dict)
    """How often it has failed and was tried again, by FailureKind."""
    stopping: Stopping | None = None
    """What it will be once its processes are gone, while it is STOPPING; known to the server only."""
    owner: str = ADMIN
    """The user whose token submitted it."""

    @property
    def name(self) -> str:
        """The name given at submission, or the script's."""
        return self.spec.name or self.spec.argv[0].rpartition("/")[2]

    @property
    def argv(self) -> tuple[str, ...]:
        """The script and its arguments."""
        return self.spec.argv

    @property
    def ranks(self) -> int:
        """Number of MPI ranks."""
        return self.spec.ranks


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a job; *cursor* rises from event to event, with gaps."""

    cursor: int
    time: float


@dataclass(frozen=True, slots=True)
class StateChanged(Event):
    """The job entered *state*."""

    state: JobState
    reason: str = ""
    exit_code: int | None = None
    attempt: int = 0


@dataclass(frozen=True, slots=True)
class Metrics(Event):
    """Numbers that the script reported for one step; NaN and infinities come as they are."""

    step: int
    values: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Checkpoint(Event):
    """A checkpoint was written completely."""

    step: int
    path: str


@dataclass(frozen=True, slots=True)
class Alert(Event):
    """Something a person should look at, though the job goes on."""

    message: str


@dataclass(frozen=True, slots=True)
class Heartbeat(Event):
    """Nothing happened; server and connection are alive. *cursor* is the last one sent."""


LAUNCHER_LOG = -1
"""The *rank* under which the launcher's own output (mpirun's) is found among the logs."""


@dataclass(frozen=True, slots=True)
class LogChunk:
    """Bytes that a rank printed, from byte *offset* of its log; whole lines where possible."""

    rank: int
    offset: int
    data: bytes
    attempt: int = 0
    """To which the offset belongs."""


@dataclass(frozen=True, slots=True)
class HostSlots:
    """A host that jobs may name, and how many of its slots no attempt holds."""

    name: str
    slots: int
    free_slots: int


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """What a server says of itself; *started* in seconds since the epoch."""

    version: str
    slots: int
    free_slots: int
    sqlite_version: str
    started: float
    mpi: str
    """Implementation and version of the MPI that starts the ranks; empty if there is none."""
    cores_per_slot: int = 0
    """0: ranks are not bound to cores."""
    queued_jobs: int = 0
    running_jobs: int = 0
    hosts: tuple[HostSlots, ...] = ()
    """Empty: jobs may name any, and the server does not count what runs there."""
    user: str = ""
    """To whom the token belongs with which this was asked."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a job that waits is not running: each of *causes* alone would keep it from starting."""

    job: Job
    causes: tuple[str, ...]
    latest_start: float | None = None
    """When it starts at the latest, if the jobs before it keep to their max_runtime; None: unknown."""


@dataclass(frozen=True, slots=True)
class Sweep:
    """A sweep with its jobs, in the order of the grid, the last axis changing fastest."""

    id: str
    spec: SweepSpec
    created: float = 0.0
    jobs: tuple[Job, ...] = ()


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which jobs are to be listed; what is empty or None admits all."""

    states: tuple[JobState, ...] = ()
    labels: str = ""
    name: str = ""
    since: float | None = None
    until: float | None = None
    sweep: str = ""
    user: str = ""
    id_prefix: str = ""
