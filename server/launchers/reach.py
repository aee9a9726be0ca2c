"""Other hosts before and after a run: whether ranks can start there, and that nothing of them stays."""

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
from ..jobs.hosts import Host
from .hosts import over_ssh, ssh

TIMEOUT = 30.0
_AT_ONCE = 32
_SSH_FAILED = 255
_PROBE = """
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
if not (apart and comes):
    os.stat(folder)
    os.chdir(folder)
import allgrad.dist
print(len(os.sched_getaffinity(0)), version("allgrad"), "apart" if apart else "-")
"""
_INSTALL = f"install allgrad there at the same path, {Path(sys.executable).parent}, or share that over the network"
_SWEEP = "allgrad.server.supervisor.sweep"


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


def sweep(hosts: Sequence[Host], job_id: str, attempt: int, grace: float, environ: Mapping[str, str]) -> list[str]:
    """End every process of an attempt on *hosts*, and return what to tell of those where that was not possible.

    SIGTERM, *grace* seconds, SIGKILL, until there are none; *environ* is what the ranks got.
    """

    def end(host: Host) -> str:
        done = _run(host, ["-m", _SWEEP, job_id, str(attempt), str(grace)], grace + TIMEOUT, environ)
        if done.returncode == 0:
            return ""
        return f"processes may be left on {host.name}, which cannot be reached: {_last_line(done.stderr)}"

    others = [host for host in hosts if not host.local]
    if not others:
        return []
    with ThreadPoolExecutor(min(_AT_ONCE, len(others))) as pool:
        return [told for told in pool.map(end, others) if told]


def python_on(host: Host, arguments: Sequence[str], environ: Mapping[str, str]) -> list[str]:
    """Return the command that runs this Python with *arguments* on *host*, with the paths that *environ* has for it."""
    paths = {name: environ[name] for name in ("PYTHONPATH", "LD_LIBRARY_PATH") if name in environ}
    return over_ssh(ssh(), host.name, [sys.executable, "-P", *arguments], paths)


def _look(host: Host, words: Sequence[str]) -> Found:
    if host.local:
        return Found(host, len(os.sched_getaffinity(0)))
    done = _run(host, ["-c", _PROBE, *words], TIMEOUT, os.environ)
    told = (_last_line(done.stdout) if done.returncode == 0 else "").split()
    if len(told) != 3 or not told[0].isdigit():
        return Found(host, trouble=_explain(host, words[0], done))
    if told[1] != version("allgrad"):
        found = f"there is allgrad {told[1]}, and here {version('allgrad')}"
        return Found(host, trouble=HostUnreachable(f"ranks cannot start on {host.name}", found, _INSTALL))
    return Found(host, int(told[0]), apart=told[2] == "apart")


def _run(
    host: Host, arguments: Sequence[str], timeout: float, environ: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    command = python_on(host, arguments, environ)
    try:
        return subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout, check=False
        )
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, _SSH_FAILED, "", f"no answer within {timeout:g} s")
    except OSError as error:
        return subprocess.CompletedProcess(command, _SSH_FAILED, "", f"{command[0]}: {error.strerror}")


def _explain(host: Host, folder: str, done: subprocess.CompletedProcess[str]) -> HostUnreachable:
    line = _last_line(done.stderr) or f"exit code {done.returncode}"
    if done.returncode == _SSH_FAILED:
        fix = f"it must let you in without a password: try {shlex.join([*ssh(), host.name, 'true'])}"
        return HostUnreachable(f"cannot reach the host {host.name}", line, fix)
    if folder in line:
        fix = "start from a folder that all hosts have, or let it come with the job: allgrad submit --workdir"
        return HostUnreachable(f"ranks cannot start on {host.name}", line, fix)
    return HostUnreachable(f"ranks cannot start on {host.name}", line, _INSTALL)


def _last_line(text: str) -> str:
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")
