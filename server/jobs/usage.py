"""What the users with a quota have running; pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Protocol

from ..access.rules import Quota
from .slots import Demand, size


class Owned(Protocol):
    """A job, as far as its user's quota goes."""

    @property
    def user(self) -> str:
        """Whose it is."""

    @property
    def slots(self) -> Demand:
        """What it takes."""


class Usage:
    """How many jobs and slots the users with a quota have."""

    def __init__(self, quotas: Mapping[str, Quota], jobs: Iterable[Owned]) -> None:
        self._quotas = quotas
        self._jobs: Counter[str] = Counter()
        self._slots: Counter[str] = Counter()
        for job in jobs if quotas else ():
            self.add(job)

    def add(self, job: Owned) -> None:
        """Count a job."""
        if job.user in self._quotas:
            self._jobs[job.user] += 1
            self._slots[job.user] += size(job.slots)

    def forbids(self, job: Owned) -> bool:
        """Return whether its user may not have *job* besides."""
        quota = self._quotas.get(job.user)
        if quota is None:
            return False
        crowded = 0 < quota.running <= self._jobs[job.user]
        return crowded or 0 < quota.slots < self._slots[job.user] + size(job.slots)
