"""Event files that TensorBoard reads, made of an attempt's journal: TFRecords of the few fields of `Event` that numbers need.

The supervisor writes them and must stay small, so neither protobuf nor TensorBoard is asked (docs/decisions/0015).
"""

from __future__ import annotations

import errno
import os
import platform
import struct
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from .journal import JournalReader, MetricsLine

FOLDER = "tensorboard"
"""Within the job's output folder."""
_BUDGET = 0.04
"""Seconds that one look may take while ranks run: what is left comes with the next."""
_LAST_BUDGET = 5.0
"""Seconds for what is left at the end, which holds up the news of the end."""


def _table() -> tuple[int, ...]:
    """Return what each byte does to a CRC-32C (Castagnoli), as in RFC 3720."""
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
        table.append(byte)
    return tuple(table)


_TABLE = _table()


def crc32c(data: bytes) -> int:
    """Return the CRC-32C of *data*.

    >>> hex(crc32c(b"123456789"))
    '0xe3069283'
    """
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ _TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def record(data: bytes) -> bytes:
    """Return *data* as a TFRecord: length, data, and a masked checksum of each."""
    length = struct.pack("<Q", len(data))
    return length + _masked(length) + data + _masked(data)


def _masked(data: bytes) -> bytes:
    crc = crc32c(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def version_event(when: float) -> bytes:
    """Return the event that begins a file."""
    return _time(when) + _text(3, b"brain.Event:2")


def start_event(when: float, step: int) -> bytes:
    """Return the event of a new start at *step*: what an earlier attempt told of it and later steps no longer counts."""
    return _time(when) + _step(step) + _text(7, b"\x08\x01")  # session_log { status: START }


def scalars_event(when: float, step: int, values: Mapping[str, float]) -> bytes:
    """Return the event that tells *values* of *step*."""
    summary = b"".join(
        _text(1, _text(1, name.encode()) + b"\x15" + struct.pack("<f", _single(value)))
        for name, value in values.items()
    )
    return _time(when) + _step(step) + _text(5, summary)


def _time(when: float) -> bytes:
    return b"\x09" + struct.pack("<d", when)


def _step(step: int) -> bytes:
    return b"\x10" + _varint(step)


def _text(field: int, data: bytes) -> bytes:
    return bytes((field << 3 | 2,)) + _varint(len(data)) + data


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _single(value: float) -> float:
    """Return *value* as what fits into single precision, infinities among it."""
    try:
        struct.pack("<f", value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")
    return value


class EventFile:
    """Follows the journal of one attempt into an event file in *folder*, which is made with the first numbers.

    What cannot be read or written (the disk is full) ends it, and nothing else: the supervisor has more to do.
    """

    def __init__(self, journal: Path, folder: Path, attempt: int) -> None:
        self._reader = JournalReader(journal)
        self._folder = folder
        self._attempt = attempt
        self._fd: int | None = None
        self._failed = False

    def __repr__(self) -> str:
        return f"EventFile({self._folder}, attempt={self._attempt})"

    def update(self, budget: float = _BUDGET) -> None:
        """Write what has come, for at most about *budget* seconds."""
        ends = time.monotonic() + budget
        try:
            while not self._failed and time.monotonic() < ends and (lines := self._reader.read(limit=200)):
                self._write([line for line in lines if isinstance(line, MetricsLine)])
        except (OSError, ValueError) as error:
            print(f"no more is written for TensorBoard: {error!r}", file=sys.stderr)
            self._failed = True

    def close(self) -> None:
        """Write the rest, but for what takes too long: a job that reports thousands of times a second may leave that much."""
        self.update(_LAST_BUDGET)
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _write(self, lines: list[MetricsLine]) -> None:
        if not lines:
            return
        events = [scalars_event(line.time, line.step, line.values) for line in lines]
        if self._fd is None:
            self._fd = self._open(lines[0].time)
            begin = [version_event(lines[0].time)]
            if self._attempt > 1:
                begin.append(start_event(lines[0].time, lines[0].step))
            events = begin + events
        data, whole = b"".join(map(record, events)), os.fstat(self._fd).st_size
        if os.write(self._fd, data) < len(data):
            os.ftruncate(self._fd, whole)  # a torn record would hide what other files of the folder tell
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _open(self, when: float) -> int:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # TensorBoard reads the files of a folder in the order of their names.
        name = f"events.out.tfevents.{int(when):010d}.{platform.node()}.attempt-{self._attempt}"
        return os.open(self._folder / name, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
