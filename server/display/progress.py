"""What is known of a job that somebody follows: its state, its series, its checkpoint, its alerts."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from ..jobs.job import Alert, Checkpoint, Event, Job, JobState, Metrics, StateChanged
from .series import Series


@dataclass
class Progress:
    """The sum of the events of one job so far."""

    job: Job
    state: JobState
    reason: str = ""
    exit_code: int | None = None
    cursor: int = 0
    step: int = 0
    series: dict[str, Series] = field(default_factory=dict)
    checkpoint: str = ""
    alerts: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, job: Job, cursor: int = 0) -> Progress:
        """What is known of *job* before the events after *cursor*."""
        return cls(job, job.state, job.reason, cursor=cursor)

    def absorb(self, event: Event) -> None:
        """Take one event in."""
        self.cursor = event.cursor
        match event:
            case StateChanged(state=state, reason=reason, exit_code=code):
                # Why a job waits changes without an event, so what was asked for stays until it goes on.
                still_waits = state is self.state is JobState.QUEUED
                self.reason = reason or (self.reason if still_waits else "")
                self.state, self.exit_code = state, code
            case Metrics(step=step, values=values):
                self.step = step
                for name, value in values.items():
                    self.series.setdefault(name, Series()).add(step, value)
            case Checkpoint(path=path):
                self.checkpoint = path
            case Alert(message=message):
                self.alerts.append(message)

    def main_series(self) -> str:
        """The name of the series that deserves the plot: the loss, else the first; empty if there is none."""
        losses = [name for name in self.series if "loss" in name.lower()]
        return next(iter(losses or self.series), "")

    def diverged(self) -> list[str]:
        """The series whose last value is not a finite number."""
        return [name for name, series in self.series.items() if not math.isfinite(series.last)]
