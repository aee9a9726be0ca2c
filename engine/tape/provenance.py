"""Where in the user's program a value was made: one code object and instruction per node, formatted only for errors."""

from __future__ import annotations

import linecache
import sys
from functools import lru_cache
from types import CodeType
from typing import NamedTuple

# Frames of these packages are ours; the first frame outside them is the user's.
INTERNAL_PACKAGES: set[str | None] = {
    "allgrad",
    "allgrad.autograd",
    "allgrad.func",
    "allgrad.nn",
    "allgrad.nn.utils",
    "allgrad.operations",
    "allgrad.optim",
    "allgrad.registry",
    "allgrad.tape",
    "allgrad.tensors",
    "allgrad.utils",
    "allgrad.utils.data",
    "allgrad.dist",
}


class Place(NamedTuple):
    """An instruction in the user's program."""

    code: CodeType
    instruction: int

    @property
    def line(self) -> int:
        """The line number of the instruction."""
        for start, end, line in self.code.co_lines():
            if start <= self.instruction < end and line is not None:
                return line
        return self.code.co_firstlineno

    def __str__(self) -> str:
        """``train.py:31``, followed by the source line where it can be read."""
        return _shown(self)


@lru_cache(maxsize=256)  # the nodes of a graph share few lines
def _shown(place: Place) -> str:
    line = place.line
    source = linecache.getline(place.code.co_filename, line).strip()
    where = f"{place.code.co_filename}:{line}"
    return f"{where} ({source})" if source else where


def caller() -> Place:
    """The user's line from which allgrad was called."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__package__") in INTERNAL_PACKAGES:
        frame = frame.f_back
    return Place(frame.f_code, frame.f_lasti)
