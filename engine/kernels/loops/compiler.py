"""How the loops are compiled: once for each processor, kept on disk beside their source, and announced."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numba
from numba.core import event


def compiled(function: Callable[..., Any]) -> Any:
    """*function* compiled on its first call; sums may be reordered, so that they use the whole width of the processor.

    It runs without the GIL, divides by NumPy's rules, and has NumPy's inf and nan. What it calls of another module is
    compiled into it: Numba does not notice when only that module changes (``make clean`` helps).
    """
    return _compile(function, {"reassoc", "contract", "nsz"})


def exactly_compiled(function: Callable[..., Any]) -> Any:
    """Like ``compiled``, with operations in the order in which they are written."""
    return _compile(function, {"contract", "nsz"})


def _compile(function: Callable[..., Any], liberties: set[str]) -> Any:
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": liberties}
    try:
        return numba.njit(cache=True, **options)(function)
    except RuntimeError:  # there is no place to keep it
        return numba.njit(**options)(function)


class _Announcement(event.Listener):
    """Says once, on stderr, that our first loop is being compiled: that may take some seconds."""

    def __init__(self) -> None:
        self.said = False

    def on_start(self, event: Any) -> None:
        """Called by Numba when a compilation starts."""
        module = event.data["dispatcher"].py_func.__module__
        if not self.said and module.startswith(__package__ or ""):
            self.said = True
            print("allgrad: compiling loops for this processor; they are kept for the next time", file=sys.stderr)

    def on_end(self, event: Any) -> None:
        """Called by Numba when a compilation ends."""


event.register("numba:compile", _Announcement())  # type: ignore[no-untyped-call]
