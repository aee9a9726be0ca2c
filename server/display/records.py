"""Jobs and events as JSON objects, one a line, for programs that read the command line."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from typing import Any

from ..jobs.job import Alert, Checkpoint, Event, Explanation, Heartbeat, Job, LogChunk, Metrics, StateChanged, Sweep

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
    spec = record.pop("spec")
    policy = {"checkpoint_policy": spec.pop("checkpoint")}
    del record["stopping"]  # the server's own business
    return json_line({"id": record.pop("id")} | spec | policy | {"name": job.name} | record)


def explanation_record(told: Explanation) -> str:
    """Why a job waits as one line of JSON."""
    job = told.job
    causes = {"causes": told.causes, "latest_start": told.latest_start}
    return json_line({"id": job.id, "state": job.state.value, "reason": job.reason} | causes)


def sweep_record(sweep: Sweep) -> str:
    """*sweep* as one line of JSON, with its jobs."""
    jobs = [{"id": job.id, "state": job.state.value, "name": job.name, "reason": job.reason} for job in sweep.jobs]
    grid = {name: list(values) for name, values in sweep.spec.grid.items()}
    return json_line({"id": sweep.id, "created": sweep.created, "grid": grid, "jobs": jobs})


def event_record(event: Event) -> str:
    """*event* as one line of JSON, its kind under ``event``; NaN and infinities are strings."""
    return json_line({"event": KINDS[type(event)]} | asdict(event))


def chunk_record(chunk: LogChunk) -> str:
    """A piece of a log as one line of JSON; bytes that are not UTF-8 are replaced."""
    place = {"rank": chunk.rank, "attempt": chunk.attempt, "offset": chunk.offset, "size": len(chunk.data)}
    return json_line(place | {"text": chunk.data.decode("utf-8", errors="replace")})


def plain_record(value: Any, **further: object) -> str:
    """A dataclass without nested ones as one line of JSON, with *further* fields."""
    return json_line(asdict(value) | further)


def json_line(record: dict[str, Any]) -> str:
    """*record* as one line of JSON; NaN and infinities are strings."""
    return json.dumps(_plain(record), allow_nan=False)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
    return value
