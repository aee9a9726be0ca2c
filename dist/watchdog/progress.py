"""How far this rank is: what it has begun together with others, counted line by line, and where its script stands."""

from __future__ import annotations

import gc
import os
import sys
import sysconfig
import threading
from collections import deque
from dataclasses import dataclass, field
from functools import partial
from itertools import accumulate, chain, compress, count, repeat, takewhile
from operator import call, methodcaller, truth
from types import FrameType

_ROOM = os.path.dirname(os.path.dirname(__file__)) + os.sep
_PACKAGE = os.path.dirname(os.path.dirname(_ROOM)) + os.sep
_STANDARD_LIBRARY = sysconfig.get_path("stdlib") + os.sep
# Modules that wait for a disk, or for a process to start, and not for other ranks.
_ON_DISK = ("elastic/replacements.py", "checkpoints/folder.py", "checkpoints/writer.py", "journal.py", "reporting.py")
_KEPT = 256
_order = count()


@dataclass(eq=False, slots=True)
class Line:
    """Operations that *ranks* begin together one after the other, numbered from 1; *name* is the same on all of them.

    Where one rank has begun fewer than another, which waits, it is missing at the next one.
    """

    name: str
    ranks: tuple[int, ...]
    begun: int = 0
    latest: int = 0
    """Of two lines the one with the greater number was moved last."""
    recent: deque[str] = field(default_factory=lambda: deque(maxlen=_KEPT))
    """What the last of them were, for people."""

    def begin(self, what: str) -> None:
        """Count the next operation, which is *what*."""
        self.begun += 1
        self.latest = next(_order)
        self.recent.append(what)


_lines: list[Line] = []


def new_line(name: str, ranks: tuple[int, ...]) -> Line:
    """Return a line of operations that is watched from now on."""
    line = Line(name, ranks)
    _lines.append(line)
    return line


def lines() -> list[Line]:
    """Return all lines, the one that was moved last first."""
    return sorted(_lines, key=lambda line: -line.latest)


def drop_lines() -> None:
    """Forget all lines: the world is left."""
    _lines.clear()


@dataclass(frozen=True)
class Place:
    """Where a thread is: *at* is the script's own line; *within* the function of dist that waits there, or ""."""

    at: str
    within: str
    stack: tuple[str, ...]
    """The script's lines that lead there, outermost first."""


def place() -> Place:
    """Return where the main thread is now."""
    frames = _frames_of(threading.main_thread().ident or 0)
    if not frames:
        return Place("the end of the script", "", ())
    frame = frames[0]
    waiting = frame.f_code.co_filename.startswith(_ROOM) and not frame.f_code.co_filename.endswith(_ON_DISK)
    within = ""
    stack: list[str] = []
    for each in frames:
        file = each.f_code.co_filename
        if file.startswith(_ROOM):
            within = each.f_code.co_name if waiting and not stack else within
        elif is_the_scripts(file):
            stack.append(f"{file}:{each.f_lineno} in {each.f_code.co_name}")
    stack = stack or [f"{frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_name}"]
    return Place(stack[0], within, tuple(reversed(stack)))


def _frames_of(thread: int) -> list[FrameType]:
    """Return the frames of *thread*, innermost first; none if it is not running.

    The thread must not run on meanwhile: seen in CPython 3.11.7, ``f_back`` of a generator's frame that has yielded since
    is a wild pointer. Between these iterators, all in C, the interpreter never changes threads; in a loop of ours it would,
    and in the finalizers of garbage that is collected just then: so none is until the last frame is there.
    """
    innermost = map(methodcaller("get", thread), map(call, (sys._current_frames,)))
    walk = takewhile(truth, accumulate(chain(innermost, repeat("f_back")), getattr))
    frames: list[FrameType] = []
    collects: list[bool] = []
    begin = partial(collects.extend, map(call, (gc.isenabled,)))
    steps = chain((begin, gc.disable, partial(frames.extend, walk)), compress((gc.enable,), collects))
    deque(map(methodcaller("__call__"), steps), maxlen=0)
    return frames


def is_the_scripts(file: str) -> bool:
    """Return whether *file* is neither allgrad's nor Python's own."""
    if file.startswith((_PACKAGE, "<frozen")):
        return False
    return not file.startswith(_STANDARD_LIBRARY) or "site-packages" in file
