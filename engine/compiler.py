"""Compilation, as scripts ask for it: accepted, and functions run as they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def compile(model: Any = None, **options: Any) -> Any:
    """Return *model*, a module or function, as it is; without one, a decorator that does so.

    Options are accepted. Loops that are worth it are compiled on their own: docs/decisions, the extra ``[jit]``.

    Example:
        >>> import allgrad as torch
        >>> model = torch.nn.Linear(1, 1)
        >>> torch.compile(model, mode="max-autotune") is model
        True
    """
    return _unchanged if model is None else model


def _unchanged(function: Any) -> Any:
    return function


def disable(fn: Any = None, recursive: bool = True) -> Any:
    """Return *fn* as it is; without one, a decorator that does so."""
    return _unchanged if fn is None else fn


def is_compiling() -> bool:
    """False."""
    return False


def reset() -> None:
    """Do nothing: nothing is compiled."""


def allow_in_graph(fn: Callable[..., Any]) -> Callable[..., Any]:
    """Return *fn*."""
    return fn
