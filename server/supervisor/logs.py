"""The logs of the ranks: kept within a limit on disk while they are written, read from stable byte offsets.

A rank keeps its log open and appends, so the file cannot be renamed away from under it. Instead the disk
space of its middle is given back, leaving a hole: every offset stays what it was, and readers find the hole.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

from ..jobs.job import LogChunk
from .linux import punch_hole

BLOCK = 4096
HEAD = 1 << 20
"""Bytes from the beginning of a log that are always kept: settings, versions, the first warnings."""
CHUNK = 1 << 16


class Trimmer:
    """Keeps the first *head* bytes and about the last *limit* of a file that somebody appends to."""

    def __init__(self, path: Path, limit: int, head: int = HEAD) -> None:
        self._path = path
        self._limit = limit
        self._head = self._dropped_to = head

    def trim(self) -> None:
        """Give back disk space if the file has outgrown its limit by half."""
        try:
            size = self._path.stat().st_size
        except FileNotFoundError:
            return
        if size - self._dropped_to <= self._limit * 3 // 2:
            return
        end = (size - self._limit) // BLOCK * BLOCK
        with self._path.open("r+b") as file:
            try:
                punch_hole(file.fileno(), self._head, end)
            except OSError as error:
                if error.errno not in (errno.EOPNOTSUPP, errno.ENOSYS):
                    raise
                self._limit = 1 << 62  # a file system without holes keeps the whole file
        self._dropped_to = end


def tail_offset(path: Path, lines: int) -> int:
    """Return where the last *lines* lines of a log begin; an unfinished one counts, and a hole ends the search."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return 0
    try:
        end = start = os.fstat(fd).st_size
        missing = lines + 1
        while start > 0:
            begin = max(0, start - CHUNK)
            data = os.pread(fd, start - begin, begin)
            at = len(data) - (1 if start == end else 0)  # the newline that ends the log ends no line before it
            while (at := data.rfind(b"\n", 0, at)) >= 0:
                missing -= 1
                if missing == 1:
                    return begin + at + 1
            if b"\0" * BLOCK in data:
                return begin + data.rfind(b"\0")
            start = begin
        return 0
    finally:
        os.close(fd)


def read_log(path: Path, rank: int, offset: int, *, final: bool) -> LogChunk | None:
    """Return the next chunk of a log at or after byte *offset*, or None if there is none (yet).

    It ends with a line where it can; *final*: nothing more will be written, so an unfinished line counts too.
    A chunk that begins later than *offset* tells that the bytes between were dropped.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        start = os.lseek(fd, offset, os.SEEK_DATA)
        hole = os.lseek(fd, start, os.SEEK_HOLE)
        data = os.pread(fd, min(CHUNK, hole - start), start)
        end, size = start + len(data), os.fstat(fd).st_size
        if start != offset:
            cut = data.find(b"\n") + 1  # the first line after a hole is a torn one
            start, data = start + cut, data[cut:]
    except OSError as error:
        if error.errno == errno.ENXIO:
            return None
        raise
    finally:
        os.close(fd)
    nothing_follows = (final and end >= size) or end == hole < size
    if not nothing_follows:
        whole = max(data.rfind(b"\n"), data.rfind(b"\r")) + 1
        if whole or end >= size:
            data = data[:whole]
    return LogChunk(rank, start, data) if data else None
