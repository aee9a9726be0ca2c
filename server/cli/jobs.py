"""``allgrad list``, ``show`` and ``cancel``: the jobs a server knows."""

from __future__ import annotations

import sys
from itertools import islice

import click

from ..job import Job, JobState
from .connection import Connection, connection_options, json_option

STATES = [state.value.lower() for state in JobState]


@click.command("list")
@click.option("--state", type=click.Choice(STATES, case_sensitive=False), help="Jobs in this state only.")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="At most this many.")
@json_option
@connection_options
def list_jobs(state: str | None, limit: int, as_json: bool, connection: Connection) -> None:
    """List the jobs of the server, newest first."""
    only = JobState(state.upper()) if state else None
    with connection.open() as client:
        jobs = list(islice(client.list(state=only, page_size=min(limit, 1000)), limit))
    if as_json:
        from ..display.records import job_record

        for job in jobs:
            click.echo(job_record(job))
    elif jobs:
        _print_table(jobs)
    elif sys.stderr.isatty():
        click.echo("no jobs yet; submit one with: allgrad submit SCRIPT", err=True)


def _print_table(jobs: list[Job]) -> None:
    from ..display.colours import COLOURS
    from ..display.tables import job_table

    head, *lines = job_table(jobs)
    click.echo(head)
    for job, line in zip(jobs, lines, strict=True):
        state = job.state.value.lower()
        click.echo(line.replace(state, click.style(state, fg=COLOURS[job.state]), 1))


@click.command(short_help="Show everything that is known of a job.")
@click.argument("job_id", metavar="JOB")
@json_option
@connection_options
def show(job_id: str, as_json: bool, connection: Connection) -> None:
    """Show everything that is known of JOB."""
    with connection.open() as client:
        job = client.get(job_id)
    if as_json:
        from ..display.records import job_record

        click.echo(job_record(job))
        return
    from ..display.tables import job_page

    for line in job_page(job):
        click.echo(line)


@click.command(short_help="End a job and all of its processes.")
@click.argument("job_ids", metavar="JOB...", nargs=-1, required=True)
@connection_options
def cancel(job_ids: tuple[str, ...], connection: Connection) -> None:
    """End each JOB: SIGTERM to all of its processes, SIGKILL to what remains after the grace time.

    Returns when the server has accepted that; a job that has already ended stays as it is.
    """
    with connection.open() as client:
        for job_id in job_ids:
            job = client.cancel(job_id)
            click.echo(f"{job.id} {job.state.value.lower()}")
