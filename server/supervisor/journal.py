"""Reading the journal that rank 0 of an attempt appends to; its form is described in docs/journal.md."""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from .linux import data_from

_CRC_KEY = b',"crc":'
_TAIL = 1 << 20
_MOST = (1 << 63) - 1
"""The largest step and sequence number that a message and a database take."""
_YEAR_10000 = 253_402_300_800.0
"""In seconds since the epoch: no clock tells later times."""
_WORDS = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


@dataclass(frozen=True, slots=True)
class MetricsLine:
    """Numbers that the script reported for one step."""

    sequence: int
    time: float
    step: int
    values: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class CheckpointLine:
    """A checkpoint that was written completely."""

    sequence: int
    time: float
    step: int
    path: str


@dataclass(frozen=True, slots=True)
class OtherLine:
    """A sound line of a kind that this version does not know, to be passed over."""

    sequence: int
    time: float


Line = MetricsLine | CheckpointLine | OtherLine


class JournalReader:
    """Reads a journal that is still being written, from its beginning.

    A damaged line is passed over, and so is a beginning that was given back to the disk because the journal had become
    too long: the gap in the sequence numbers tells it to whoever gets the lines. A line without its end, or a damaged
    one at the very end, may be torn, and is left until there is more. *here* says where a checkpoint lies whose path
    the ranks have written.
    """

    def __init__(self, path: Path, here: Callable[[str], str] = str) -> None:
        self._path = path
        self._here = here
        self._offset = 0

    def read(self, limit: int = 1000, size: int = 1 << 18) -> list[Line]:
        """Return up to *limit* of the lines that have come since the last call, from at most *size* bytes."""
        try:
            with self._path.open("rb") as file:
                self._offset = data_from(file.fileno(), self._offset)
                file.seek(self._offset)
                data = file.read(size)
                more = bool(file.read(1))
        except FileNotFoundError:
            return []
        whole = data.split(b"\n")[:-1]
        if not whole and more:
            return self.read(limit, 2 * size)
        at_end = not more and data.endswith(b"\n")
        lines = []
        for number, raw in enumerate(whole[:limit], 1):
            line = parse(raw)
            if isinstance(line, CheckpointLine):
                line = replace(line, path=self._here(line.path))
            if line is not None:
                lines.append(line)
            elif number == len(whole) and at_end:
                break
            self._offset += len(raw) + 1
        return lines

    def __repr__(self) -> str:
        return f"JournalReader({self._path}, offset={self._offset})"


def last_sequence(path: Path) -> int:
    """Return the sequence number of the last sound line, or 0, looking only at the end of the file."""
    try:
        with path.open("rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - _TAIL))
            tail = file.read().split(b"\n")[:-1]
    except FileNotFoundError:
        return 0
    for raw in reversed(tail):
        line = parse(raw)
        if line is not None:
            return line.sequence
    return 0


def parse(raw: bytes) -> Line | None:
    """Return the line that *raw* (without its newline) holds, or None if it is not what was written."""
    body, _, ending = raw.rpartition(_CRC_KEY)
    if ending != b'"%08x"}' % zlib.crc32(body):
        return None
    try:
        return _line(json.loads(body + b"}"))
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError, RecursionError):
        return None  # whoever wrote it knew of checksums, and not of the form


def _line(record: Mapping[str, Any]) -> Line:
    """Return what *record* tells; raises ValueError for what no message could hold, which would be the end of all that follows."""
    sequence, time = _whole(record["seq"]), float(record["time"])
    if not 0 <= time < _YEAR_10000:
        raise ValueError(time)
    if record["kind"] == "metrics":
        values = {_said(name): _number(value) for name, value in record["values"].items()}
        return MetricsLine(sequence, time, _whole(record["step"]), values)
    if record["kind"] == "checkpoint":
        return CheckpointLine(sequence, time, _whole(record["step"]), _said(str(record["path"])))
    return OtherLine(sequence, time)


def _whole(number: Any) -> int:
    whole = int(number)
    if not 0 <= whole <= _MOST:
        raise ValueError(number)
    return whole


def _said(text: str) -> str:
    text.encode()  # a half of a surrogate pair, which JSON can write, is no text
    return text


def _number(value: float | str) -> float:
    return _WORDS[value] if isinstance(value, str) else float(value)
