"""``allgrad doctor --slurm``, with commands in place of Slurm's own."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from allgrad.server.checkup import Finding, Verdict, slurm
from allgrad.server.home import Home
from tests.server.launchers.slurm_commands import on_path

NAMES = ["slurm", "slurm nodes", "slurm job", "slurm node", "slurm srun"]


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Path]:
    programs = tmp_path / "bin"
    programs.mkdir()
    with on_path(programs) as place:
        place.mkdir()
        yield place


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    home.path.mkdir()
    return home


@pytest.fixture
def checked(cluster: Path, home: Home) -> Callable[[str], Finding]:
    return lambda name: next(found for found in slurm.check_up(home) if found.name == name)


def test_a_sound_slurm_has_no_problem_and_tells_where_a_job_would_start(cluster: Path, home: Home) -> None:
    found = list(slurm.check_up(home))
    assert [each.name for each in found] == NAMES
    assert {each.verdict for each in found} == {Verdict.OK}
    told = {each.name: each.found for each in found}
    assert told["slurm nodes"] == "main* with 2 of 3 nodes"
    assert told["slurm job"] == "two ranks would start at 2026-11-23T20:04:34"
    assert told["slurm node"] == f"has the same allgrad, sees {home.path}"


def test_a_controller_that_does_not_answer_ends_the_checks(cluster: Path, home: Home) -> None:
    (cluster / "down").touch()
    (found,) = slurm.check_up(home)
    assert (found.name, found.verdict) == ("slurm", Verdict.PROBLEM)
    assert "Unable to contact slurm controller" in found.found


def test_commands_that_are_missing_are_named(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None if name in ("srun", "sinfo") else f"/usr/bin/{name}")
    (found,) = slurm.check_up(home)
    assert (found.verdict, found.found) == (Verdict.PROBLEM, "not on the PATH: srun, sinfo")


def test_no_node_that_works_is_a_problem(cluster: Path, checked: Callable[[str], Finding]) -> None:
    (cluster / "nodes").write_text("main*|up|1|down*\nlong|inact|4|idle\n")
    found = checked("slurm nodes")
    assert (found.verdict, found.found) == (Verdict.PROBLEM, "main* with 0 of 1 nodes, long with 0 of 4 nodes")


def test_a_job_that_would_be_refused_is_a_problem_in_the_words_of_slurm(
    cluster: Path, checked: Callable[[str], Finding]
) -> None:
    (cluster / "refusal").write_text("allocation failure: No partition specified or system default partition\n")
    found = checked("slurm job")
    assert found.verdict is Verdict.PROBLEM
    assert "No partition specified" in found.found
    assert "--launcher-option partition=NAME" in found.fix


def test_nodes_that_are_all_busy_are_only_a_warning(cluster: Path, checked: Callable[[str], Finding]) -> None:
    (cluster / "busy").touch()
    found = checked("slurm node")
    assert found.verdict is Verdict.WARNING
    assert "Requested nodes are busy" in found.fix


def test_a_node_that_does_not_see_the_folder_of_the_server_is_a_problem(
    cluster: Path, home: Home, checked: Callable[[str], Finding]
) -> None:
    (cluster / "unshared").write_text(str(home.path))
    found = checked("slurm node")
    assert (found.verdict, found.found) == (Verdict.PROBLEM, f"it does not see {home.path}, where jobs lie")


def test_a_node_without_this_python_is_a_problem_with_the_reason(
    checked: Callable[[str], Finding], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    found = checked("slurm node")
    assert found.verdict is Verdict.PROBLEM
    assert "No such file" in found.found
    assert "/nowhere/python" in found.fix


def test_an_srun_that_would_start_each_rank_alone_is_warned_of(
    cluster: Path, checked: Callable[[str], Finding]
) -> None:
    (cluster / "plugins").write_text("cray_shasta")
    found = checked("slurm srun")
    assert found.verdict is Verdict.WARNING
    assert "alone" in found.found
