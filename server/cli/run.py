"""``allgrad run``: a script on some ranks, here and now, without a server."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from ..errors import InvalidRequest
from .lifetimes import Count
from .script import SCRIPT_SETTINGS, find_script, hostfile_option, hosts_option, ranks_option
from .words import FilePath

if TYPE_CHECKING:
    from ..launchers import Ending, Launcher
    from .place import Place

INTERRUPTED = 130
WRONG_USAGE = 2
"""What a rank exits with that was started wrongly: starting it so again would change nothing."""


@click.command(short_help="Run a script here and now, without a server.", context_settings=SCRIPT_SETTINGS)
@ranks_option
@hosts_option
@hostfile_option
@click.option(
    "-x", "--export", multiple=True, metavar="NAME", help="Pass this variable on to other hosts, beside the usual ones."
)
@click.option("--as-torch", is_flag=True, help="Let `import torch` in the script mean allgrad.")
@click.option(
    "--restarts",
    type=Count(),
    default=0,
    metavar="N",
    help="How often to start again after a failure: without the rank that a signal has ended, or the host that is lost.",
)
@click.option(
    "--min-ranks", type=Count(1), default=1, metavar="N", help="With how few ranks to start again (default 1)."
)
@click.option(
    "--elastic", is_flag=True, help="Let the other ranks go on when one dies (dist.elastic_steps; Open MPI only)."
)
@click.option(
    "--trace",
    type=FilePath(dir_okay=False, resolve_path=True),
    metavar="FILE",
    help="Write a timeline of all ranks to FILE, for ui.perfetto.dev.",
)
@click.argument("script")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[ARGUMENTS]...")
def run(
    script: str,
    arguments: tuple[str, ...],
    ranks: int | None,
    hosts: str | None,
    hostfile: Path | None,
    export: tuple[str, ...],
    as_torch: bool,
    restarts: int,
    min_ranks: int,
    elastic: bool,
    trace: str | None,
) -> int:
    """Run SCRIPT here and now, without a server, and exit with its code.

    With several ranks each line of output is led by [rank]. Ctrl-C ends all of them. Within a Slurm allocation the
    ranks start on its nodes; where srun or mpirun has started several of this command, each becomes one rank.
    """
    from .place import check, find_place

    argv = [find_script(script), *arguments]
    place = find_place(ranks, hosts, hostfile)
    if min_ranks > place.ranks:
        raise InvalidRequest(
            f"cannot run {place.ranks} ranks with --min-ranks {min_ranks}",
            "that is more than the run begins with",
            "ask for more ranks with -n, or for a smaller --min-ranks",
        )
    if trace is not None:
        os.environ["ALLGRAD_TRACE"] = trace
    if place.world or (place.alone and not restarts):
        _become_a_rank(argv, as_torch, place.world)
    check(place)
    from ..foreground import EndedBySignal

    try:
        return _attempts(_Run(argv, as_torch, elastic, export), place, restarts, min_ranks)
    except KeyboardInterrupt:
        click.echo("allgrad: interrupted; all ranks have ended", err=True)
    except EndedBySignal as error:
        click.echo(f"allgrad: ended by {error.number.name}; all ranks have ended", err=True)
        raise
    return INTERRUPTED


def _become_a_rank(argv: list[str], as_torch: bool, one_of_many: bool) -> NoReturn:
    from .. import foreground
    from ..launchers import Command, command, local, rank_program

    prepared = command(local(1), argv, 1, as_torch=as_torch)
    if one_of_many:  # the ranks share this machine's cores in a way that only they can tell
        prepared = Command(tuple(rank_program(argv, as_torch)), os.environ)
    foreground.become(prepared)


@dataclass(frozen=True, slots=True)
class _Run:
    """What is the same in each attempt."""

    argv: list[str]
    as_torch: bool
    elastic: bool
    export: tuple[str, ...]


def _attempts(run: _Run, place: Place, restarts: int, min_ranks: int) -> int:
    """Run until it succeeds or may not be tried again; return the exit code."""
    attempt = 1
    while True:
        ending, last_words = _attempt(run, place.launcher(place.ranks, run.elastic), place.ranks, attempt)
        if not ending.exit_code:
            return 0
        _tell_of_failure(ending.signal, last_words)
        if attempt > restarts or ending.exit_code == WRONG_USAGE:
            return ending.exit_code
        place = place.without_lost_hosts(place.ranks - (ending.signal is not None and place.ranks > 1))
        if not _may_go_on(place.ranks, min_ranks):
            return ending.exit_code
        _tell_of_restart(place.ranks, attempt, restarts)
        attempt += 1


def _attempt(run: _Run, launcher: Launcher, ranks: int, attempt: int) -> tuple[Ending, list[str]]:
    """Run on *ranks* ranks to the end; return how it ended, and what the launcher said of a failure."""
    from ..foreground import Foreground, tags
    from ..launchers import command

    with tempfile.TemporaryDirectory(prefix="allgrad-run-") as name:
        folder = Path(name)
        environ = {**os.environ, **tags(attempt)}
        prepared = command(
            launcher, run.argv, ranks, scratch=folder, as_torch=run.as_torch, environ=environ, forward=run.export
        )
        with Foreground(launcher, prepared, ranks, folder, sys.stdout.buffer, attempt) as running:
            return running.wait(), running.last_words()


def _may_go_on(left: int, min_ranks: int) -> bool:
    if left < min_ranks:
        click.echo(f"allgrad: {left} ranks are left, fewer than --min-ranks {min_ranks}: not started again", err=True)
    return left >= min_ranks


def _tell_of_restart(ranks: int, attempt: int, restarts: int) -> None:
    named = "1 rank" if ranks == 1 else f"{ranks} ranks"
    click.echo(f"allgrad: starting again with {named} (restart {attempt} of {restarts})", err=True)


def _tell_of_failure(number: int | None, last_words: list[str]) -> None:
    if number is not None:
        name = signal.strsignal(number) or "unknown"
        click.echo(f"allgrad: a rank was ended by signal {number} ({name}); all ranks have ended", err=True)
        return
    for line in last_words:
        click.echo(f"[mpi] {line}", err=True)
