"""What a person should be told about a job that goes on; pure."""

from __future__ import annotations

import math

from ..supervisor.journal import Line, MetricsLine
from .job import Job


def alert_of(job: Job, line: Line) -> str:
    """Return what *line* of the journal of *job* gives cause to say, or "". The first NaN is told, once."""
    if job.warning or not isinstance(line, MetricsLine):
        return ""
    broken = [name for name, value in line.values.items() if math.isnan(value)]
    return f"{', '.join(broken)} became NaN at step {line.step}" if broken else ""
