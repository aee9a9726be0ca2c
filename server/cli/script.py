"""What a person named as the script to run, found and checked before anything is started or submitted."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import click

from ..errors import InvalidRequest
from .lifetimes import Count
from .words import FilePath, Word

SCRIPT_SETTINGS = {"ignore_unknown_options": True, "allow_interspersed_args": False}
"""Settings of a verb that runs a script: options after the script's name are the script's own."""

ranks_option = click.option(
    "-n", "--ranks", type=Count(1), metavar="N", help="How many ranks.  [default: 1, or as many as have room]"
)
hosts_option = click.option(
    "--hosts", type=Word(), metavar="LIST", help="Start them on these hosts, over ssh, as in a:2,b:2."
)
hostfile_option = click.option(
    "--hostfile",
    type=FilePath(path_type=Path, exists=True, dir_okay=False),
    metavar="FILE",
    help="The same, one host a line, as in: a slots=2",
)


def find_script(name: str) -> str:
    """The absolute path of the script or program *name*, which is a path or a command on the PATH.

    Raises:
        InvalidRequest: it is missing, a folder, unreadable, or neither a ``.py`` file nor executable.

    >>> find_script("/nowhere/train.py")
    Traceback (most recent call last):
    ...
    allgrad.server.errors.InvalidRequest: script not found: /nowhere/train.py; there is no folder /nowhere
    """
    path = Path(name).absolute()
    if not path.exists():
        command = None if os.sep in name or name.endswith(".py") else shutil.which(name)
        if command is None:
            raise _not_found(name, path)
        return str(Path(command).absolute())
    if path.is_dir():
        raise InvalidRequest(f"cannot run {name}", "it is a folder", "name the file in it that should run")
    if path.suffix == ".py":
        if not os.access(path, os.R_OK):
            raise InvalidRequest(f"cannot read {name}", "you may not", f"allow it with: chmod +r {name}")
    elif not os.access(path, os.X_OK):
        fix = f"a Python script ends in .py; any other program needs: chmod +x {name}"
        raise InvalidRequest(f"cannot run {name}", "it is neither a .py file nor executable", fix)
    return str(path)


def _not_found(name: str, path: Path) -> InvalidRequest:
    what = f"script not found: {name}"
    if not path.parent.is_dir():
        return InvalidRequest(what, f"there is no folder {path.parent}")
    if path.with_name(path.name + ".py").is_file():
        return InvalidRequest(what, f"there is a {name}.py", "did you mean that?")
    return InvalidRequest(what, f"looked in {path.parent}")
