"""What systems that queue and start jobs by themselves have in common: a task goes in, and is looked at until it has ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Protocol

from ..errors import InvalidRequest
from ..jobs.spec import FailureKind, LauncherKind

_VALUE_LENGTH = 500


@dataclass(frozen=True, slots=True)
class Task:
    """One attempt, as such a system gets it."""

    name: str
    """Under which it is found again; no other task ever has it."""
    argv: tuple[str, ...]
    """What is to be executed once, beside the ranks, which it starts."""
    ranks: int
    threads: int
    """Of each rank."""
    folder: str
    """In which it starts."""
    log: str
    """The file for what it prints."""
    max_runtime: float | None = None
    grace: float = 0.0
    """Seconds that it may take to end when it is asked to."""
    env: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=dict)
    """What a person says of it in the system's own words."""
    place: Mapping[str, str] = field(default_factory=dict)
    """What the server was told of the system."""


class Phase(Enum):
    """How far a task has come."""

    WAITING = auto()
    RUNNING = auto()
    ENDED = auto()
    FORGOTTEN = auto()
    """The system knows nothing of it (any more)."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """What the system says of a task."""

    phase: Phase
    words: str = ""
    """Why it waits, or how it ended, for people."""
    kind: FailureKind | None = None
    """How it failed, if it was the system that ended it."""
    cancelled: bool = False
    """Whether a person has ended it in the system itself."""
    exit_code: int = 0


class Unavailable(Exception):
    """The system does not answer now: nothing is known of the task."""


class BatchSystem(Protocol):
    """Slurm, or Kubernetes: every method may raise Unavailable, and `submit` also InvalidRequest if it refuses the task."""

    def find(self, task: Task) -> str:
        """Return the handle of a task that was submitted before, or ""."""

    def submit(self, task: Task) -> str:
        """Submit a task, once; return its handle."""

    def look(self, handle: str) -> Sighting:
        """Return what has become of it."""

    def end(self, handle: str, *, gently: bool) -> None:
        """Have it ended: *gently* by a SIGTERM to what it executes, else with all processes that it has."""


def check_options(kind: LauncherKind, options: Mapping[str, str], known: tuple[str, ...]) -> None:
    """Raise InvalidRequest if *options* has one that is not *known*."""
    for name, value in options.items():
        if name not in known or not value.isprintable() or not 0 < len(value) <= _VALUE_LENGTH:
            raise InvalidRequest(
                f"cannot tell {kind} {name}={value[:_VALUE_LENGTH]}",
                f"it can be told {', '.join(known) or 'nothing'}, in up to {_VALUE_LENGTH} characters",
                "write --launcher-option NAME=VALUE",
                field="spec.launcher_options",
            )
