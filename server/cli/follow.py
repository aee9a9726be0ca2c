"""``allgrad watch`` and ``allgrad logs``: what happens in a job and what its ranks print."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from ..jobs.job import Heartbeat, JobState
from .connection import Connection, connection_options, json_option
from .job_ids import JobId
from .lifetimes import Count

if TYPE_CHECKING:
    from ..client.client import Client
    from ..display.progress import Progress
    from ..jobs.job import Job

CANCELLED = 6
INTERRUPTED = 130
TAIL_LINES = 20


@click.command(short_help="Show the states and losses of a job, live.")
@click.argument("job_id", type=JobId(), metavar="JOB")
@click.option("--from", "cursor", type=Count(bits=64), default=0, help="Only events after this cursor.")
@json_option
@connection_options
def watch(job_id: str, cursor: int, as_json: bool, connection: Connection) -> int:
    """Show the states and losses of JOB until it ends.

    Exits with the job's own code. Ctrl-C stops the watching, never the job.
    """
    from ..display.progress import Progress

    with connection.open() as client, leaving_the_job_alone(job_id):
        progress = Progress.of(client.get(job_id), cursor)
        follow(client, progress, as_json)
        return conclude(client, progress, as_json)
    return INTERRUPTED


@click.command(short_help="Print what the ranks of a job print.")
@click.argument("job_id", type=JobId(), metavar="JOB")
@click.option("-f", "--follow", "following", is_flag=True, help="Go on until the job has ended.")
@click.option("--rank", type=Count(-1), help="Of this rank only; -1: what mpirun printed.  [default: all]")
@click.option("--tail", type=Count(1), metavar="N", help="Begin with the last N lines of each rank.")
@click.option("--attempt", type=Count(1), metavar="N", help="Of this attempt.  [default: the present one]")
@json_option
@connection_options
def logs(
    job_id: str,
    following: bool,
    rank: int | None,
    tail: int | None,
    attempt: int | None,
    as_json: bool,
    connection: Connection,
) -> int:
    """Print what the ranks of JOB have printed, with [rank] before each line if there are several.

    With --json, one object for each piece of a log, which holds whole lines where it can.
    """
    from ..display.prefix import RankLines
    from ..display.records import chunk_record

    with connection.open() as client, leaving_the_job_alone(job_id):
        job = client.get(job_id)
        lines = RankLines(sys.stdout.buffer, prefixed=rank is None and job.ranks > 1)
        for chunk in client.logs(job.id, rank=rank, follow=following, tail=tail or 0, attempt=attempt or 0):
            if as_json:
                click.echo(chunk_record(chunk))
            else:
                lines.feed(chunk.rank, chunk.data)
        lines.close()
        return 0
    return INTERRUPTED


@contextmanager
def leaving_the_job_alone(job_id: str) -> Iterator[None]:
    """On Ctrl-C, say that only the looking has stopped."""
    try:
        yield
    except KeyboardInterrupt:
        click.echo(f"allgrad: you stopped looking; job {job_id} goes on", err=True)


def follow(client: Client, progress: Progress, as_json: bool, quietly: bool = False) -> None:
    """Show a job's events after ``progress.cursor`` until its terminal state; *quietly*: to programs only."""
    from ..display.screens import showing

    with showing(progress, as_json, quietly) as show_event:
        for event in client.watch(progress.job.id, cursor=progress.cursor, heartbeats=True):
            progress.absorb(event)
            if isinstance(event, Heartbeat) and progress.state is JobState.QUEUED:
                progress.reason = client.get(progress.job.id).reason
            show_event(event)


def conclude(client: Client, progress: Progress, as_json: bool) -> int:
    """Say how a finished job ended and what it left; return the exit code that stands for it."""
    job = client.get(progress.job.id)
    if not as_json:
        from ..display.ending import ending

        click.echo(ending(job))
        if job.state is JobState.FAILED or not progress.series:
            _print_tail(client, job)
    return exit_code(job)


def exit_code(job: Job) -> int:
    """The job's own code, 6 if it was cancelled, 1 if it failed without one."""
    if job.state is JobState.CANCELLED:
        return CANCELLED
    return 0 if job.state is JobState.SUCCEEDED else job.exit_code or 1


def _print_tail(client: Client, job: Job) -> None:
    """The last lines of the rank that failed, or of a job that has reported nothing else."""
    from ..display.ending import failing_rank
    from ..display.tail import Tail

    rank = failing_rank(job)
    tail = Tail(TAIL_LINES, prefixed=job.ranks > 1)
    for chunk in client.logs(job.id, rank=rank, tail=TAIL_LINES + 1):
        tail.feed(chunk.rank, chunk.data)
    to_stderr = job.state is JobState.FAILED
    if tail.cut:
        click.echo(f"  the last {TAIL_LINES} lines of: allgrad logs {job.id}", err=to_stderr)
    for line in tail.lines():
        click.echo(line, err=to_stderr)
