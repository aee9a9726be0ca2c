"""The control server: queue, launchers, supervision, store, gRPC service, client and command line."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .client import Client
    from .errors import AllgradError
    from .job import (
        LAUNCHER_LOG,
        Alert,
        Checkpoint,
        Event,
        Heartbeat,
        Job,
        JobSpec,
        JobState,
        LogChunk,
        Metrics,
        ServerInfo,
        StateChanged,
    )
    from .main import serve

__all__ = [
    "LAUNCHER_LOG",
    "Alert",
    "AllgradError",
    "Checkpoint",
    "Client",
    "Event",
    "Heartbeat",
    "Job",
    "JobSpec",
    "JobState",
    "LogChunk",
    "Metrics",
    "ServerInfo",
    "StateChanged",
    "serve",
]


def __getattr__(name: str) -> Any:
    """Load a public name when it is first asked for: a supervisor process must start without gRPC."""
    if name in __all__:
        room = {"AllgradError": "errors", "Client": "client", "serve": "main"}.get(name, "job")
        value = getattr(import_module(f".{room}", __name__), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
