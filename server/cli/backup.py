"""``allgrad backup`` and ``allgrad restore``: what the server remembers, in one file."""

from __future__ import annotations

from pathlib import Path

import click

from .connection import home_option
from .words import FilePath


@click.command(short_help="Write what the server remembers to a file.")
@click.argument("file", type=FilePath(path_type=Path, dir_okay=False))
@home_option
def backup(file: Path, home: Path | None) -> None:
    """Write jobs, their events and metrics to FILE, and uploads that unfinished jobs need, and verify it.

    The server may run meanwhile. Neither the token nor logs, checkpoints and outputs are in it; those are plain files
    under jobs/ in the server's folder.
    """
    from ..backup import back_up
    from ..home import Home

    made = back_up(Home.find(home), file)
    click.echo(f"{file} holds {made.jobs} job(s), {made.size / 1e6:.1f} MB unpacked; verified")


@click.command(short_help="Fill a new server's folder from a backup.")
@click.argument("file", type=FilePath(path_type=Path, dir_okay=False))
@home_option
def restore(file: Path, home: Path | None) -> None:
    """Put the jobs of FILE into a folder that has none, for the next server there.

    The folder keeps its token, or gets a new one.
    """
    import shlex
    import time

    from ..backup import restore as restore_backup
    from ..home import Home

    place = Home.find(home)
    made = restore_backup(file, place)
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(made.created))
    where = "" if place.path == Home.find(None).path else f" --home {shlex.quote(str(place.path))}"
    click.echo(f"{place.path} has the {made.jobs} job(s) of {when}; start its server with: allgrad serve{where}")
