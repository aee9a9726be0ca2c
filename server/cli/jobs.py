"""``allgrad list``, ``show``, ``why``, and what is done to jobs: ``cancel``, ``pause``, ``resume``, ``priority``, ``delete``."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from itertools import islice
from typing import TYPE_CHECKING

import click

from ..errors import Forbidden, JobNotFound, JobStateConflict
from ..jobs.job import Job, JobState
from .connection import Connection, connection_options, json_option
from .job_ids import JobId
from .lifetimes import Count, Span
from .words import Word

if TYPE_CHECKING:
    from ..client.client import Client

DECLINED = 1
_NAMED = 5
STATES = [state.value.lower() for state in JobState]


@click.command("list")
@click.option(
    "--state",
    "states",
    type=click.Choice(STATES, case_sensitive=False),
    multiple=True,
    help="In this state; may be repeated.",
)
@click.option(
    "--label", "labels", multiple=True, metavar="TERM", help="KEY=VALUE, KEY!=VALUE, KEY, or !KEY; all must hold."
)
@click.option("--name", default="", help="With this in their names.")
@click.option("--since", type=Span(), help="Submitted in this last time, as in 2h.")
@click.option("--sweep", type=Word(), metavar="SWEEP", help="Of this sweep.")
@click.option("--user", type=Word(), metavar="USER", help="Of this user.")
@click.option("--me", is_flag=True, help="Of the user to whom your token belongs.")
@click.option("--limit", type=Count(1), default=50, show_default=True, help="At most this many.")
@json_option
@connection_options
def list_jobs(
    states: tuple[str, ...],
    labels: tuple[str, ...],
    name: str,
    since: float | None,
    sweep: str | None,
    user: str | None,
    me: bool,
    limit: int,
    as_json: bool,
    connection: Connection,
) -> None:
    """List the jobs of the server, newest first."""
    if me and user:
        raise click.UsageError("--me and --user name two users: give one of them")
    with connection.open() as client:
        found = client.list(
            [JobState(state.upper()) for state in states],
            min(limit, 1000),
            labels=",".join(labels),
            name=name,
            since=None if since is None else time.time() - since,
            sweep=sweep or "",
            user=client.info().user if me else user or "",
        )
        jobs = list(islice(found, limit))
    if as_json:
        print_records(jobs)
    elif jobs:
        print_table(jobs)
    elif states or labels or name or since is not None or sweep or user or me:
        click.echo("no jobs match", err=True)
    else:
        click.echo("no jobs; submit one with: allgrad submit SCRIPT", err=True)


def print_records(jobs: list[Job]) -> None:
    """Print one JSON object for each of *jobs*."""
    from ..display.records import job_record

    for job in jobs:
        click.echo(job_record(job))


def print_table(jobs: list[Job]) -> None:
    """Print *jobs* as a table."""
    from ..display.colours import COLOURS
    from ..display.tables import job_table

    head, *lines = job_table(jobs)
    click.echo(head)
    for job, line in zip(jobs, lines, strict=True):
        state = job.state.value.lower()
        click.echo(line.replace(state, click.style(state, fg=COLOURS[job.state]), 1))


@click.command(short_help="Show everything that is known of a job.")
@click.argument("job_id", type=JobId(), metavar="JOB")
@json_option
@connection_options
def show(job_id: str, as_json: bool, connection: Connection) -> None:
    """Show everything that is known of JOB."""
    with connection.open() as client:
        job = client.get(job_id)
    if as_json:
        print_records([job])
        return
    from ..display.tables import job_page

    for line in job_page(job):
        click.echo(line)


@click.command(short_help="End jobs and all of their processes.")
@click.argument("job_ids", type=JobId(), metavar="[JOB]...", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="All of your jobs that have not ended.")
@click.option("--label", "labels", multiple=True, metavar="TERM", help="Those of your jobs with KEY=VALUE, or KEY, ...")
@click.option("-y", "--yes", is_flag=True, help="Ask nothing before --all and --label.")
@json_option
@connection_options
def cancel(
    job_ids: tuple[str, ...],
    everything: bool,
    labels: tuple[str, ...],
    yes: bool,
    as_json: bool,
    connection: Connection,
) -> int:
    """End each JOB: SIGTERM to all of its processes, SIGKILL to what remains after the grace time.

    Returns when the server has accepted that; a job that has already ended stays as it is. With --all or --label, which
    takes terms as list does, asks before it ends what it has found.
    """
    selecting = everything or bool(labels)
    if selecting == bool(job_ids):
        raise click.UsageError("name each JOB, or else give --all or --label TERM")
    with connection.open() as client:
        if selecting:
            job_ids = _unfinished(client, labels)
            if not job_ids:
                click.echo("no jobs match", err=True)
            elif not (yes or _agreed(job_ids)):
                click.echo("allgrad: nothing was cancelled", err=True)
                return DECLINED
        return _change(client.cancel, job_ids, as_json)


def _unfinished(client: Client, labels: tuple[str, ...]) -> tuple[str, ...]:
    """Return the caller's jobs that have not ended, by id, newest first."""
    user = client.info().user
    states = [state for state in JobState if not state.terminal]
    found = client.list(states, 1000, labels=",".join(labels), user=user)
    return tuple(job.id for job in found if job.owner == user)


def _agreed(job_ids: tuple[str, ...]) -> bool:
    """Ask whether these jobs are to be ended. Raises UsageError where nobody can be asked."""
    if not sys.stdin.isatty():
        raise click.UsageError(f"{len(job_ids)} jobs would be cancelled, and there is no terminal to ask on: add --yes")
    some = ", ".join(job_ids[:_NAMED]) + (", ..." if len(job_ids) > _NAMED else "")
    return click.confirm(f"cancel {len(job_ids)} job{'' if len(job_ids) == 1 else 's'} ({some})?", err=True)


@click.command(short_help="Take a job off its slots for a while.")
@click.argument("job_ids", type=JobId(), metavar="JOB...", nargs=-1, required=True)
@json_option
@connection_options
def pause(job_ids: tuple[str, ...], as_json: bool, connection: Connection) -> int:
    """Stop each JOB until it is resumed: SIGTERM, and the grace time for writing a checkpoint.

    A job that waits in the queue is taken off it.
    """
    with connection.open() as client:
        return _change(client.pause, job_ids, as_json)


@click.command(short_help="Let a paused job go on.")
@click.argument("job_ids", type=JobId(), metavar="JOB...", nargs=-1, required=True)
@json_option
@connection_options
def resume(job_ids: tuple[str, ...], as_json: bool, connection: Connection) -> int:
    """Put each paused JOB back into the queue; it goes on from its last checkpoint."""
    with connection.open() as client:
        return _change(client.resume, job_ids, as_json)


@click.command(short_help="Change the priority of a job.", context_settings={"ignore_unknown_options": True})
@click.argument("job_id", type=JobId(), metavar="JOB")
@click.argument("priority", type=click.IntRange(-100, 100))
@json_option
@connection_options
def priority(job_id: str, priority: int, as_json: bool, connection: Connection) -> int:
    """Give JOB another PRIORITY, from -100 to 100. The highest starts first."""
    with connection.open() as client:
        return _change(lambda each: client.change_priority(each, priority), (job_id,), as_json)


@click.command(short_help="Forget a finished job and its files.")
@click.argument("job_ids", type=JobId(), metavar="JOB...", nargs=-1, required=True)
@json_option
@connection_options
def delete(job_ids: tuple[str, ...], as_json: bool, connection: Connection) -> int:
    """Forget each JOB, which has ended, with its output, checkpoints, logs and losses."""
    with connection.open() as client:

        def forget(job_id: str) -> None:
            client.delete(job_id)
            click.echo(json.dumps({"deleted": job_id}) if as_json else f"{job_id} deleted")

        return _each(job_ids, forget)


@click.command(short_help="Say why a job is not running.")
@click.argument("job_id", type=JobId(), metavar="JOB")
@json_option
@connection_options
def why(job_id: str, as_json: bool, connection: Connection) -> None:
    """Say why JOB is not running: for what it waits, or how it ended."""
    with connection.open() as client:
        told = client.explain(job_id)
    if as_json:
        from ..display.records import explanation_record

        click.echo(explanation_record(told))
        return
    from ..display.tables import explanation_page

    for line in explanation_page(told):
        click.echo(line)


def _change(ask: Callable[[str], Job], job_ids: tuple[str, ...], as_json: bool) -> int:
    def change(job_id: str) -> None:
        print_change(ask(job_id), as_json)

    return _each(job_ids, change)


def print_change(job: Job, as_json: bool) -> None:
    """Print what has become of *job*."""
    if as_json:
        print_records([job])
    else:
        click.echo(f"{job.id} {job.state.value.lower()}")


def _each(job_ids: tuple[str, ...], act: Callable[[str], None]) -> int:
    """*act* on every job, also after one with which that cannot be done; return the exit code of the first such one."""
    code = 0
    for job_id in job_ids:
        try:
            act(job_id)
        except (JobNotFound, JobStateConflict, Forbidden) as error:
            click.echo(f"allgrad: {error}", err=True)
            code = code or error.exit_code
    return code
