"""How a job ended, in a few lines for people."""

from __future__ import annotations

import re

from ..jobs.job import Job, JobState
from .series import duration
from .tables import printable


def ending(job: Job) -> str:
    """What became of *job*, in how long, why, and what it left behind."""
    took = f" in {duration(job.finished - job.started)}" if job.started and job.finished else ""
    verdict = f"{job.state.value.lower()}{took}"
    if job.state is JobState.FAILED and job.exit_code:
        verdict += f" with exit code {job.exit_code}"
    lines = [f"job {job.id} {verdict}"]
    if job.reason.lower() != job.state.value.lower() and job.reason:
        lines.append(f"  {printable(job.reason)}")
    if job.checkpoint:
        lines.append(f"  checkpoint: {printable(job.checkpoint)}")
    return "\n".join(lines)


def failing_rank(job: Job) -> int | None:
    """The rank that the reason of a failed job names, or None."""
    found = re.search(r"\brank (\d+)\b", job.reason)
    return int(found.group(1)) if found else None
