"""However one rank ends, all ranks end soon, with its exit code, and its traceback is told once."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.dist.conftest import Launcher, Outcome


def assert_ended_in_time(outcome: Outcome) -> None:
    failed = min(map(float, re.findall(r"failing at ([\d.]+)", outcome.output)))
    assert outcome.ended - failed < 6.0, "promised are 2 s, on a machine that does nothing else"


def assert_told_once(outcome: Outcome, error: str = "ValueError: the batch is empty") -> None:
    assert outcome.output.count("Traceback (most recent call last)") == 1, outcome.output
    assert outcome.output.count(f"\n{error}\n") == 1, outcome.output
    assert_ended_in_time(outcome)


@pytest.mark.parametrize("entry", [True, False], ids=["rank entry", "plain python"])
def test_an_exception_on_one_rank_ends_all(mpi: Launcher, entry: bool) -> None:
    outcome = mpi.run(3, "fails.py", "exception", entry=entry)
    assert outcome.code == 1
    assert_told_once(outcome)
    assert "allgrad: rank 1 on " in outcome.output
    frames = re.findall(r'File "(.*?)", line', outcome.output)
    assert len(frames) == 2
    assert all(frame.endswith("fails.py") for frame in frames), "only the script's own frames are shown"


@pytest.mark.parametrize("entry", [True, False], ids=["rank entry", "plain python"])
def test_the_same_exception_on_all_ranks_is_told_once(mpi: Launcher, entry: bool) -> None:
    outcome = mpi.run(3, "fails.py", "everywhere", entry=entry)
    assert outcome.code == 1
    assert_told_once(outcome)


def test_an_exception_in_one_ranks_backward_pass_ends_all(mpi: Launcher) -> None:
    outcome = mpi.run(3, "fails.py", "backward")
    assert outcome.code == 1
    assert_told_once(outcome)
    assert "allgrad: rank 1 on " in outcome.output


def test_an_exception_before_mpi_was_started_ends_all(mpi: Launcher) -> None:
    outcome = mpi.run(2, "fails.py", "before-mpi")
    assert outcome.code == 1
    assert_told_once(outcome)


@pytest.mark.parametrize("entry", [True, False], ids=["rank entry", "plain python"])
def test_sys_exit_on_one_rank_ends_all_with_its_code(mpi: Launcher, entry: bool) -> None:
    outcome = mpi.run(2, "fails.py", "exit", entry=entry)
    assert outcome.code == 3, outcome.output
    assert "Traceback" not in outcome.output
    assert_ended_in_time(outcome)


@pytest.mark.parametrize("how", ["killed", "killed-in-the-window"])
def test_a_killed_rank_ends_all_also_those_that_wait_for_its_gradients(mpi: Launcher, how: str) -> None:
    outcome = mpi.run(2, "fails.py", how)
    assert outcome.code in (137, 9, 255), outcome.output
    assert "rank 1" in outcome.output or "EXIT CODE: 9" in outcome.output or "KILLED BY SIGNAL: 9" in outcome.output, (
        outcome.output
    )
    assert_ended_in_time(outcome)


@pytest.mark.parametrize(("doing", "where"), [("computing", r"at \S+:23 in"), ("stuck", r"in recv at \S+:25 in")])
def test_ctrl_c_ends_all_ranks_with_one_line_even_inside_mpi(mpi: Launcher, doing: str, where: str) -> None:
    outcome = mpi.run(3, "interrupted.py", doing)
    assert outcome.code != 0
    assert_ended_in_time(outcome)
    assert len(re.findall(r"allgrad: rank \d on \S+ was interrupted \(Ctrl-C\) " + where, outcome.output)) == 1, (
        outcome.output
    )
    assert "Traceback" not in outcome.output


def test_a_good_end_is_code_0_and_says_nothing(mpi: Launcher, tmp_path: Path) -> None:
    outcome = mpi.run(2, "fails.py", "fine", env={"ALLGRAD_LOG_DIR": str(tmp_path)})
    assert (outcome.code, outcome.output) == (0, "")
    for rank in (0, 1):
        assert (tmp_path / f"rank-{rank}.log").read_text() == f"rank {rank} of 2 is here\nrank {rank} is done\n"


def test_every_rank_logs_into_a_file_of_its_own_and_the_first_failure_is_recorded(
    mpi: Launcher, tmp_path: Path
) -> None:
    logs = tmp_path / "logs"
    logs.mkdir()
    places = {"ALLGRAD_RUN_DIR": str(tmp_path), "ALLGRAD_LOG_DIR": str(logs)}
    outcome = mpi.run(2, "fails.py", "everywhere", env=places)
    assert outcome.code == 1
    assert "ValueError" not in outcome.output
    for rank in (0, 1):
        log = (logs / f"rank-{rank}.log").read_text()
        assert log.startswith(f"rank {rank} of 2 is here\n")
    record = json.loads((tmp_path / "failure.json").read_text())
    assert list(record) == ["rank", "host", "exit_code", "signal", "error", "traceback"]
    assert (record["exit_code"], record["signal"]) == (1, None)
    assert record["error"] == "ValueError: the batch is empty"
    assert "Traceback (most recent call last)" in (logs / f"rank-{record['rank']}.log").read_text()
    assert [path.name for path in tmp_path.iterdir() if "failure" in path.name] == ["failure.json"]


@pytest.mark.parametrize(
    ("given", "python"), [("mpich", "openmpi"), ("openmpi", "mpich")], ids=["mpich's", "openmpi's"]
)
def test_ranks_started_by_the_other_mpi_are_refused(given: str, python: str, request: pytest.FixtureRequest) -> None:
    launcher: Launcher = request.getfixturevalue(given)
    outcome = launcher.run(2, "fails.py", "fine", python=request.getfixturevalue(python).python)
    assert outcome.code == 1
    assert outcome.output.count("Traceback (most recent call last)") == 1, outcome.output
    assert "started 2 ranks" in outcome.output
    assert "each would train alone" in outcome.output
    assert f"MPI4PY_MPIABI={given}" in outcome.output


def test_the_world_cannot_be_used_before_the_ranks_know_each_other(openmpi: Launcher) -> None:
    outcome = openmpi.run(2, "uninitialised.py")
    assert outcome.code == 1
    assert "started 2 ranks, which do not know each other yet: call dist.init() first" in outcome.output


def test_ranks_without_mpi4py_are_told_what_to_install(openmpi: Launcher, tmp_path: Path) -> None:
    (tmp_path / "mpi4py.py").write_text("raise ImportError('no mpi4py here')\n")
    outcome = openmpi.run(2, "fails.py", "fine", env={"PYTHONPATH": str(tmp_path)})
    assert outcome.code == 1
    assert "pip install 'allgrad[mpi]'" in outcome.output
