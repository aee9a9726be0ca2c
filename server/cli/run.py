"""``allgrad run``: a script on some ranks of this machine, here and now, without a server."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..errors import InvalidRequest
from .script import SCRIPT_SETTINGS, find_script, ranks_option

if TYPE_CHECKING:
    from ..launchers import Ending, Launcher

INTERRUPTED = 130
WRONG_USAGE = 2
"""What a rank exits with that was started wrongly: starting it so again would change nothing."""


@click.command(short_help="Run a script on this machine, without a server.", context_settings=SCRIPT_SETTINGS)
@ranks_option
@click.option("--as-torch", is_flag=True, help="Let `import torch` in the script mean allgrad.")
@click.option(
    "--restarts",
    type=click.IntRange(0),
    default=0,
    metavar="N",
    help="How often to start again after a failure: without the rank that a signal has ended, if one has.",
)
@click.option(
    "--min-ranks", type=click.IntRange(1), default=1, metavar="N", help="With how few ranks to start again (default 1)."
)
@click.option(
    "--elastic", is_flag=True, help="Let the other ranks go on when one dies (dist.elastic_steps; Open MPI only)."
)
@click.option(
    "--trace",
    type=click.Path(dir_okay=False, resolve_path=True),
    metavar="FILE",
    help="Write a timeline of all ranks to FILE, for ui.perfetto.dev.",
)
@click.argument("script")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[ARGUMENTS]...")
def run(
    script: str,
    arguments: tuple[str, ...],
    ranks: int,
    as_torch: bool,
    restarts: int,
    min_ranks: int,
    elastic: bool,
    trace: str | None,
) -> int:
    """Run SCRIPT here and now, without a server, and exit with its code.

    With several ranks each line of output is led by [rank]. Ctrl-C ends all of them.
    """
    argv = [find_script(script), *arguments]
    if min_ranks > ranks:
        raise InvalidRequest(
            f"cannot run {ranks} ranks with --min-ranks {min_ranks}",
            "that is more than the run begins with",
            "ask for more ranks with -n, or for a smaller --min-ranks",
        )
    _warn_of_too_many(ranks)
    if trace is not None:
        os.environ["ALLGRAD_TRACE"] = trace
    if ranks == 1 and not restarts:
        from .. import foreground
        from ..launchers import command, local

        foreground.become(command(local(ranks), argv, ranks, as_torch=as_torch))
    try:
        for attempt in count(1):
            ending, last_words = _attempt(argv, _launcher(ranks, elastic), ranks, as_torch, attempt)
            if not ending.exit_code:
                return 0
            _tell_of_failure(ending.signal, last_words)
            left = ranks - (ending.signal is not None and ranks > 1)
            if attempt > restarts or ending.exit_code == WRONG_USAGE or not _may_go_on(left, min_ranks, restarts):
                return ending.exit_code
            ranks = left
            _tell_of_restart(ranks, attempt, restarts)
    except KeyboardInterrupt:
        click.echo("allgrad: interrupted; all ranks have ended", err=True)
    return INTERRUPTED


def _launcher(ranks: int, elastic: bool) -> Launcher:
    from ..launchers import OpenMPI, local

    launcher = local(ranks)
    if not elastic or ranks == 1:
        return launcher
    if isinstance(launcher, OpenMPI):
        return replace(launcher, elastic=True)
    click.echo(
        f"allgrad: warning: under {launcher.name} the death of a rank ends the others, despite --elastic: "
        "use Open MPI, or --restarts",
        err=True,
    )
    return launcher


def _attempt(argv: list[str], launcher: Launcher, ranks: int, as_torch: bool, attempt: int) -> tuple[Ending, list[str]]:
    """Run *argv* on *ranks* ranks to the end; return how it ended, and what the launcher said of a failure."""
    from ..foreground import Foreground
    from ..launchers import command

    with tempfile.TemporaryDirectory(prefix="allgrad-run-") as name:
        folder = Path(name)
        prepared = command(launcher, argv, ranks, scratch=folder, as_torch=as_torch)
        with Foreground(launcher, prepared, ranks, folder, sys.stdout.buffer, attempt) as running:
            return running.wait(), running.last_words()


def _may_go_on(left: int, min_ranks: int, restarts: int) -> bool:
    if restarts and left < min_ranks:
        click.echo(f"allgrad: {left} ranks are left, fewer than --min-ranks {min_ranks}: not started again", err=True)
    return left >= min_ranks


def _tell_of_restart(ranks: int, attempt: int, restarts: int) -> None:
    named = "1 rank" if ranks == 1 else f"{ranks} ranks"
    click.echo(f"allgrad: starting again with {named} (restart {attempt} of {restarts})", err=True)


def _warn_of_too_many(ranks: int) -> None:
    cores = len(os.sched_getaffinity(0))
    if ranks > cores:
        click.echo(f"allgrad: warning: {ranks} ranks share {cores} cores, and will be slow", err=True)


def _tell_of_failure(number: int | None, last_words: list[str]) -> None:
    if number is not None:
        name = signal.strsignal(number) or "unknown"
        click.echo(f"allgrad: a rank was ended by signal {number} ({name}); all ranks have ended", err=True)
        return
    for line in last_words:
        click.echo(f"[mpi] {line}", err=True)
