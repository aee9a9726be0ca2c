"""``allgrad diff``: what two jobs measured, side by side."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from ..errors import InvalidRequest
from ..jobs.job import Heartbeat, Metrics
from .connection import Connection, connection_options, json_option
from .job_ids import JobId
from .lifetimes import Count

if TYPE_CHECKING:
    from ..client.client import Client

Measured = dict[str, dict[int, float]]
"""Values by series and step."""


@click.command(short_help="Compare the losses of two jobs.")
@click.argument("first", type=JobId(), metavar="JOB")
@click.argument("second", type=JobId(), metavar="JOB")
@click.option("--series", "wanted", multiple=True, metavar="NAME", help="Only this one.  [default: all that both have]")
@click.option("--rows", type=Count(2), default=20, show_default=True, help="At most this many steps of each.")
@json_option
@connection_options
def diff(first: str, second: str, wanted: tuple[str, ...], rows: int, as_json: bool, connection: Connection) -> None:
    """Show what two jobs measured at the same steps, side by side; --json prints every step.

    Of a job that runs, what it has reported so far.
    """
    from ..display.comparison import comparison_records, comparison_table

    with connection.open() as client:
        measured = _measured(client, first), _measured(client, second)
    both = [name for name in measured[0] if name in measured[1]]
    for name in wanted or both[:1]:
        if name not in both:
            found = f"both have {', '.join(both)}" if both else "no series has been reported by both"
            raise InvalidRequest(f"jobs {first} and {second} cannot be compared in {name}", found)
    if not both:
        raise InvalidRequest(f"jobs {first} and {second} cannot be compared", "no series has been reported by both")
    for name in wanted or both:
        pair = measured[0][name], measured[1][name]
        for line in (
            comparison_records(name, *pair) if as_json else comparison_table(name, (first, second), *pair, rows)
        ):
            click.echo(line)


def _measured(client: Client, job_id: str) -> Measured:
    """Return what a job has measured so far; a step that was repeated counts as it was measured last."""
    began, found = time.time(), Measured()
    for event in client.watch(job_id, heartbeats=True):
        if isinstance(event, Heartbeat) or event.time > began:
            break
        if isinstance(event, Metrics):
            for name, value in event.values.items():
                found.setdefault(name, {})[event.step] = value
    return found
