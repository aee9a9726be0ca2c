"""The one door to SciPy, an extra: loaded on first use, and asked for by name where it is missing."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any


@cache
def installed(module: str) -> Any:
    """The module ``scipy.<module>``, or None where SciPy is not installed."""
    try:
        return import_module(f"scipy.{module}")
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != "scipy":
            raise
        return None


def required(module: str, asked_by: str) -> Any:
    """The module ``scipy.<module>``; ModuleNotFoundError, saying what *asked_by* needs, where there is none."""
    found = installed(module)
    if found is None:
        raise ModuleNotFoundError(
            f"{asked_by}() is computed by SciPy, which is not installed: pip install 'allgrad[scipy]'", name="scipy"
        )
    return found


@cache
def special(name: str, asked_by: str) -> Callable[..., Any]:
    """The function *name* of ``scipy.special``, for the operation *asked_by*."""
    function: Callable[..., Any] = getattr(required("special", asked_by), name)
    return function
