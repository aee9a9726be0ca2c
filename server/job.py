"""A job and what happens to it, as values: shared by the server, its clients and the command line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


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

    @property
    def terminal(self) -> bool:
        """Whether the job has ended for good."""
        return self in (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED)

    @property
    def holds_slots(self) -> bool:
        """Whether processes of the job may be alive, so that its slots are not free."""
        return not self.terminal and self is not JobState.QUEUED


@dataclass(frozen=True, slots=True)
class JobSpec:
    """What is to be run; it never changes after submission."""

    argv: tuple[str, ...]
    ranks: int = 1
    name: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    workdir: str = ""
    as_torch: bool = False


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
        """Number of MPI ranks, which is the number of slots it takes."""
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
