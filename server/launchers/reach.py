"""Other hosts and accounts before and after a run: whether ranks can start there, and that nothing of them stays."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from ..errors import HostUnreachable
from ..jobs.accounts import Account
from ..jobs.hosts import Host
from .hosts import forwarded, over_ssh, ssh

TIMEOUT = 30.0
_AT_ONCE = 32
_SSH_FAILED = 255
PROBE = """
import os, sys
from importlib.metadata import version
folder, shared, comes = sys.argv[1:]
apart = False
if shared:
    try:
        os.listdir(os.path.dirname(shared))  # what a network's file system remembers may be old
        os.stat(shared)
    except FileNotFoundError:
        apart = True
if folder and not (apart and comes):
    os.stat(folder)
    os.chdir(folder)
import allgrad.dist
print(len(os.sched_getaffinity(0)), version("allgrad"), "apart" if apart else "-")
"""
_INSTALL = f"install allgrad there at the same path, {Path(sys.executable).parent}, or share that over the network"
_SWEEP = "allgrad.server.supervisor.sweep"

Place = Host | Account
"""Where ranks are that this process neither sees nor may end."""


@dataclass(frozen=True, slots=True)
class Found:
    """What was found on a host: the cores that ranks may use, or why none can start there."""

    host: Host
    cores: int = 0
    trouble: HostUnreachable | None = None
    apart: bool = False
    """Whether it does not see the file that it was to see."""


def look(hosts: Sequence[Host], folder: str, shared: str = "", *, comes: bool = False) -> list[Found]:
    """Return what there is on *hosts* for ranks that start in *folder* with this Python, all asked at once.

    *shared*: a file of this machine by which to tell whether they see its files; *comes*: to those that do not, *folder* will come.
    """
    words = [folder, shared, "comes" if comes else ""]
    with ThreadPoolExecutor(min(_AT_ONCE, len(hosts))) as pool:
        return list(pool.map(lambda host: _look(host, words), hosts))


def check_account(account: Account, folder: str) -> None:
    """Raise HostUnreachable unless ranks can start under *account* with this Python, in *folder* if one is named."""
    _ask(account, [folder, "", ""])


def sweep(places: Sequence[Place], job_id: str, attempt: int, grace: float, environ: Mapping[str, str]) -> list[str]:
    """End every process of an attempt in *places*, and return what to tell of those where that was not possible.

    SIGTERM, *grace* seconds, SIGKILL, until there are none; *environ* is what the ranks got.
    """

    def end(place: Place) -> str:
        spared = ["--ranks"] if isinstance(place, Account) else []
        done = _run(place, ["-m", _SWEEP, job_id, str(attempt), str(grace), *spared], grace + TIMEOUT, environ)
        if done.returncode == 0:
            return ""
        return f"processes may be left {_where(place)}, which cannot be reached: {_last_line(done.stderr)}"

    others = [place for place in places if not place.local]
    if not others:
        return []
    with ThreadPoolExecutor(min(_AT_ONCE, len(others))) as pool:
        return [told for told in pool.map(end, others) if told]


def python_on(place: Place, arguments: Sequence[str], environ: Mapping[str, str]) -> list[str]:
    """Return the command that runs this Python with *arguments* in *place*, with the paths that *environ* has for it."""
    paths = {name: environ[name] for name in ("PYTHONPATH", "LD_LIBRARY_PATH") if name in environ}
    python = [sys.executable, "-P", *arguments]
    if isinstance(place, Account):
        return [*place.command, "env", *(f"{name}={value}" for name, value in paths.items()), *python]
    return over_ssh(ssh(), place.name, python, paths)


def environment(place: Place, environ: Mapping[str, str]) -> dict[str, str]:
    """Return what of *environ* the command of python_on() gets: ssh needs most of it, another account must not see it."""
    if isinstance(place, Host):
        return dict(environ)
    return {name: environ[name] for name in forwarded(environ) if not name.startswith("ALLGRAD_")}


def _look(host: Host, words: Sequence[str]) -> Found:
    if host.local:
        return Found(host, len(os.sched_getaffinity(0)))
    try:
        cores, apart = _ask(host, words)
    except HostUnreachable as trouble:
        return Found(host, trouble=trouble)
    return Found(host, cores, apart=apart)


def _ask(place: Place, words: Sequence[str]) -> tuple[int, bool]:
    """Return how many cores ranks may use in *place*, and whether it is apart. Raises HostUnreachable."""
    done = _run(place, ["-c", PROBE, *words], TIMEOUT, os.environ)
    told = (_last_line(done.stdout) if done.returncode == 0 else "").split()
    if len(told) != 3 or not told[0].isdigit():
        raise _explain(place, words[0], done)
    if told[1] != version("allgrad"):
        found = f"there is allgrad {told[1]}, and here {version('allgrad')}"
        raise HostUnreachable(f"ranks cannot start {_where(place)}", found, _INSTALL)
    return int(told[0]), told[2] == "apart"


def _run(
    place: Place, arguments: Sequence[str], timeout: float, environ: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    command = python_on(place, arguments, environ)
    env = environment(place, environ)
    try:
        return subprocess.run(
            command, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout, check=False
        )
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, _SSH_FAILED, "", f"no answer within {timeout:g} s")
    except OSError as error:
        return subprocess.CompletedProcess(command, _SSH_FAILED, "", f"{command[0]}: {error.strerror}")


def _explain(place: Place, folder: str, done: subprocess.CompletedProcess[str]) -> HostUnreachable:
    line = _last_line(done.stderr) or f"exit code {done.returncode}"
    if isinstance(place, Host) and done.returncode == _SSH_FAILED:
        fix = f"it must let you in without a password: try {shlex.join([*ssh(), place.name, 'true'])}"
        return HostUnreachable(f"cannot reach {place.title}", line, fix)
    if folder and folder in line:
        whom = "all hosts have" if isinstance(place, Host) else "it may enter"
        fix = f"start from a folder that {whom}, or let it come with the job: allgrad submit --workdir"
    elif isinstance(place, Account):
        fix = f"it must be able to use {sys.executable}, and this must work: {shlex.join([*place.command, 'true'])}"
    else:
        fix = _INSTALL
    return HostUnreachable(f"ranks cannot start {_where(place)}", line, fix)


def _where(place: Place) -> str:
    return f"on {place.name}" if isinstance(place, Host) else f"under {place.title}"


def _last_line(text: str) -> str:
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")
