"""``allgrad submit``: hand a script to the server, and with ``--follow`` stay with it to its end."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import click

from ..errors import InvalidRequest
from ..jobs.spec import Dependency, LauncherKind
from .connection import Connection, connection_options, json_option
from .follow import INTERRUPTED, conclude, follow
from .job_ids import whole_id
from .lifetimes import Pair
from .policies import policy_options
from .script import SCRIPT_SETTINGS, find_script, hostfile_option, hosts_option, ranks_option
from .sweeps import Sweeping, announce_sweep, grid_options
from .words import FilePath, Word

if TYPE_CHECKING:
    from ..client.client import Client
    from ..client.options import Options
    from ..display.progress import Progress
    from ..jobs.hosts import Host
    from ..jobs.job import Job


@click.command(short_help="Hand a script to the server.", context_settings=SCRIPT_SETTINGS)
@ranks_option
@hosts_option
@hostfile_option
@click.option(
    "--launcher",
    type=click.Choice([kind.value for kind in LauncherKind]),
    default=LauncherKind.MPIRUN.value,
    help="What starts them: the server by mpirun, or the Slurm or Kubernetes that it knows.  [default: mpirun]",
)
@click.option(
    "--launcher-option",
    "launcher_options",
    type=Pair(),
    multiple=True,
    metavar="NAME=VALUE",
    help="Told to Slurm or Kubernetes, as in partition=long.",
)
@click.option("-f", "--follow", "following", is_flag=True, help="Show states and losses until it ends.")
@click.option("--name", default="", help="A name for people.  [default: the script's]")
@click.option("--env", multiple=True, metavar="KEY=VALUE", help="Set a variable; KEY alone passes yours on.")
@click.option("--as-torch", is_flag=True, help="Let `import torch` in the script mean allgrad.")
@click.option(
    "--workdir", type=FilePath(path_type=Path, file_okay=False), help="Upload this folder, and start in a copy of it."
)
@click.option(
    "--resume",
    type=FilePath(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Upload this checkpoint; the script finds its path in ALLGRAD_RESUME.",
)
@click.option("--request-id", type=Word(), metavar="ID", help="Submitting again with the same id makes no second job.")
@policy_options
@grid_options
@json_option
@connection_options
@click.argument("script")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[ARGUMENTS]...")
def submit(
    script: str,
    arguments: tuple[str, ...],
    ranks: int | None,
    hosts: str | None,
    hostfile: Path | None,
    launcher: str,
    launcher_options: tuple[tuple[str, str], ...],
    following: bool,
    name: str,
    env: tuple[str, ...],
    as_torch: bool,
    workdir: Path | None,
    resume: Path | None,
    request_id: str | None,
    policies: Options,
    needs: list[Dependency],
    sweep: Sweeping,
    as_json: bool,
    connection: Connection,
) -> int:
    """Submit SCRIPT to the server and print the id of the job.

    SCRIPT is a Python file or any program; what follows it is passed on to it. It starts in this folder, or with
    --workdir in a copy of that one on the server's machine, without what .gitignore and .allgradignore name; links
    become copies of what they lead to.
    With --follow, exits with the job's own code, and Ctrl-C cancels the job. With --grid, makes one job for every
    combination of values, passed to the script as --NAME VALUE, or in place of {NAME} among its arguments.
    """
    argv = [as_text(argument) for argument in (_script(script, workdir), *arguments)]
    settings = dict(_variable(setting) for setting in env)
    if following and sweep.grid:
        raise InvalidRequest("cannot follow a sweep", "it has many jobs", "leave --follow away, then: allgrad sweep ID")
    with connection.open() as client:
        how: dict[str, Any] = {
            "ranks": ranks,
            "launcher": launcher,
            "launcher_options": dict(launcher_options),
            "hosts": _named_hosts(hosts, hostfile),
            "name": as_text(name),
            "env": settings,
            **_place(client, workdir),
            "resume_from": client.files.upload_file(resume) if resume else "",
            "request_id": request_id,
            "as_torch": as_torch,
            **policies,
            "after": [replace(need, job_id=whole_id(connection, need.job_id)) for need in needs],
        }
        if sweep.grid:
            made = client.submit_sweep(
                argv, sweep.grid, max_parallel=sweep.max_parallel, early_stopping=sweep.early_stopping, **how
            )
            announce_sweep(made, as_json)
            return 0
        submit_job = partial(client.submit, argv, **how)
        if following:
            return follow_or_cancel(client, submit_job, as_json)
        announce(submit_job(), as_json)
    return 0


def _script(script: str, workdir: Path | None) -> str:
    """Return the script as the job is to name it: as seen from the folder that is uploaded, if it lies there."""
    found = find_script(script)
    if workdir is None:
        return found
    inside = Path(os.path.relpath(found, workdir.absolute())).as_posix()
    if not inside.startswith("../"):
        return inside if "/" in inside or inside.endswith(".py") else f"./{inside}"
    if script.endswith(".py") or os.sep in script:
        raise InvalidRequest(f"cannot run {script}", f"it is not in {workdir}", "upload a folder that holds it")
    return script


def _named_hosts(hosts: str | None, hostfile: Path | None) -> tuple[Host, ...]:
    if not hosts and hostfile is None:
        return ()
    from .place import named_hosts

    return named_hosts(hosts, hostfile)


def _place(client: Client, workdir: Path | None) -> dict[str, str]:
    """Return where the job is to start, having uploaded that if asked to."""
    return {"workdir": as_text(os.getcwd())} if workdir is None else {"archive": client.files.upload(workdir)}


def _variable(setting: str) -> tuple[str, str]:
    key, equals, value = setting.partition("=")
    if not key or (not equals and key not in os.environ):
        fix = "write KEY=VALUE, or KEY to pass on a variable that is set here"
        raise InvalidRequest(f"cannot use --env {setting}", f"no variable {key!r} is set here", fix)
    return as_text(key), as_text(value if equals else os.environ[key])


def as_text(argument: str) -> str:
    """*argument* as the UTF-8 that it was typed in, whatever Python took it for in this locale.

    Raises:
        InvalidRequest: its bytes are not UTF-8, so it cannot be sent.
    """
    try:
        return os.fsencode(argument).decode("utf-8")
    except UnicodeDecodeError:
        raise InvalidRequest(f"cannot send {argument!a}", "its bytes are not UTF-8") from None


def announce(job: Job, as_json: bool) -> None:
    """Say which job was made."""
    if as_json:
        from ..display.records import job_record

        click.echo(job_record(job))
        return
    click.echo(job.id)
    if sys.stderr.isatty():
        click.echo(f"watch it with: allgrad watch {job.id}", err=True)


def follow_or_cancel(client: Client, submit_job: Callable[[], Job], as_json: bool) -> int:
    """Stay with the job that *submit_job* makes; return its exit code. Ctrl-C cancels it."""
    from ..display.progress import Progress

    progress = None
    try:
        with ctrl_c_held_back():
            progress = Progress.of(submit_job())
        progress.reason = client.get(progress.job.id).reason
        follow(client, progress, as_json)
        return conclude(client, progress, as_json)
    except KeyboardInterrupt:
        if progress is None:
            raise
        return _cancel(client, progress, as_json)


@contextmanager
def ctrl_c_held_back() -> Iterator[None]:
    """Let a first Ctrl-C wait until the block has ended: nobody could cancel a job whose id has not arrived."""
    came: list[int] = []

    def hold_back(number: int, frame: FrameType | None) -> None:
        if came:
            raise KeyboardInterrupt
        came.append(number)

    before = signal.signal(signal.SIGINT, hold_back)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if came:
        raise KeyboardInterrupt


def _cancel(client: Client, progress: Progress, as_json: bool) -> int:
    job_id = progress.job.id
    click.echo(f"allgrad: cancelling job {job_id}; Ctrl-C again leaves that to the server", err=True)
    client.cancel(job_id)
    follow(client, progress, as_json, quietly=True)
    conclude(client, progress, as_json)
    return INTERRUPTED
