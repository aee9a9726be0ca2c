"""What a person should be told about a job that goes on; pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from ..supervisor.journal import Line, MetricsLine
from .job import Job

BROKEN = "became NaN"
SILENT = "nothing was reported"
OWED = "what ranks wrote last"
"""How it begins that something of an attempt has not come from its hosts."""
_KEPT = 4
"""Warnings that a job shows beside the newest; all of them are events."""


def alert_of(job: Job, line: Line) -> str:
    """Return what *line* of the journal of *job* gives cause to say, or "". The first NaN is told, once."""
    if BROKEN in job.warning or not isinstance(line, MetricsLine):
        return ""
    broken = [name for name, value in line.values.items() if math.isnan(value)]
    return f"{', '.join(broken)} {BROKEN} at step {line.step}" if broken else ""


def warned(job: Job, warning: str) -> Job:
    """Return *job* with a warning more; one of silence, or of what has not come, takes the place of the one before."""
    kind = next((kind for kind in (SILENT, OWED) if warning.startswith(kind)), None)
    kept = _all(job) if kind is None else _others(job, kind)
    return replace(job, warning="; ".join([*kept[:_KEPT], warning]))


def heard_again(job: Job) -> Job:
    """Return *job* without the warning that it is silent."""
    return replace(job, warning="; ".join(_others(job, SILENT)))


def owed(hosts: Sequence[str], why: str = "") -> str:
    """Return the warning that something has not come from *hosts*, and *why* if that is not because nobody answers."""
    return f"{OWED} on {', '.join(hosts)} is still there{f' ({why})' if why else ''}, and fetched once it can be"


def still_owed(job: Job, hosts: Sequence[str]) -> Job:
    """Return *job* with the warning that something has not come from *hosts*, or without one if there are none."""
    return warned(job, owed(hosts)) if hosts else replace(job, warning="; ".join(_others(job, OWED)))


def _all(job: Job) -> list[str]:
    return job.warning.split("; ") if job.warning else []


def _others(job: Job, kind: str) -> list[str]:
    return [warning for warning in _all(job) if not warning.startswith(kind)]
