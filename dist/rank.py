"""The program every rank starts with: ``python -m allgrad.dist.rank [--as-torch] SCRIPT [ARGS...]``.

A ``.py`` script runs inside this process, as ``python SCRIPT`` would run it, except that its failure ends every
rank; any other program replaces the process. Where ALLGRAD_LOG_DIR is set, all output goes to ``rank-<R>.log``
there.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import runpy
import socket
import stat
import sys
from pathlib import Path
from typing import NoReturn

from .failure import Refused, end_world, exit_code
from .launch import launch

USAGE = "usage: python -m allgrad.dist.rank [--as-torch] SCRIPT [ARGS...]"


def main(argv: list[str]) -> None:
    """Run the script that *argv* names, with its arguments."""
    _redirect_output()
    as_torch = argv[:1] == ["--as-torch"]
    if as_torch:
        argv = argv[1:]
    if not argv or argv[0].startswith("-"):
        _refuse(USAGE)
    if argv[0].endswith(".py"):
        _run_script(argv, as_torch=as_torch)
    else:
        _become(argv)


def _redirect_output() -> None:
    folder = os.environ.get("ALLGRAD_LOG_DIR")
    seen = launch()
    if folder:
        path = Path(folder, f"rank-{seen.rank if seen else 0}.log")
        try:
            log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        except OSError as error:
            _refuse(
                f"{socket.gethostname()} cannot write {path} ({error.strerror}): the job's folder must be there and "
                "writable; under Slurm and Kubernetes the server's home must lie on a file system that all nodes share"
            )
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.close(log)
        _keep_pipes_from_children()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and (folder or seen):
            # A launcher that leads what it passes on by the rank does so for every write, not for every line.
            stream.reconfigure(line_buffering=True, write_through=False)


def _keep_pipes_from_children() -> None:
    # MPICH's mpiexec leaves its own ends of the output pipes open in every rank, and Intel's its sockets. A process that
    # the script leaves behind would inherit them, and mpiexec would wait until it has closed them. A program that
    # this one becomes needs the socket by which MPI speaks to mpiexec; MPI itself takes leave there when it ends.
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            kind = os.fstat(int(name)).st_mode
            if int(name) > 2 and (stat.S_ISFIFO(kind) or (stat.S_ISSOCK(kind) and name != os.environ.get("PMI_FD"))):
                os.set_inheritable(int(name), False)


def _run_script(argv: list[str], *, as_torch: bool) -> None:
    script = argv[0]
    if not Path(script).is_file():
        _refuse(f"no script {script} in {Path.cwd()}: check the path, which is taken from that folder")
    sys.argv[:] = argv
    if not sys.flags.safe_path:
        sys.path[0] = str(Path(script).resolve().parent)
    try:
        if as_torch:
            _stand_in_for_torch()
        runpy.run_path(script, run_name="__main__")
    except BaseException as error:
        if exit_code(error) == 0:
            raise
        end_world(error, first_frame=script)


def _stand_in_for_torch() -> None:
    import allgrad

    allgrad.as_torch()


def _become(argv: list[str]) -> NoReturn:
    # A Python program would otherwise hold its lines back until 8 KiB have come together in the log.
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    try:
        os.execvp(argv[0], argv)  # noqa: S606 -- never a shell
    except FileNotFoundError:
        if os.sep in argv[0] and os.path.exists(argv[0]):
            _refuse(f"cannot run {argv[0]}: what its first line names to run it is not there", 127)
        _refuse(f"no program {argv[0]} on PATH: install it, or name a script that ends in .py", 127)
    except OSError as reason:
        if reason.errno == errno.ENOEXEC:
            _refuse(
                f"cannot run {argv[0]}: it is no program for this machine, nor begins with what runs it, as #!/bin/sh",
                126,
            )
        _refuse(f"cannot run {argv[0]}: {reason.strerror}: is it executable? (chmod +x)", 126)


def _refuse(message: str, code: int = 2) -> NoReturn:
    end_world(Refused(message, code))


if __name__ == "__main__":
    main(sys.argv[1:])
else:
    # As a module it would take the place of the function dist.rank() in the package.
    raise ImportError("allgrad.dist.rank is a program: start it with python -m allgrad.dist.rank SCRIPT")
