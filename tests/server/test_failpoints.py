"""Named places to die at: armed by name and count, and reached by a real server."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from allgrad.server import failpoints

SERVER = Path(__file__).parents[2] / "server"


def died(environment: str, reached: list[str]) -> bool:
    """Whether a process with a failpoint in its environment dies of reaching these places."""
    program = "import sys; from allgrad.server.failpoints import reach; [reach(name) for name in sys.argv[1:]]"
    command = [sys.executable, "-c", program, *reached]
    done = subprocess.run(command, env={failpoints.VARIABLE: environment}, check=False)
    assert done.returncode in (0, -9)
    return done.returncode == -9


def test_a_process_dies_at_the_place_it_was_told_and_at_no_other() -> None:
    assert died("after-commit", ["before-commit", "after-commit"])
    assert not died("after-commit", ["before-commit", "before-commit"])
    assert not died("", ["after-commit"])


def test_a_count_says_which_time_it_dies() -> None:
    assert not died("after-commit:3", ["after-commit"] * 2)
    assert died("after-commit:3", ["after-commit"] * 3)


def test_a_place_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="known: before-commit"):
        failpoints.arm("befor-commit")


def test_the_places_listed_are_those_of_the_server() -> None:
    found = [
        str(node.args[0].value)
        for path in SERVER.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "reach"
        and isinstance(node.args[0], ast.Constant)
    ]
    assert set(found) == set(failpoints.PLACES)
