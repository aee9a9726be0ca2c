"""Source code written at run time: compiled to a function, and shown in tracebacks."""

from __future__ import annotations

import linecache
from types import FunctionType
from typing import Any


def compiled(source: str, name: str, names: dict[str, Any]) -> FunctionType:
    """The function that *source* defines, with *names* as its globals; tracebacks show its lines."""
    filename = f"<allgrad {name} {id(names):x}>"
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
    scope: dict[str, Any] = {}
    exec(compile(source, filename, "exec"), names, scope)  # noqa: S102 -- our own source, written below
    made = scope.popitem()[1]
    assert isinstance(made, FunctionType)
    return made


def tuple_of(items: list[str] | tuple[str, ...]) -> str:
    """The source of a tuple of *items*."""
    return "(" + "".join(f"{item}, " for item in items) + ")"
