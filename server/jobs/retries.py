"""Whether a job whose attempt failed is tried again, and when; pure."""

from __future__ import annotations

from dataclasses import dataclass

from .job import Job
from .spec import FailureKind


@dataclass(frozen=True, slots=True)
class Again:
    """The attempt that follows a failure: after *pause* seconds; *words* count it for people."""

    pause: float
    words: str


def next_try(job: Job, kind: FailureKind) -> Again | None:
    """Return when *job*, an attempt of which has just failed in the way of *kind*, is tried again, or None if never.

    The rule for that kind decides, else the one for any kind, which counts all failures that have no rule of their own.
    """
    rules = {rule.kind: rule for rule in job.spec.retries}
    rule = rules.get(kind) or rules.get(None)
    if rule is None:
        return None
    if rule.kind is None:
        counted = sum(count for name, count in job.failures.items() if FailureKind(name) not in rules)
    else:
        counted = job.failures.get(kind.value, 0)
    if counted >= rule.limit:
        return None
    return Again(rule.pause(counted + 1), f"retry {counted + 1} of {rule.limit}")
