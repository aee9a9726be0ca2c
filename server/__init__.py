"""The control server: queue, launchers, supervision, store, gRPC service, client and command line."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .client.asynchronous.client import AsyncClient
    from .client.client import Client
    from .errors import AllgradError
    from .jobs.hosts import Host
    from .jobs.job import (
        LAUNCHER_LOG,
        Alert,
        Checkpoint,
        Event,
        Explanation,
        Heartbeat,
        HostSlots,
        Job,
        JobState,
        LogChunk,
        Metrics,
        ServerInfo,
        StateChanged,
        Sweep,
    )
    from .jobs.spec import (
        After,
        CheckpointPolicy,
        Dependency,
        EarlyStopping,
        FailureKind,
        JobSpec,
        RetryRule,
        SweepSpec,
    )
    from .main import serve

__all__ = [
    "LAUNCHER_LOG",
    "After",
    "Alert",
    "AllgradError",
    "AsyncClient",
    "Checkpoint",
    "CheckpointPolicy",
    "Client",
    "Dependency",
    "EarlyStopping",
    "Event",
    "Explanation",
    "FailureKind",
    "Heartbeat",
    "Host",
    "HostSlots",
    "Job",
    "JobSpec",
    "JobState",
    "LogChunk",
    "Metrics",
    "RetryRule",
    "ServerInfo",
    "StateChanged",
    "Sweep",
    "SweepSpec",
    "serve",
]
_ROOMS = {
    "AllgradError": "errors",
    "AsyncClient": "client.asynchronous.client",
    "Client": "client.client",
    "Host": "jobs.hosts",
    "serve": "main",
} | dict.fromkeys(
    (
        "After",
        "CheckpointPolicy",
        "Dependency",
        "EarlyStopping",
        "FailureKind",
        "JobSpec",
        "RetryRule",
        "SweepSpec",
    ),
    "jobs.spec",
)


def __getattr__(name: str) -> Any:
    """Load a public name when it is first asked for: a supervisor process must start without gRPC."""
    if name in __all__:
        value = getattr(import_module(f".{_ROOMS.get(name, 'jobs.job')}", __name__), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
