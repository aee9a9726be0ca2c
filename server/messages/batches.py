"""Events of a job that go out together: serialised once, handed as they are to everybody who watches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

EVENTS_AT_ONCE = 500
"""Events in one message to a watcher, at most."""
_EVENTS = b"\x0a"
"""The tag of WatchJobResponse.events: field 1, of a length that follows."""
_SHORT = [bytes([number]) for number in range(0x80)]


@dataclass(frozen=True, slots=True)
class Batch:
    """All events of a job with a cursor in (after, upto], as a serialised WatchJobResponse."""

    after: int
    upto: int
    data: bytes


def _varint(number: int) -> bytes:
    if number < 0x80:
        return _SHORT[number]
    digits = bytearray()
    while number > 0x7F:
        digits.append(number & 0x7F | 0x80)
        number >>= 7
    digits.append(number)
    return bytes(digits)


def joined(events: Iterable[bytes]) -> bytes:
    """Return the WatchJobResponse of *events*, serialised JobEvents, without taking them apart."""
    pieces: list[bytes] = []
    for event in events:
        pieces += (_EVENTS, _varint(len(event)), event)
    return b"".join(pieces)


def batches(rows: Sequence[tuple[int, bytes]]) -> Iterator[Batch]:
    """Deal *rows*, cursors and serialised events without a gap between them, into messages."""
    for first in range(0, len(rows), EVENTS_AT_ONCE):
        part = rows[first : first + EVENTS_AT_ONCE]
        yield Batch(part[0][0] - 1, part[-1][0], joined(event for _, event in part))
