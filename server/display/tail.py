"""The last lines of what ranks printed, of however much."""

from __future__ import annotations

import io
from collections import deque

from .prefix import RankLines

LINE_LIMIT = 1000
"""Characters of a line that are kept."""
_OPEN_LIMIT = 4 * (LINE_LIMIT + 1)
"""Bytes that are kept of a line without an end so far: enough for those characters and one more, whatever they are."""


class Tail:
    r"""Keeps the last *count* lines of all that it is fed.

    >>> tail = Tail(2, prefixed=False)
    >>> tail.feed(0, b"one\ntwo\nthr"); tail.feed(0, b"ee\n")
    >>> tail.lines(), tail.cut
    (['two', 'three'], True)
    """

    def __init__(self, count: int, prefixed: bool) -> None:
        self._lines: deque[str] = deque(maxlen=count)
        self._out = io.BytesIO()
        self._ranks = RankLines(self._out, prefixed)
        self._rest = b""
        self.cut = False

    def feed(self, rank: int, data: bytes) -> None:
        self._ranks.feed(rank, data)
        *whole, self._rest = (self._rest + self._out.getvalue()).split(b"\n")
        self._rest = self._rest[:_OPEN_LIMIT]
        self._out.seek(0)
        self._out.truncate()
        self._keep(whole)

    def lines(self) -> list[str]:
        """The last lines, an unfinished one included."""
        self._ranks.close()
        self.feed(0, b"")
        if self._rest:
            self._keep([self._rest])
            self._rest = b""
        return list(self._lines)

    def _keep(self, lines: list[bytes]) -> None:
        self.cut = self.cut or len(self._lines) + len(lines) > (self._lines.maxlen or 0)
        texts = (line.decode("utf-8", "replace") for line in lines[-(self._lines.maxlen or 0) :])
        self._lines.extend(text if len(text) <= LINE_LIMIT else text[:LINE_LIMIT] + " ..." for text in texts)
