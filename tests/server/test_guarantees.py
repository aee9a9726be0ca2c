"""docs/guarantees.md names tests that exist, and every place to die at."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from allgrad.server.failpoints import PLACES

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "guarantees.md").read_text("utf-8")


def test_every_test_that_the_page_names_exists() -> None:
    named = set(re.findall(r"`(test_\w+)`", PAGE))
    found = {
        node.name
        for room in ("server", "cluster")
        for path in (ROOT / "tests" / room).rglob("test_*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.FunctionDef)
    }
    assert len(named) > 25
    assert named <= found, named - found


def test_every_guarantee_names_a_test() -> None:
    section = PAGE.partition("## The guarantees")[2].partition("\n## ")[0]
    guarantees = [text for text in section.split("\n\n") if text.strip()]
    assert len(guarantees) >= 10
    assert all(text.startswith("**") and "`test_" in text for text in guarantees)


def test_the_page_tells_every_place_to_die_at() -> None:
    rows = dict(re.findall(r"^\| `([a-z-]+)` \| (.+) \|$", PAGE, re.MULTILINE))
    assert rows == PLACES
