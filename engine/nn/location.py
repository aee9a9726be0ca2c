"""Saying where in a network an error arose: the path of the module whose computation failed."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING

from ..tape.module_calls import module_path

if TYPE_CHECKING:
    from .module import Module

_ROOT = __name__.partition(".")[0]


def locate(module: Module, error: Exception) -> None:
    """Note that *error* passed through *module*, from the innermost module outwards, and lead its text by the path.

    Only errors that allgrad raised with one text are changed; a network's own errors stay as they are.
    """
    passed: list[Module] | None = error.__dict__.get("_modules")
    if passed is None:
        if len(error.args) != 1 or type(error.args[0]) is not str or not _raised_here(error.__traceback__):
            error.__dict__["_modules"] = []
            return
        passed = error.__dict__["_modules"] = [module]
        error.__dict__["_text"] = error.args[0]
    elif not passed:
        return
    else:
        passed.insert(0, module)
    error.args = (f"{module_path(passed)}: {error.__dict__['_text']}",)


def _raised_here(trace: TracebackType | None) -> bool:
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    package = trace.tb_frame.f_globals.get("__package__") if trace is not None else None
    return isinstance(package, str) and package.partition(".")[0] == _ROOT
