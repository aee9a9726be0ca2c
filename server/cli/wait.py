"""``allgrad wait``: until jobs have ended, for scripts that go on then."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

import click

from .connection import Connection, connection_options, json_option
from .follow import INTERRUPTED, exit_code
from .job_ids import JobId
from .jobs import print_change
from .lifetimes import Span

if TYPE_CHECKING:
    from ..client.client import Client
    from ..jobs.job import Job

TIMED_OUT = 124
"""As of timeout(1), and of a job that ran longer than it may."""


@click.command(short_help="Wait until jobs have ended.")
@click.argument("job_ids", type=JobId(), metavar="JOB...", nargs=-1, required=True)
@click.option("--timeout", type=Span(), metavar="TIME", help="Wait no longer than this, as in 10m, and exit with 124.")
@json_option
@connection_options
def wait(job_ids: tuple[str, ...], timeout: float | None, as_json: bool, connection: Connection) -> int:
    """Wait until each JOB has ended, and print how.

    Exits with 0 if all have succeeded, else with the code of the first one named that has not: its own, 6 if it was cancelled.
    Ctrl-C and --timeout end the waiting, never a job.
    """
    code = 0
    try:
        with connection.open() as client, _no_longer_than(timeout):
            jobs = [client.get(job_id) for job_id in job_ids]  # one that is not there is told before any is waited for
            for job in jobs:
                ended = _end(client, job)
                print_change(ended, as_json)
                code = code or exit_code(ended)
    except KeyboardInterrupt:
        click.echo("allgrad: you stopped waiting; the jobs go on", err=True)
        return INTERRUPTED
    except _TimeIsUp:
        click.echo(f"allgrad: not all jobs have ended in {timeout:g} s; they go on", err=True)
        return TIMED_OUT
    return code


def _end(client: Client, job: Job) -> Job:
    if not job.state.terminal:
        for _ in client.watch(job.id):
            pass
    return client.get(job.id)


class _TimeIsUp(BaseException):
    """Raised wherever the program is then, as Ctrl-C is."""


@contextmanager
def _no_longer_than(seconds: float | None) -> Iterator[None]:
    def stop(number: int, frame: FrameType | None) -> None:
        raise _TimeIsUp

    if seconds is None:
        yield
        return
    signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, max(seconds, 1e-6))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
