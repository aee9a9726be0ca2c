"""Jobs and events as JSON objects, one a line, for programs that read the command line."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from typing import Any

from ..job import Alert, Checkpoint, Event, Heartbeat, Job, Metrics, StateChanged

KINDS = {
    StateChanged: "state",
    Metrics: "metrics",
    Checkpoint: "checkpoint",
    Alert: "alert",
    Heartbeat: "heartbeat",
}


def job_record(job: Job) -> str:
    """*job* as one line of JSON: times in seconds since the epoch, state as its name."""
    record = asdict(job)
    return _line({"id": record.pop("id")} | record.pop("spec") | {"name": job.name} | record)


def event_record(event: Event) -> str:
    """*event* as one line of JSON, its kind under ``event``; NaN and infinities are strings."""
    return _line({"event": KINDS[type(event)]} | asdict(event))


def _line(record: dict[str, Any]) -> str:
    return json.dumps(_plain(record), allow_nan=False)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
    return value
