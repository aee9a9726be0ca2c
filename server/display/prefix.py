"""Lines of several ranks on one output, each led by its rank."""

from __future__ import annotations

from typing import BinaryIO

MAX_LINE = 64 * 1024


class RankLines:
    r"""Gathers bytes per rank and writes whole lines, with ``[rank]`` before each where there are several.

    A line longer than 64 KiB is written in pieces: a rank that never ends its line cannot fill the memory.

    >>> import io
    >>> out = io.BytesIO()
    >>> lines = RankLines(out, prefixed=True)
    >>> lines.feed(0, b"one\ntw"); lines.feed(1, b"first\n"); lines.feed(0, b"o\n")
    >>> out.getvalue()
    b'[0] one\n[1] first\n[0] two\n'
    """

    def __init__(self, out: BinaryIO, prefixed: bool) -> None:
        self._out = out
        self._prefixed = prefixed
        self._open: dict[int, bytes] = {}
        self._silent = False

    def feed(self, rank: int, data: bytes) -> None:
        """Take what *rank* printed and write the lines that it completes."""
        if self._silent:
            return
        if not self._prefixed:
            self._out.write(data)
            self._out.flush()
            return
        *whole, rest = (self._open.pop(rank, b"") + data).split(b"\n")
        if len(rest) > MAX_LINE:
            whole, rest = [*whole, rest], b""
        if rest:
            self._open[rank] = rest
        if whole:
            lead = b"[%d] " % rank if rank >= 0 else b"[mpi] "
            self._out.write(b"".join(lead + line + b"\n" for line in whole))
            self._out.flush()

    def close(self) -> None:
        """Write the unfinished last lines."""
        for rank in sorted(self._open):
            self.feed(rank, b"\n")

    def silence(self) -> None:
        """Write no more: nobody reads."""
        self._silent = True
