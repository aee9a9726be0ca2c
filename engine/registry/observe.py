"""Letting someone see every operation of a thread, at no cost to those who do not ask.

While anyone watches, the functions of all operations carry other code, which calls the usual code and then tells the
observers of the running thread; afterwards they carry their own again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, Any

from ..tape.mode import mode

if TYPE_CHECKING:
    from .operation import Operation

# Called with the operation (None for a custom Function), its positional and named arguments, and the result.
Observer = Callable[["Operation | None", tuple[Any, ...], dict[str, Any], Any], None]

_lock = threading.Lock()
_functions: dict[FunctionType, CodeType] = {}  # every function of a compiled operation, and its own code
_watchers = 0


def _watched(*args: Any, **kwargs: Any) -> Any:
    """The code that a function carries while operations are watched; its names are globals of that function."""
    result = _usual(*args, **kwargs)  # type: ignore[name-defined] # noqa: F821
    for observer in _mode.observers:  # type: ignore[name-defined] # noqa: F821
        observer(_op, args, kwargs, result)  # type: ignore[name-defined] # noqa: F821
    return result


def give_code(function: FunctionType, code: CodeType, defaults: Any, named_defaults: Any) -> None:
    """Let *function* run *code*, or, while operations are watched, the code that runs it and tells."""
    names = function.__globals__
    usual = FunctionType(code, names, function.__name__, defaults)
    usual.__kwdefaults__ = named_defaults
    names["_usual"] = usual
    function.__defaults__, function.__kwdefaults__ = defaults, named_defaults
    with _lock:
        _functions[function] = code
        function.__code__ = _watched.__code__ if _watchers else code


def start_observing(observer: Observer) -> None:
    """Call *observer* after each operation of this thread from now on."""
    global _watchers
    mode.observers = (*mode.observers, observer)
    with _lock:
        _watchers += 1
        if _watchers == 1:
            for function in _functions:
                function.__code__ = _watched.__code__


def stop_observing(observer: Observer) -> None:
    """Take *observer*, which this thread added last, away."""
    global _watchers
    kept = list(mode.observers)
    kept.reverse()
    kept.remove(observer)
    mode.observers = tuple(reversed(kept))
    with _lock:
        _watchers -= 1
        if not _watchers:
            for function, code in _functions.items():
                function.__code__ = code
