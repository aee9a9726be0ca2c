"""The rank entry, python -m allgrad.dist.rank, as one process started by hand and as ranks."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.dist.conftest import Launcher, Outcome


def run_alone(openmpi: Launcher, program: str, *args: str, **options: dict[str, str]) -> Outcome:
    return openmpi.run(1, program, *args, launcher=False, **options)  # type: ignore[arg-type]


def test_a_script_runs_as_python_would_run_it_and_nothing_heavy_is_loaded(openmpi: Launcher) -> None:
    outcome = run_alone(openmpi, "script.py", "-x", "a b")
    assert (outcome.code, outcome.output) == (0, "__main__ ['-x', 'a b'] True\n[]\n")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["code", "0"], 0, ""),
        (["code", "3"], 3, ""),
        (["code", "256"], 1, ""),
        (["code", "-1"], 255, ""),
        (["text"], 1, "\nno data here\n"),
        (["interrupt"], 130, "\nKeyboardInterrupt\n"),
        (["raise"], 1, "\nValueError: wrong\n"),
    ],
)
def test_the_script_decides_the_exit_code(openmpi: Launcher, arguments: list[str], code: int, words: str) -> None:
    outcome = run_alone(openmpi, "script.py", *arguments)
    assert outcome.code == code
    assert words in outcome.output
    assert "runpy" not in outcome.output


@pytest.mark.parametrize(
    ("program", "code", "words"),
    [
        ("absent.py", 2, "allgrad: no script absent.py in "),
        ("absent-program", 127, "allgrad: no program absent-program on PATH"),
        ("--as-torch", 2, "allgrad: usage: python -m allgrad.dist.rank"),
        ("--wrong", 2, "allgrad: usage: python -m allgrad.dist.rank"),
        ("/etc/passwd", 126, "allgrad: cannot run /etc/passwd: Permission denied"),
    ],
)
def test_what_cannot_run_is_refused_in_one_line(
    openmpi: Launcher, tmp_path: Path, program: str, code: int, words: str
) -> None:
    outcome = run_alone(openmpi, program, env={"ALLGRAD_RUN_DIR": str(tmp_path)})
    assert outcome.code == code
    assert outcome.output.startswith(words)
    assert outcome.output.count("\n") == 1
    record = json.loads((tmp_path / "failure.json").read_text())
    assert f"allgrad: {record['error']}\n" == outcome.output


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ("echo hello\n", 126, "it is no program for this machine, nor begins with what runs it, as #!/bin/sh"),
        ("#!/nowhere/sh\n", 127, "what its first line names to run it is not there"),
    ],
)
def test_of_a_file_that_the_system_cannot_run_the_reason_is_told(
    openmpi: Launcher, tmp_path: Path, text: str, code: int, words: str
) -> None:
    program = tmp_path / "program"
    program.write_text(text)
    program.chmod(0o755)
    outcome = run_alone(openmpi, str(program), env={"ALLGRAD_RUN_DIR": str(tmp_path)})
    assert (outcome.code, outcome.output) == (code, f"allgrad: cannot run {program}: {words}\n")


def test_a_missing_script_is_told_once_by_all_ranks_together(mpi: Launcher) -> None:
    outcome = mpi.run(3, "absent.py")
    assert outcome.code == 2
    assert outcome.output.count("allgrad: no script absent.py") == 1


def test_a_script_with_a_syntax_error_is_shown_with_its_line(openmpi: Launcher, tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("x = (\n")
    outcome = run_alone(openmpi, str(tmp_path / "broken.py"))
    assert outcome.code == 1
    assert "line 1" in outcome.output
    assert "SyntaxError: '(' was never closed" in outcome.output
    assert "rank.py" not in outcome.output


def test_another_program_takes_the_place_of_the_rank(mpi: Launcher) -> None:
    outcome = mpi.run(2, "sh", "-c", "echo shell; exit 5")
    assert outcome.code == 5
    assert "shell" in outcome.output


def test_a_log_is_for_its_owner_only_and_is_appended_to(openmpi: Launcher, tmp_path: Path) -> None:
    for _ in range(2):
        assert run_alone(openmpi, "script.py", env={"ALLGRAD_LOG_DIR": str(tmp_path)}).output == ""
    log = tmp_path / "rank-0.log"
    assert log.read_text().count("__main__") == 2
    assert log.stat().st_mode & 0o777 == 0o600


def test_a_child_that_a_rank_leaves_behind_does_not_hold_the_launch(mpi: Launcher, tmp_path: Path) -> None:
    if mpi.name == "impi":
        pytest.skip("Intel's mpiexec waits for a rank's socket to be closed unless the rank has used MPI")
    outcome = mpi.run(2, "script.py", "child", env={"ALLGRAD_LOG_DIR": str(tmp_path)})
    assert outcome.code == 0
    assert outcome.ended - (tmp_path / "rank-0.log").stat().st_mtime < 10


def test_the_program_is_no_module_to_import() -> None:
    with pytest.raises(ImportError, match="start it with python -m"):
        importlib.import_module("allgrad.dist.rank")


def test_an_exception_in_a_forked_child_ends_only_the_child(mpi: Launcher, tmp_path: Path) -> None:
    outcome = mpi.run(2, "script.py", "fork", env={"ALLGRAD_RUN_DIR": str(tmp_path)})
    assert outcome.code == 0, outcome.output
    assert outcome.output.count("ValueError: in a child") == 2
    assert outcome.output.count("the child ended with 1") == 2
    assert not (tmp_path / "failure.json").exists()
