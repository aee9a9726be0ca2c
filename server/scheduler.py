"""Who may start: first in, first out over slots, all ranks of a job at once; pure."""

from __future__ import annotations

from collections.abc import Sequence

from .job import Job


def startable(queue: Sequence[Job], free: int, slots: int) -> list[Job]:
    """Return the jobs of *queue* (oldest first) that may start now with *free* of *slots* slots.

    A job that does not fit holds back those behind it, so that it cannot starve; one that could never fit
    holds back nobody.
    """
    chosen = []
    for job in queue:
        if job.ranks > slots:
            continue
        if job.ranks > free:
            break
        chosen.append(job)
        free -= job.ranks
    return chosen


def why_waiting(job: Job, ahead: int, free: int, slots: int) -> str:
    """Return in words why *job*, with *ahead* others before it in the queue, is not running."""
    if job.ranks > slots:
        return (
            f"needs {_count(job.ranks, 'slot')}, but the server now has {slots}: cancel it, "
            f"or restart the server with --slots {job.ranks}"
        )
    if not ahead and job.ranks <= free:
        return "about to start"
    line = f", behind {_count(ahead, 'other job')}" if ahead else ""
    return f"waits for {_count(job.ranks, 'slot')}: {free} of {slots} free{line}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
