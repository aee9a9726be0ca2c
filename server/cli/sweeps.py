"""``allgrad submit --grid``, ``allgrad sweep`` and ``allgrad sweeps``: one job for every point of a grid."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from itertools import islice
from typing import TYPE_CHECKING, Any

import click

from ..errors import InvalidRequest
from ..jobs.spec import EarlyStopping
from .connection import Connection, connection_options, json_option
from .lifetimes import Count, Pair
from .policies import refuse_without

if TYPE_CHECKING:
    from ..jobs.job import Sweep

_OF_SWEEPS = ("max_parallel", "stop_early", "stop_after")


@dataclass(frozen=True)
class Sweeping:
    """The grid of a sweep, as the command line says it."""

    grid: dict[str, list[str]]
    max_parallel: int
    early_stopping: EarlyStopping | None


def grid_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give *command* the options of a sweep, and hand them to it as ``sweep``."""

    @click.option(
        "--grid", type=Pair(), multiple=True, metavar="NAME=A,B,...", help="One job for each of these values."
    )
    @click.option("--max-parallel", type=Count(), default=0, metavar="N", help="How many of them run at once.")
    @click.option(
        "--stop-early", metavar="[-]METRIC", help="End those whose METRIC is high, or with - low, beside others'."
    )
    @click.option("--stop-after", type=Count(1), default=1, metavar="STEP", help="The first step that is compared.")
    @wraps(command)
    def with_grid(
        *args: Any,
        grid: tuple[tuple[str, str], ...],
        max_parallel: int,
        stop_early: str | None,
        stop_after: int,
        **given: Any,
    ) -> Any:
        axes = {name: values.split(",") for name, values in grid}
        if len(axes) < len(grid):
            fix = "write all of its values at once, as in: --grid lr=0.1,0.01"
            raise InvalidRequest("cannot use --grid", "it names a parameter twice", fix)
        for name, values in axes.items():
            if "" in values:
                fix = "write NAME=A,B, as in: --grid lr=0.1,0.01"
                raise InvalidRequest(f"cannot use --grid {name}={','.join(values)}", "a value in it is empty", fix)
        refuse_without("grid", _OF_SWEEPS, "it is for a sweep", "make one with --grid NAME=A,B")
        rule = None
        if stop_early:
            rule = EarlyStopping(stop_early.removeprefix("-"), stop_early.startswith("-"), stop_after)
        return command(*args, sweep=Sweeping(axes, max_parallel, rule), **given)

    return with_grid


def announce_sweep(made: Sweep, as_json: bool) -> None:
    """Say which sweep was made."""
    if as_json:
        from ..display.records import sweep_record

        click.echo(sweep_record(made))
        return
    click.echo(made.id)
    if sys.stderr.isatty():
        click.echo(f"{len(made.jobs)} jobs; see them with: allgrad sweep {made.id}", err=True)


@click.command(short_help="Show a sweep and its jobs.")
@click.argument("sweep_id", metavar="SWEEP")
@click.option("--cancel", "cancelling", is_flag=True, help="End all of its jobs.")
@json_option
@connection_options
def sweep(sweep_id: str, cancelling: bool, as_json: bool, connection: Connection) -> None:
    """Show the jobs of SWEEP, in the order of its grid."""
    with connection.open() as client:
        found = client.cancel_sweep(sweep_id) if cancelling else client.sweep(sweep_id)
    if as_json:
        from ..display.records import sweep_record

        click.echo(sweep_record(found))
        return
    from .jobs import print_table

    print_table(list(found.jobs))


@click.command(short_help="List the sweeps.")
@click.option("--limit", type=Count(1), default=20, show_default=True, help="At most this many.")
@json_option
@connection_options
def sweeps(limit: int, as_json: bool, connection: Connection) -> None:
    """List the sweeps of the server, newest first."""
    with connection.open() as client:
        found = list(islice(client.sweeps(), limit))
    if as_json:
        from ..display.records import sweep_record

        for each in found:
            click.echo(sweep_record(each))
        return
    from ..display.tables import sweep_table

    if not found:
        click.echo("no sweeps; make one with: allgrad submit --grid NAME=A,B SCRIPT", err=True)
        return
    for line in sweep_table(found):
        click.echo(line)
