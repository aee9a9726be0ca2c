"""TorchScript, as scripts ask for it: accepted, and modules and functions run as they are."""

from __future__ import annotations

from typing import Any

from .tape.mode import no_grad


def script(obj: Any, *args: Any, **options: Any) -> Any:
    """Return *obj*, a module or function, as it is."""
    return obj


def trace(func: Any, example_inputs: Any = None, **options: Any) -> Any:
    """Return *func*, a module or function, as it is, after calling it once on *example_inputs*, so that errors show."""
    if example_inputs is not None:
        with no_grad():
            func(*(example_inputs if isinstance(example_inputs, tuple) else (example_inputs,)))
    return func


def ignore(drop: Any = False, **options: Any) -> Any:
    """Return the function as it is; with an option, a decorator that does so."""
    return drop if callable(drop) else script


def unused(fn: Any) -> Any:
    """Return *fn* as it is."""
    return fn


export = unused


def is_scripting() -> bool:
    """False."""
    return False


def is_tracing() -> bool:
    """False."""
    return False
