"""Which launcher starts the ranks, how, and what it says of their end."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from allgrad.server import launchers
from allgrad.server.errors import LauncherMissing
from allgrad.server.launchers import Alone, Ending, Hydra, OpenMPI

OPEN_MPI = OpenMPI("/opt/mpi/bin/mpirun", "5.0.11")
MPICH = Hydra("/opt/mpich/bin/mpirun", "MPICH", "5.0.2")
INTEL = Hydra("/opt/intel/bin/mpiexec.hydra", "Intel MPI", "2021.18.1")
OPEN_MPI_KILLED = """
prterun noticed that process rank 1 with PID 10227 on node vm exited on
signal 9 (Killed).
"""
MPICH_KILLED = """
=   EXIT CODE: 11
YOUR APPLICATION TERMINATED WITH THE EXIT STRING: Segmentation fault (signal 11)
"""

INTEL_KILLED = """
=   BAD TERMINATION OF ONE OF YOUR APPLICATION PROCESSES
=   RANK 0 PID 9333 RUNNING AT vm
=   KILLED BY SIGNAL: 9 (Killed)
"""

Fake = Callable[[str], Path]


@pytest.fixture
def fake_mpirun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fake:
    """Puts an mpirun that prints the given version beside a Python that has no other."""

    def make(version: str) -> Path:
        path = tmp_path / "mpirun"
        path.write_text(f"#!/bin/sh\necho '{version}'\n")
        path.chmod(0o755)
        return path

    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", "/nonexistent")
    return make


def test_one_rank_needs_no_launcher() -> None:
    launcher = launchers.local(1)
    assert isinstance(launcher, Alone)
    command = launchers.command(launcher, ["train.py", "--lr", "1"], 1)
    assert command.argv == (sys.executable, "-u", "-m", "allgrad.dist.rank", "train.py", "--lr", "1")


def test_the_script_may_be_told_that_torch_means_allgrad() -> None:
    assert launchers.rank_program(["train.py"], as_torch=True)[-2:] == ["--as-torch", "train.py"]


def test_open_mpi_may_run_as_root_shares_few_cores_and_starts_fast() -> None:
    command = launchers.command(OPEN_MPI, ["train.py"], 8, environ={})
    assert command.argv[:7] == (OPEN_MPI.path, "-n", "8", "--map-by", ":OVERSUBSCRIBE", "--bind-to", "none")
    assert command.env["OMPI_ALLOW_RUN_AS_ROOT_CONFIRM"] == "1"
    assert command.env["OMPI_MCA_btl"] == "^ofi"
    assert command.env["OMPI_MCA_mpi_yield_when_idle"] == "1"


def test_open_mpi_keeps_its_session_in_a_folder_of_its_own() -> None:
    command = launchers.command(OPEN_MPI, ["train.py"], 2, environ={}, scratch=Path("/scratch"))
    assert command.env["PRTE_MCA_prte_tmpdir_base"] == "/scratch"


def test_what_the_user_set_takes_precedence() -> None:
    given = {"OMPI_MCA_btl": "tcp,self", "OMP_NUM_THREADS": "7", "HOME": "/h"}
    command = launchers.command(OPEN_MPI, ["train.py"], 2, environ=given, threads=3)
    assert given.items() <= command.env.items()
    assert command.env["OPENBLAS_NUM_THREADS"] == "3"


@pytest.mark.parametrize(
    ("launcher", "returncode", "output", "ending"),
    [
        (Alone(), 0, "", Ending(0)),
        (Alone(), 3, "", Ending(3)),
        (Alone(), -11, "", Ending(139, 11)),
        (OPEN_MPI, 3, "Exit code: 3", Ending(3)),
        (OPEN_MPI, 137, OPEN_MPI_KILLED, Ending(137, 9, 1)),
        (OPEN_MPI, -15, "", Ending(143, 15)),
        (MPICH, 11, MPICH_KILLED, Ending(139, 11)),
        (MPICH, 11, "", Ending(11)),
        (INTEL, 255, INTEL_KILLED, Ending(137, 9)),
    ],
)
def test_an_ending_tells_code_signal_and_rank(
    launcher: launchers.Launcher, returncode: int, output: str, ending: Ending
) -> None:
    assert launcher.ending(returncode, output) == ending


@pytest.mark.parametrize(
    ("version", "name"),
    [
        ("mpirun (Open MPI) 5.0.11\n\nReport bugs to", "Open MPI 5.0.11"),
        ("HYDRA build details:\n    Version:      5.0.2\n    Release Date: x", "MPICH 5.0.2"),
        ("Intel(R) MPI Library for Linux* OS, Version 2021.17 Build 2025", "Intel MPI 2021.17"),
    ],
)
def test_an_mpi_is_known_by_what_it_says_of_itself(fake_mpirun: Fake, version: str, name: str) -> None:
    path = fake_mpirun(version)
    found = launchers.find_mpi()
    assert found is not None
    assert (found.name, found.path) == (name, str(path))


def test_without_mpi_more_than_one_rank_is_refused_with_what_to_install(fake_mpirun: Fake) -> None:
    assert launchers.find_mpi() is None
    with pytest.raises(LauncherMissing, match=r"pip install 'allgrad\[mpi\]'"):
        launchers.local(2)


def test_an_mpirun_of_nobody_known_is_not_used(fake_mpirun: Fake) -> None:
    fake_mpirun("mpirun of my own, 1.0")
    assert launchers.find_mpi() is None


def test_the_mpi_of_this_environment_starts_as_many_ranks_as_asked(tmp_path: Path) -> None:
    script = tmp_path / "rank.py"
    script.write_text("print('here')\n")
    command = launchers.command(launchers.local(3), [str(script)], 3)
    done = subprocess.run(command.argv, env=dict(command.env), capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == ["here"] * 3
