"""Messages between two processes over pipes that make neither of them wait, and may break at any moment.

A message is a line of words; one with data has their length and their CRC-32 as its last two words, and the data behind its line:
``put logs/rank-0.log - 512 +5 3610a686``. A word is quoted as in a URL, so that any name can be one. What is no
message, such as what a shell prints before it comes to our program, is handed on as a line of text.
"""

from __future__ import annotations

import os
import zlib
from dataclasses import dataclass
from urllib.parse import quote, unquote_to_bytes

READ = 1 << 18
"""Bytes that are read at once."""
HIGH = 1 << 18
"""Bytes waiting to be sent above which no more data should be put behind them: a word must not wait for long."""
_LONGEST_LINE = 1 << 20
_LONGEST_BODY = 1 << 22
_PIPE = 1 << 20


class Damaged(Exception):
    """What comes over a channel is not what was sent."""


@dataclass(frozen=True, slots=True)
class Message:
    """A *verb*, its *words* and data; the verb "" stands for a line of text, which is its data."""

    verb: str
    words: tuple[str, ...] = ()
    body: bytes = b""

    def encoded(self) -> bytes:
        """Return it as it is sent."""
        words = [self.verb, *(quote(os.fsencode(word), safe="/") for word in self.words)]
        assert all(words), "an empty word would be none"
        if self.body:
            words += [f"+{len(self.body)}", f"{zlib.crc32(self.body):08x}"]
        return " ".join(words).encode("ascii") + b"\n" + self.body


class Decoder:
    """Makes messages of bytes as they come, in pieces of any size; *verbs* are those that there are.

    >>> decoder = Decoder({"beat"})
    >>> decoder.feed(b"Welcome!\\nbea"), decoder.feed(b"t\\n")
    ([Message(verb='', words=(), body=b'Welcome!')], [Message(verb='beat', words=(), body=b'')])
    """

    def __init__(self, verbs: frozenset[str] | set[str]) -> None:
        self._verbs = {verb.encode("ascii") for verb in verbs}
        self._bytes = bytearray()

    def __repr__(self) -> str:
        return f"Decoder({len(self._bytes)} bytes waiting)"

    def feed(self, data: bytes) -> list[Message]:
        """Return the messages that *data* complete. Raises Damaged, after which nothing more can be understood."""
        self._bytes += data
        found = []
        while (message := self._next()) is not None:
            found.append(message)
        return found

    def _next(self) -> Message | None:
        end = self._bytes.find(b"\n")
        if end < 0:
            if len(self._bytes) > _LONGEST_LINE:
                raise Damaged("a line without an end")
            return None
        line = bytes(self._bytes[:end])
        verb, *words = line.split(b" ")
        if verb not in self._verbs:
            del self._bytes[: end + 1]
            return Message("", (), line)
        size, crc = _data_of(words)
        whole = end + 1 + size
        if len(self._bytes) < whole:
            return None
        body = bytes(self._bytes[end + 1 : whole])
        del self._bytes[:whole]
        if size:
            del words[-2:]
            if crc != b"%08x" % zlib.crc32(body):
                raise Damaged(f"the data of {line.decode(errors='replace')} are others")
        return Message(verb.decode(), tuple(os.fsdecode(unquote_to_bytes(word)) for word in words), body)


def _data_of(words: list[bytes]) -> tuple[int, bytes]:
    """Return how many bytes of data follow a line of *words*, and their checksum."""
    if len(words) < 2 or not words[-2].startswith(b"+"):
        return 0, b""
    digits = words[-2][1:]
    if not digits.isdigit() or len(digits) > 9 or not 0 < int(digits) <= _LONGEST_BODY:
        raise Damaged(f"data of {digits[:20].decode(errors='replace')} bytes")
    return int(digits), words[-1]


class Channel:
    """Speaks with another process: hears it through the pipe *source*, and tells it through the pipe *sink*."""

    def __init__(self, source: int, sink: int, verbs: frozenset[str] | set[str]) -> None:
        self._source, self._sink = source, sink
        self._decoder = Decoder(verbs)
        self._waiting = bytearray()
        self.ended = False
        """Whether the other one has hung up."""
        self.deaf = False
        """Whether the other one hears nothing any more."""
        for end in (source, sink):
            os.set_blocking(end, False)

    def __repr__(self) -> str:
        return f"Channel({self._source}, {self._sink}, {len(self._waiting)} bytes waiting)"

    @property
    def has_room(self) -> bool:
        """Whether more data may be put behind what is waiting to be sent."""
        return len(self._waiting) < HIGH and not self.deaf

    @property
    def waits(self) -> bool:
        """Whether something waits to be sent."""
        return bool(self._waiting)

    def say(self, verb: str, *words: str, body: bytes = b"") -> None:
        """Send a message, or as much of it as the pipe takes; flush() sends the rest."""
        self._waiting += Message(verb, words, body).encoded()
        self.flush()

    def flush(self) -> None:
        """Send as much of what waits as the pipe takes."""
        while self._waiting and not self.deaf:
            try:
                sent = os.write(self._sink, self._waiting[:_PIPE])
            except BlockingIOError:
                return
            except OSError:
                self.deaf = True
                self._waiting.clear()
            else:
                del self._waiting[:sent]

    def hear(self) -> list[Message]:
        """Return the messages that have come. Raises Damaged."""
        try:
            data = os.read(self._source, READ)
        except BlockingIOError:
            return []
        except OSError:
            data = b""
        self.ended = self.ended or not data
        return self._decoder.feed(data)
