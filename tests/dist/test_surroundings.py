"""What a rank makes of the place it was started in: its threads, and what it refuses or warns of."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from allgrad.dist import threads
from allgrad.dist.surroundings import Seat, complaints, ignored_hostfile

from .conftest import Launcher, launched

RANK = {"OMPI_COMM_WORLD_RANK": "0", "OMPI_COMM_WORLD_SIZE": "2", "OMPI_COMM_WORLD_LOCAL_SIZE": "2"}
GIGABYTE = 1 << 30


def seat(cores: int, threads: int, first: int = 0) -> Seat:
    return Seat(frozenset(range(first, first + cores)), threads)


@pytest.mark.parametrize(
    ("own", "launchers", "environ", "expected"),
    [
        (8, 8, {"OMPI_COMM_WORLD_LOCAL_SIZE": "4"}, 2),
        (8, 8, {"MPI_LOCALNRANKS": "3"}, 2),
        (2, 2, {"MPI_LOCALNRANKS": "4"}, 1),
        (2, 8, {"OMPI_COMM_WORLD_LOCAL_SIZE": "4"}, 2),
        (8, 8, {"SLURM_STEP_TASKS_PER_NODE": "4(x2),2", "SLURM_NODEID": "2"}, 4),
        (8, 8, {"SLURM_STEP_TASKS_PER_NODE": "4(x2),2", "SLURM_CPUS_PER_TASK": "3"}, 3),
        (1, 8, {"SLURM_CPUS_PER_TASK": "3"}, 1),
        (8, 8, {}, 8),
    ],
)
def test_a_rank_has_its_share_of_the_cores_or_those_it_is_bound_to(
    own: int, launchers: int, environ: dict[str, str], expected: int
) -> None:
    assert threads.threads(own, launchers, environ) == expected


def test_what_the_user_set_holds_for_every_library_and_one_rank_is_left_alone() -> None:
    environ = {**RANK, "OMP_NUM_THREADS": "3", "MKL_NUM_THREADS": "2"}
    threads.share_cores(environ)
    assert [environ[name] for name in threads.SETTINGS] == ["3", "3", "2", "3"]
    alone = {"PATH": "/bin"}
    threads.share_cores(alone)
    assert alone == {"PATH": "/bin"}


def test_threads_are_set_before_numpy_is_loaded() -> None:
    code = "import sys, os, allgrad.dist; print('numpy' in sys.modules, os.environ['OPENBLAS_NUM_THREADS'])"
    env = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")} | RANK
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", str(max(1, len(os.sched_getaffinity(0)) // 2))]


@pytest.mark.parametrize(
    ("seats", "shm", "told"),
    [
        ([seat(4, 2), seat(4, 2)], GIGABYTE, []),
        ([seat(2, 1)] * 3, GIGABYTE, ["3 ranks share 2 cores"]),
        ([seat(1, 4), seat(1, 4, first=1)], GIGABYTE, ["each of 4 threads of a rank has a part of 1 core"]),
        ([seat(4, 4)] * 2, GIGABYTE, ["2 ranks with 8 threads share 4 cores: set OMP_NUM_THREADS=2"]),
        ([seat(4, 1)] * 2, 64 << 20, ["/dev/shm has 64 MB"]),
        ([seat(4, 1)], 64 << 20, []),
    ],
)
def test_too_little_is_told_with_numbers(seats: list[Seat], shm: int, told: list[str]) -> None:
    found = complaints(seats, shm, {})
    assert len(found) == len(told)
    assert all(line.startswith(start) for line, start in zip(found, told, strict=True))
    assert complaints(seats, GIGABYTE, {"ALLGRAD_OVERSUBSCRIBE": "1"}) == []


@pytest.mark.parametrize(
    ("text", "size", "local_size", "refused"),
    [
        ("w0.job.ns.svc slots=1\nw1.job.ns.svc slots=1\n", 2, 2, True),
        ("w0.job.ns.svc slots=1\nw1.job.ns.svc slots=1\n", 2, 1, False),
        ("w0.job.ns.svc slots=1\n", 1, 1, True),
        ("localhost slots=2\n", 2, 2, False),
        (f"{socket.gethostname()} slots=2\nw1:2\n", 2, 2, False),
        ("# nobody\n", 2, 2, False),
    ],
)
def test_a_hostfile_that_was_passed_over_is_noticed(
    tmp_path: Path, text: str, size: int, local_size: int, refused: bool
) -> None:
    file = tmp_path / "hostfile"
    file.write_text(text)
    environ = {"OMPI_MCA_orte_default_hostfile": str(file)}
    assert bool(ignored_hostfile(size, local_size, environ)) == refused
    assert not ignored_hostfile(size, local_size, {**environ, "PRTE_MCA_prte_default_hostfile": str(file)})


@pytest.mark.parametrize("launcher", [True, False], ids=["mpirun", "by hand"])
def test_a_job_of_several_hosts_that_runs_on_one_is_refused(openmpi: Launcher, tmp_path: Path, launcher: bool) -> None:
    file = tmp_path / "hostfile"
    file.write_text("worker-0.job.ns.svc slots=1\nworker-1.job.ns.svc slots=1\n")
    done = openmpi.run(2, "training.py", env={"OMPI_MCA_orte_default_hostfile": str(file)}, launcher=launcher)
    assert done.code == 1
    assert "names worker-0.job.ns.svc, worker-1.job.ns.svc: Open MPI 5 does not read" in done.output
    assert f"mpirun --hostfile {file}" in done.output


def test_ranks_without_a_core_each_are_told_so_once(mpi: Launcher) -> None:
    ranks = len(os.sched_getaffinity(0)) + 1
    command = [
        str(mpi.home / "bin" / "mpiexec"),
        "-n",
        str(ranks),
        mpi.python,
        "-c",
        "from allgrad import dist; dist.init()",
    ]
    done = launched(command, {**mpi.settings, "ALLGRAD_OVERSUBSCRIBE": ""})
    assert done.code == 0
    assert done.output.count(f"{ranks} ranks share {ranks - 1} core") == 1
