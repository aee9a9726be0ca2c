"""Keys that a person presses at a terminal, each at once and unseen."""

from __future__ import annotations

import os
import re
import select
import sys
import termios
import time
import tty
from types import TracebackType
from typing import Self

_KEY = re.compile(rb"\x1b[\[O]([A-Z])|.", re.DOTALL)
_ARROWS = {b"A": "up", b"B": "down", b"C": "right", b"D": "left"}


class Keys:
    """A context in which standard input gives single keys; Ctrl-C stays what it is. Of no terminal come none."""

    def __init__(self) -> None:
        self._terminal: int | None = sys.stdin.fileno() if sys.stdin and sys.stdin.isatty() else None
        self._waiting: list[str] = []

    def __enter__(self) -> Self:
        if self._terminal is not None:
            self._before = termios.tcgetattr(self._terminal)
            tty.setcbreak(self._terminal)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._terminal is not None:
            termios.tcsetattr(self._terminal, termios.TCSADRAIN, self._before)

    def next(self, seconds: float) -> str:
        """Return the next key, a letter or such as "up"; "" if none has come for so long."""
        if not self._waiting:
            self._waiting = self._read(seconds)
        return self._waiting.pop(0) if self._waiting else ""

    def _read(self, seconds: float) -> list[str]:
        if self._terminal is None:
            time.sleep(seconds)
            return []
        return keys_in(os.read(self._terminal, 1024)) if select.select([self._terminal], [], [], seconds)[0] else []


def keys_in(data: bytes) -> list[str]:
    r"""Return the keys that a terminal tells by *data*.

    >>> keys_in(b"j\x1b[A\x1bOBq")
    ['j', 'up', 'down', 'q']
    """
    return [_ARROWS.get(found[1], "") if found[1] else found[0].decode("latin-1") for found in _KEY.finditer(data)]
