"""``allgrad doctor``: each thing it looks at, and what it says when one is missing."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from allgrad.server.checkup import Verdict, machine
from allgrad.server.home import Home

from .conftest import CommandLine

NAMES = [
    "python",
    "numpy",
    "numba",
    "mpi",
    "two ranks",
    "grpc",
    "sqlite",
    "cores",
    "shared memory",
    "home",
    "server",
]


def test_a_sound_machine_with_a_server_has_no_problem(server: CommandLine) -> None:
    done = server("doctor", "--json")
    findings = [json.loads(line) for line in done.stdout.splitlines()]
    assert [finding["name"] for finding in findings] == NAMES
    assert [finding for finding in findings if finding["verdict"] == "problem"] == []
    assert done.returncode == 0


def test_a_server_that_is_not_running_is_only_a_warning(allgrad: CommandLine) -> None:
    done = allgrad("doctor")
    last = done.stdout.splitlines()[-2:]
    assert last[0].split()[:2] == ["warning", "server"]
    assert "allgrad serve" in last[1]
    assert done.returncode == 0


def test_a_server_that_was_named_and_does_not_answer_is_a_problem(allgrad: CommandLine) -> None:
    done = allgrad("doctor", "--server", "127.0.0.1:1", ALLGRAD_TOKEN="any")
    assert done.returncode == 1
    assert done.stdout.splitlines()[-2].split()[:2] == ["problem", "server"]


def test_a_missing_mpi_is_a_problem_that_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "find_mpi", lambda: None)
    assert machine.mpi().verdict is Verdict.PROBLEM
    assert "pip install 'allgrad[mpi]'" in machine.mpi().fix
    assert machine.two_ranks().verdict is Verdict.PROBLEM


def launcher_that_runs(*command: str) -> SimpleNamespace:
    return SimpleNamespace(path="mpirun", env=lambda scratch: {}, argv=lambda program, ranks: list(command))


def test_ranks_that_do_not_find_each_other_are_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    """As when mpirun belongs to one MPI and mpi4py loads another."""
    monkeypatch.setattr(machine, "find_mpi", lambda: launcher_that_runs("printf", "1\\n1\\n"))
    found = machine.two_ranks()
    assert found.verdict is Verdict.PROBLEM
    assert "alone" in found.found


def test_ranks_that_cannot_start_are_a_problem_with_their_last_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "find_mpi", lambda: launcher_that_runs("sh", "-c", "echo why >&2; exit 1"))
    assert (machine.two_ranks().verdict, machine.two_ranks().found) == (Verdict.PROBLEM, "why")


def test_an_old_sqlite_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    import apsw

    monkeypatch.setattr(apsw, "sqlite_lib_version", lambda: "3.40.1")
    assert machine.sqlite().verdict is Verdict.PROBLEM


def test_a_small_shared_memory_is_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    docker = SimpleNamespace(total=64 << 20, used=0, free=64 << 20)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: docker)
    found = machine.shared_memory()
    assert found.verdict is Verdict.WARNING
    assert "--shm-size" in found.fix


def test_a_process_held_to_some_cores_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    assert machine.cores().verdict is Verdict.WARNING


def test_a_home_that_others_can_read_is_warned_of(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    assert machine.home_folder(Home(tmp_path)).verdict is Verdict.WARNING
    tmp_path.chmod(0o700)
    assert machine.home_folder(Home(tmp_path)).verdict is Verdict.OK
