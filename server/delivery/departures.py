"""What leaves: growing files as they grow and whole files one after the other, until the other side says that it has them."""

from __future__ import annotations

import os
import stat
from collections import deque
from dataclasses import dataclass
from pathlib import Path

from ..supervisor.linux import data_from
from .arrivals import ASK, BACK, DONE, GONE, GROWING, HAVE, HOLE, PUT, WHOLE, mark_of
from .channel import Channel, Message

CHUNK = 1 << 16
"""Bytes of a file that are sent in one message."""
EVERYTHING = 1 << 62


@dataclass(slots=True)
class _Growing:
    """A file that is appended to; *sent* is None until the other side has said how much of it is there."""

    upto: int = EVERYTHING
    """Where to stop: what lies behind must not be sent yet."""
    asked: bool = False
    sent: int | None = None
    there: int = 0


@dataclass(slots=True)
class _Whole:
    """One version of a file that is sent as a whole."""

    name: str
    mark: str
    program: bool
    asked: bool = False
    sent: int | None = None
    told: bool = False
    """Whether it has been said that this is all."""

    @property
    def size(self) -> int:
        return int(self.mark.partition(".")[0])


class Departures:
    """Sends files of *folder* over *channel*, whole ones one at a time and behind what grows."""

    def __init__(self, folder: Path, channel: Channel) -> None:
        self._folder, self._channel = folder, channel
        self._growing: dict[str, _Growing] = {}
        self._queue: deque[_Whole] = deque()
        self._queued: set[tuple[str, str]] = set()
        self.there: dict[str, str] = {}
        """The marks of the whole files that the other side has."""

    def __repr__(self) -> str:
        return f"Departures({self._folder}, {len(self._growing)} growing, {len(self._queue)} waiting)"

    @property
    def done(self) -> bool:
        """Whether the other side has all that there is."""
        return not self._queue and all(
            growing.there >= min(self._size(name), growing.upto) for name, growing in self._growing.items()
        )

    def grow(self, name: str, upto: int = EVERYTHING) -> None:
        """Send the file *name* as it grows, up to byte *upto* for now."""
        self._growing.setdefault(name, _Growing()).upto = upto

    def offer(self, name: str) -> bool:
        """Send the file *name* as it is now, unless that version is there or on its way; return whether it is there."""
        try:
            found = (self._folder / name).stat(follow_symlinks=False)
        except FileNotFoundError:
            return True
        mark = mark_of(found)
        if self.there.get(name) == mark or not stat.S_ISREG(found.st_mode):
            return True
        if (name, mark) not in self._queued:
            self._queued.add((name, mark))
            self._queue.append(_Whole(name, mark, bool(found.st_mode & stat.S_IXUSR)))
        return False

    def withdraw(self, name: str) -> None:
        """Say that the file *name*, which is there, is gone here."""
        del self.there[name]
        self._channel.say(GONE, name, GROWING)

    def move(self) -> None:
        """Send as much as there is room for."""
        self._channel.flush()
        for name, growing in self._growing.items():
            self._move_growing(name, growing)
        while self._queue and self._channel.has_room and self._move_whole(self._queue[0]):
            pass

    def hear(self, message: Message) -> None:
        """Take an answer."""
        name, mark = message.words[:2]
        if mark == GROWING:
            growing = self._growing[name]
            there = int(message.words[2])
            growing.there = max(growing.there, there)
            if growing.sent is None or message.verb == BACK:
                growing.sent = there
            return
        if not self._queue or (self._queue[0].name, self._queue[0].mark) != (name, mark):
            return  # it was given up meanwhile, for a version that came later
        whole = self._queue[0]
        if message.verb == DONE:
            self.there[name] = mark
            self._next()
        elif whole.sent is None or message.verb == BACK:
            whole.sent, whole.told = int(message.words[2]), False

    def _next(self) -> None:
        whole = self._queue.popleft()
        self._queued.discard((whole.name, whole.mark))

    def _move_growing(self, name: str, growing: _Growing) -> None:
        if not growing.asked:
            if self._size(name):
                growing.asked = True
                self._channel.say(ASK, name, GROWING)
            return
        if growing.sent is None or growing.sent >= self._size(name):
            return
        with (self._folder / name).open("rb", buffering=0) as file:
            end = min(growing.upto, os.fstat(file.fileno()).st_size)
            while growing.sent < end and self._channel.has_room:
                start = min(data_from(file.fileno(), growing.sent), end)
                if start > growing.sent:
                    self._channel.say(HOLE, name, GROWING, str(start))
                data = os.pread(file.fileno(), min(CHUNK, end - start), start)
                if data:
                    self._channel.say(PUT, name, GROWING, str(start), body=data)
                growing.sent = start + len(data)

    def _move_whole(self, whole: _Whole) -> bool:
        """Send the next piece of a file; return whether there may be more to send at once."""
        if not whole.asked:
            whole.asked = True
            self._channel.say(ASK, whole.name, whole.mark)
        if whole.sent is None or whole.told:
            return False
        data = self._read(whole, whole.sent)
        if data is None:  # it has changed, or is gone: that version will never be whole
            self._next()
            self._channel.say(GONE, whole.name, whole.mark)
        elif data:
            self._channel.say(PUT, whole.name, whole.mark, str(whole.sent), body=data)
            whole.sent += len(data)
        else:
            self._channel.say(WHOLE, whole.name, whole.mark, "program" if whole.program else "file")
            whole.told = True
        return True

    def _read(self, whole: _Whole, at: int) -> bytes | None:
        try:
            fd = os.open(self._folder / whole.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            data = os.pread(fd, CHUNK, at)
            return data if mark_of(os.fstat(fd)) == whole.mark else None
        finally:
            os.close(fd)

    def _size(self, name: str) -> int:
        try:
            return (self._folder / name).stat().st_size
        except FileNotFoundError:
            return 0


ANSWERS = frozenset({HAVE, BACK, DONE})
"""What a sender is answered."""
OFFERS = frozenset({ASK, PUT, HOLE, WHOLE, GONE})
"""What a receiver is told."""
