"""What is asked of the server when a job is submitted, as values; it never changes afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from .hosts import Host


class FailureKind(StrEnum):
    """How an attempt failed."""

    EXIT_CODE = "exit"
    SIGNAL = "signal"
    OUT_OF_MEMORY = "oom"
    LOST = "lost"
    TIMEOUT = "timeout"


class LauncherKind(StrEnum):
    """What starts the ranks: the server by mpirun, or a cluster's own system."""

    MPIRUN = "mpirun"
    SLURM = "slurm"
    KUBERNETES = "kubernetes"


class After(StrEnum):
    """What must have become of a job before one that depends on it may start."""

    SUCCESS = "success"
    END = "end"


@dataclass(frozen=True, slots=True)
class Dependency:
    """A job that must end first."""

    job_id: str
    condition: After = After.SUCCESS


@dataclass(frozen=True, slots=True)
class RetryRule:
    """How often an attempt that failed in the way of *kind* is tried again; None: in any way without a rule of its own."""

    limit: int
    kind: FailureKind | None = None
    backoff: float = 10.0
    """Seconds before the first retry, doubled for each further one."""
    longest: float = 600.0
    """The longest pause, in seconds."""

    def pause(self, failures: int) -> float:
        """Return the seconds to wait after failure number *failures*, from 1.

        >>> [RetryRule(5, backoff=10, longest=60).pause(number) for number in (1, 2, 3, 4)]
        [10.0, 20.0, 40.0, 60]
        """
        return min(self.backoff * 2.0 ** min(failures - 1, 60), self.longest)


@dataclass(frozen=True, slots=True)
class CheckpointPolicy:
    """What the server may expect of the script's checkpoints."""

    preemptible: bool = False
    """It may be taken off its slots for a job of higher priority, and goes on from its checkpoint later."""
    grace: float | None = None
    """Seconds between SIGTERM and SIGKILL, for writing a checkpoint; None: the server's own."""
    interval: float | None = None
    """Seconds between checkpoints that the script is asked for, as ALLGRAD_CHECKPOINT_INTERVAL."""


@dataclass(frozen=True, slots=True)
class JobSpec:
    """What is to be run, and how."""

    argv: tuple[str, ...]
    ranks: int = 1
    name: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    workdir: str = ""
    as_torch: bool = False
    priority: int = 0
    """From -100 to 100; the highest starts first."""
    after: tuple[Dependency, ...] = ()
    retries: tuple[RetryRule, ...] = ()
    max_runtime: float | None = None
    """Seconds after which an attempt is ended and has failed."""
    threads: int = 0
    """Threads that each rank may use; 0: as many as one slot has cores."""
    labels: Mapping[str, str] = field(default_factory=dict)
    checkpoint: CheckpointPolicy = CheckpointPolicy()
    stall_after: float | None = None
    """Seconds without a report after which it counts as stalled; 0: never; None: by its own rhythm."""
    resume_from: str = ""
    """Hash of an uploaded checkpoint to go on from, until the job has reported one of its own."""
    archive: str = ""
    """Hash of an uploaded archive: the ranks start in *workdir* seen from what it holds."""
    hosts: tuple[Host, ...] = ()
    """Where its ranks are started over ssh; empty: on the server's machine."""
    launcher: LauncherKind = LauncherKind.MPIRUN
    launcher_options: Mapping[str, str] = field(default_factory=dict)
    """What the launcher is told besides, by its own names, such as `partition`."""

    @property
    def batch(self) -> bool:
        """Whether another system has its ranks, which queues and ends them by its own rules."""
        return self.launcher is not LauncherKind.MPIRUN


@dataclass(frozen=True, slots=True)
class EarlyStopping:
    """Which jobs of a sweep are ended because they do worse than others at the same step."""

    metric: str
    """Name of a series that the jobs report."""
    maximize: bool = False
    first_step: int = 1
    """Jobs are compared at this step, at this times *reduction*, and so on."""
    reduction: float = 2.0
    """Of as many jobs, one goes on past each comparison."""


@dataclass(frozen=True, slots=True)
class SweepSpec:
    """One job for every point of a grid of parameters."""

    job: JobSpec
    grid: Mapping[str, tuple[str, ...]]
    max_parallel: int = 0
    """How many of its jobs may run at once; 0: as many as fit."""
    early_stopping: EarlyStopping | None = None
