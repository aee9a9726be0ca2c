"""The colour of each state of a job."""

from __future__ import annotations

from ..jobs.job import JobState

COLOURS = {
    JobState.QUEUED: "yellow",
    JobState.STARTING: "cyan",
    JobState.RUNNING: "cyan",
    JobState.STOPPING: "yellow",
    JobState.SUCCEEDED: "green",
    JobState.FAILED: "red",
    JobState.CANCELLED: "yellow",
    JobState.UNKNOWN: "magenta",
    JobState.PAUSED: "blue",
}
