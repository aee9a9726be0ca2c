"""Every example in a docstring runs, and gives what it says."""

from __future__ import annotations

import ast
import doctest
import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("engine", "dist", "proto", "server")


def examples() -> Iterator[tuple[str, str]]:
    """The name and docstring of everything in the rooms that shows an example."""
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            if path.name.endswith(("_pb2.py", "_pb2_grpc.py")):
                continue
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                    text = ast.get_docstring(node) or ""
                    if ">>>" in text:
                        yield f"{path.relative_to(ROOT)}:{getattr(node, 'name', 'module')}", text


EXAMPLES = dict(examples())


def module_of(name: str) -> str:
    """The module that an example called ``engine/dtypes.py:promote_types`` stands in: ``allgrad.dtypes``."""
    path = name.partition(".py:")[0].removesuffix("/__init__")
    room, _, inner = path.partition("/")
    package = "allgrad" if room == "engine" else f"allgrad.{room}"
    return f"{package}.{inner.replace('/', '.')}" if inner and inner != "__init__" else package


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_gives_what_it_says(name: str) -> None:
    names = dict(vars(importlib.import_module(module_of(name))))
    test = doctest.DocTestParser().get_doctest(EXAMPLES[name], names, name, None, 0)
    written: list[str] = []
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    runner.run(test, out=written.append)
    assert runner.summarize(verbose=False).failed == 0, "".join(written)


PAGES = sorted(page for page in (ROOT / "docs").glob("*.md") if ">>>" in page.read_text("utf-8"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_sessions_on_a_page_give_what_they_say(page: Path) -> None:
    sessions = "\n".join(re.findall(r"^```python\n(>>> .*?)^```$", page.read_text("utf-8"), re.MULTILINE | re.DOTALL))
    test = doctest.DocTestParser().get_doctest(sessions, {}, page.name, str(page), 0)
    written: list[str] = []
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    runner.run(test, out=written.append)
    assert runner.summarize(verbose=False).failed == 0, "".join(written)


def test_there_are_examples_to_run() -> None:
    assert len(EXAMPLES) > 30
    assert PAGES
