"""The ways of showing a job that is followed: live in a terminal, as plain lines, as JSON, not at all."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ..jobs.job import Alert, Checkpoint, Event, Heartbeat, Metrics, StateChanged
from .progress import Progress
from .records import event_record
from .series import short
from .tables import printable

Show = Callable[[Event], None]


@contextmanager
def showing(progress: Progress, as_json: bool, quietly: bool = False) -> Iterator[Show]:
    """Give a function that shows an event, once *progress* has taken it in, as suits whoever reads the output.

    *quietly*: people are shown nothing, programs everything.
    """
    if as_json:
        yield show_record
    elif quietly:
        yield pass_over
    elif draws_in_place():
        from .live import live

        with live(progress):
            yield pass_over
    else:
        yield Lines(progress).show


def draws_in_place() -> bool:
    """Whether standard output is a terminal that can be drawn on."""
    if not sys.stdout.isatty():
        return False
    from .live import can_draw

    return can_draw()


def show_record(event: Event) -> None:
    """Print *event* as one line of JSON, if anything happened."""
    if not isinstance(event, Heartbeat):
        print(event_record(event), flush=True)


def pass_over(event: Event) -> None:
    """Show nothing."""


class Lines:
    """One line of text for each event, for pipes, files and terminals that cannot move their cursor."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._said = ""
        job = progress.job
        ranks = "1 rank" if job.ranks == 1 else f"{job.ranks} ranks"
        print(f"job {job.id}: {printable(job.name)} on {ranks}", flush=True)

    def show(self, event: Event) -> None:
        """Print what happened, unless that is what was printed last."""
        line = describe(event, self._progress)
        if line and line != self._said:
            print(line, flush=True)
            self._said = line


def describe(event: Event, progress: Progress) -> str:
    """*event* as one line of text; empty for the end, which has a page of its own."""
    match event:
        case StateChanged() | Heartbeat() if not progress.state.terminal:
            state = progress.state.value.lower()
            return f"{state}: {printable(progress.reason)}" if progress.reason else state
        case Metrics(step=step, values=values):
            return "  ".join([f"step {step}", *(f"{printable(name)} {short(value)}" for name, value in values.items())])
        case Checkpoint(step=step, path=path):
            return f"checkpoint at step {step}: {printable(path)}"
        case Alert(message=message):
            return f"warning: {printable(message)}"
    return ""
