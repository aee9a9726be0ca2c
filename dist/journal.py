"""The journal of a run: one checksummed JSON line for each report, written by rank 0, read by the server.

The format is the contract between this room and the server's: docs/journal.md.
"""

from __future__ import annotations

import fcntl
import json
import math
import os
import threading
import time
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_SEAL = b',"crc":'


class JournalError(ValueError):
    """A line that is not the last one is damaged: the journal cannot be trusted after it."""


class JournalTakenError(RuntimeError):
    """Another process is writing this journal."""


class Journal:
    """The journal at *path*, opened for appending; a file that exists is continued after its last good line.

    What a crash left of a half-written last line is cut off. Raises JournalTakenError while another process has it
    open, and JournalError when a line before the last is damaged.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._lock = threading.Lock()  # a checkpoint is reported by the thread that has written it
        self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._file)
            raise JournalTakenError(f"{self.path} is being written by another process") from None
        content = self.path.read_bytes()
        try:
            self._seq, self._size = _last(content)
        except JournalError:
            os.close(self._file)
            raise
        if self._size < len(content):
            os.ftruncate(self._file, self._size)

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        """Append the *values* measured at *step*."""
        numbers = {name: _number(value) for name, value in values.items()}
        self._append("metrics", step, "values", numbers)

    def checkpoint(self, step: int, path: str) -> None:
        """Append that the state after *step* has been saved at the absolute *path*."""
        self._append("checkpoint", step, "path", path)

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._file)

    def _append(self, kind: str, step: int, key: str, value: object) -> None:
        with self._lock:
            self._append_next(kind, step, key, value)

    def _append_next(self, kind: str, step: int, key: str, value: object) -> None:
        seq = self._seq + 1
        body = (
            f'{{"seq":{seq},"time":{time.time():.6f},"kind":"{kind}","step":{step},'
            f'"{key}":{json.dumps(value, separators=(",", ":"))}'
        ).encode("ascii")
        line = body + _SEAL + b'"%08x"}\n' % zlib.crc32(body)
        if os.write(self._file, line) < len(line):
            # A full disk took half of it, which must not be glued to the next line.
            os.ftruncate(self._file, self._size)
            raise OSError(f"{self.path}: no room for another line: is the disk full?")
        self._seq, self._size = seq, self._size + len(line)


def read(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """Return the entries of the journal at *path*, without a half-written last line.

    Each is a dict with "seq", "time" (seconds since the epoch), "kind", "step" and "values" or "path"; numbers that
    JSON lacks come back as floats. Raises JournalError, naming the line, where one before the last is damaged.
    """
    return _parse(Path(path).read_bytes())[0]


def _last(content: bytes) -> tuple[int, int]:
    """Return the sequence number of the last good line, and where it ends."""
    entries, size = _parse(content)
    return (entries[-1]["seq"] if entries else 0), size


def _parse(content: bytes) -> tuple[list[dict[str, Any]], int]:
    entries: list[dict[str, Any]] = []
    # A beginning of zero bytes was given back to the disk by the supervisor, with a part of the line after it.
    size = content.find(b"\n") + 1 if content.startswith(b"\0") else 0
    due = 0 if size else 1  # the number of the next line; after such a beginning, any
    lines = content[size:].split(b"\n")
    for number, line in enumerate(lines, 1):
        entry = _entry(line) if number < len(lines) else None
        if entry is None or entry["seq"] != (due or entry["seq"]):
            if any(lines[number:]):
                raise JournalError(f"line {number} is damaged, and others follow it")
            return entries, size
        entries.append(entry)
        due = entry["seq"] + 1
        size += len(line) + 1
    return entries, size


def _entry(line: bytes) -> dict[str, Any] | None:
    body, seal, crc = line.rpartition(_SEAL)
    if not seal or crc != b'"%08x"}' % zlib.crc32(body):
        return None
    entry: dict[str, Any] = json.loads(body + b"}")
    if "values" in entry:
        entry["values"] = {name: float(value) for name, value in entry["values"].items()}
    return entry


def _number(value: float) -> float | str:
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
