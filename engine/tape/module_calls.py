"""Which modules were called when, so that a node can be traced to the part of the network that recorded it.

Nodes and calls are stamped by the same clock: a node belongs to the calls that began before it and ended after it. Nothing
is noted per operation.
"""

from __future__ import annotations

import threading
import weakref
from bisect import bisect_right
from collections import deque
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

from .version import tick

_REMEMBERED = 4096  # calls of modules, for each thread: several steps of a deep network


class _Log(threading.local):
    def __init__(self) -> None:
        self.calls: deque[tuple[int, int, weakref.ref[Any]]] = deque(maxlen=_REMEMBERED)


_log = _Log()


def note_call(module: Any, start: int) -> None:
    """Note that a call of *module*, begun at tick *start*, has ended."""
    _log.calls.append((start, tick(), weakref.ref(module)))


class ModulePaths:
    """Finds the path of the module inside whose call something was recorded by this thread."""

    def __init__(self) -> None:
        self._calls = sorted(_log.calls, key=lambda call: call[:2])
        self._outermost: list[int] = []  # positions of the calls that are in no other
        end = 0
        for position, call in enumerate(self._calls):
            if call[1] > end:
                self._outermost.append(position)
                end = call[1]
        self._starts = [self._calls[position][0] for position in self._outermost]
        self._known: dict[tuple[int, ...], str] = {}

    def at(self, seq: int) -> str:
        """The path of the module that ran at tick *seq*, such as ``Net.encoder.2 (Linear 9→2)``; "" if none is known."""
        around = bisect_right(self._starts, seq) - 1
        if around < 0 or self._calls[self._outermost[around]][1] < seq:
            return ""
        end = self._outermost[around + 1] if around + 1 < len(self._outermost) else len(self._calls)
        calls = self._calls[self._outermost[around] : end]
        modules = [module for start, stop, ref in calls if start < seq < stop and (module := ref()) is not None]
        key = tuple(map(id, modules))
        if key not in self._known:
            self._known[key] = module_path(modules) if modules else ""
        return self._known[key]


def module_path(modules: Iterable[Any]) -> str:
    """The path through *modules*, outermost first, by the names under which each has the next one."""
    listed = list(modules)
    if len(listed) == 1:
        return str(listed[0].summary())
    names = [type(listed[0]).__name__]
    for outer, inner in pairwise(listed):
        names.append(
            next((name for name, below in outer.named_modules() if below is inner), f"<{type(inner).__name__}>")
        )
    return f"{'.'.join(names)} ({listed[-1].summary()})"
