"""``allgrad run``: a script on some ranks of this machine, here and now, without a server."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from pathlib import Path

import click

from .script import SCRIPT_SETTINGS, find_script, ranks_option

INTERRUPTED = 130


@click.command(short_help="Run a script on this machine, without a server.", context_settings=SCRIPT_SETTINGS)
@ranks_option
@click.option("--as-torch", is_flag=True, help="Let `import torch` in the script mean allgrad.")
@click.argument("script")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[ARGUMENTS]...")
def run(script: str, arguments: tuple[str, ...], ranks: int, as_torch: bool) -> int:
    """Run SCRIPT here and now, without a server, and exit with its code.

    With several ranks each line of output is led by [rank]. Ctrl-C ends all of them.
    """
    argv = [find_script(script), *arguments]
    from .. import foreground
    from ..launchers import command, local

    launcher = local(ranks)
    _warn_of_too_many(ranks)
    if ranks == 1:
        foreground.become(command(launcher, argv, ranks, as_torch=as_torch))
    try:
        with (
            tempfile.TemporaryDirectory(prefix="allgrad-run-") as name,
            foreground.Foreground(
                launcher,
                command(launcher, argv, ranks, scratch=Path(name), as_torch=as_torch),
                ranks,
                Path(name),
                sys.stdout.buffer,
            ) as running,
        ):
            ending = running.wait()
            if ending.exit_code:
                _tell_of_failure(ending.signal, running.last_words())
            return ending.exit_code
    except KeyboardInterrupt:
        click.echo("allgrad: interrupted; all ranks have ended", err=True)
        return INTERRUPTED


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
