"""One keeper as its supervisor speaks with it: through an ssh that may break, and is started again."""

from __future__ import annotations

import fcntl
import os
import signal
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from ..delivery.arrivals import Arrivals, Refused
from ..delivery.channel import Channel, Damaged, Message
from ..delivery.departures import ANSWERS, OFFERS, Departures
from ..jobs.accounts import Account
from ..jobs.hosts import Host
from .cargo import ALL, BEGIN, CARRY, READY, REST, SAFE, TROUBLE, Cargo
from .keeper import BEAT, END, ENDED

AGAIN = 2.0
"""Seconds between attempts to come back to a host."""
_ANEW = 1 / 3
"""The share of the patience after which a connection that is silent is taken for dead, and made again: what TCP sends
once more after an outage may come as much later as that was long."""
_LEAST_SILENCE = 5.0
"""Seconds of silence that a host which is only busy may need."""
_HEARD = OFFERS | ANSWERS | {BEAT, ENDED, READY, TROUBLE, REST, ALL}
_PIPE = 1 << 20
_AT_ONCE = 64
"""Reads after which others have their turn."""


class Contact:
    """One keeper of ranks in *place*, started by *command* with *environ*.

    *patience*: seconds of silence after which the place is lost.
    """

    def __init__(self, place: Host | Account, command: list[str], environ: Mapping[str, str], patience: float) -> None:
        self.name, self.title, self.pid = place.name, place.title, 0
        self.answered = self.ended = self.ready = self.busy = False
        self.heard = self.said = self.tried = time.monotonic()
        self.trouble = ""
        """Why ranks cannot start there, as the keeper told it."""
        self.stuck = ""
        """Why what came last could not be written here, in words."""
        self.room: int | None = None
        """The bytes that ranks could still have written there, once they have ended."""
        self._command, self._environ, self._patience = command, environ, patience
        self._ending = False
        self._channel: Channel | None = None
        self._ends: tuple[int, ...] = ()
        self._process: int | None = None
        """The ssh, by a handle that no other process can inherit."""
        self._words = b""
        self._cargo: Cargo | None = None
        self._folder = Path()
        self._arrivals: Arrivals | None = None
        self._departures: Departures | None = None
        self._begun = False

    def __repr__(self) -> str:
        return f"Contact({self.name}, pid={self.pid}, ended={self.ended})"

    @property
    def connected(self) -> bool:
        """Whether an ssh runs."""
        return self._channel is not None

    @property
    def absent(self) -> bool:
        """Whether it is time to connect anew: nothing is connected, or what is has been silent for long."""
        now = time.monotonic()
        if self.connected:
            silent = max(_LEAST_SILENCE, self._patience * _ANEW)
            return now - self.heard > silent and now - self.tried > silent
        return now - self.tried > AGAIN

    @property
    def carries(self) -> bool:
        """Whether the host does not share the server's folder."""
        return self._cargo is not None

    @property
    def lost(self) -> bool:
        """Whether nothing has been heard for too long."""
        return not self.ended and time.monotonic() - self.heard > self._patience

    def loss(self) -> str:
        """How the host was lost, in words."""
        details = [f"for the {self._patience:g} s of serve --host-patience", *filter(None, [self.last_words()])]
        return f"{self.title} is lost: nothing is heard of it any more ({'; '.join(details)})"

    def last_words(self) -> str:
        """What ssh, or the keeper, said last that was no message."""
        lines = [line.strip() for line in self._words.splitlines() if line.strip()]
        return lines[-1].decode(errors="replace") if lines else ""

    def carry(self, cargo: Cargo, folder: Path) -> None:
        """Have it send what ranks write there into *folder*, the server's of the job, whenever it is connected."""
        self._cargo, self._folder = cargo, folder
        self._arrivals = Arrivals(folder, cargo.coming, folder / cargo.aside(self.name))

    def connect(self) -> None:
        """Start a keeper, and begin to speak with it."""
        self.close()
        stdin, to = os.pipe2(os.O_CLOEXEC)
        source, stdout = os.pipe2(os.O_CLOEXEC)
        words, stderr = os.pipe2(os.O_CLOEXEC)
        places = [(os.POSIX_SPAWN_DUP2, end, number) for end, number in ((stdin, 0), (stdout, 1), (stderr, 2))]
        try:
            # Neither a fork in a process with threads, nor our mask of signals: it ends by itself when we do.
            self.pid = os.posix_spawnp(
                self._command[0], self._command, self._environ, file_actions=places, setpgroup=0, setsigmask=()
            )
            self._process = os.pidfd_open(self.pid)
        except OSError as error:
            self._words = f"{self._command[0]}: {error.strerror}".encode()
        for end in (stdin, stdout, stderr):
            os.close(end)
        os.set_blocking(words, False)
        with suppress(OSError):  # this user may have no more memory for pipes
            fcntl.fcntl(source, fcntl.F_SETPIPE_SZ, _PIPE)
        self._ends = (to, source, words)
        self._channel = Channel(source, to, _HEARD)
        self._ending = False
        self.tried = time.monotonic()
        self._say(BEAT)
        if self._cargo is not None:
            self._say(CARRY, self._cargo.to_word())

    def bring(self, names: list[str]) -> None:
        """Have the host get the files *names* of the cargo, and whatever else the ranks need; then it is ready."""
        assert self._cargo is not None
        assert self._channel is not None
        self._departures = Departures(self._folder, self._channel)
        for name in names:
            self._departures.offer(name)

    def close(self) -> None:
        """Hang up."""
        for end in self._ends:
            os.close(end)
        if self._process is not None:
            # It has ended by itself, unless the network is gone; what is another account's hears that we have hung up.
            with suppress(ProcessLookupError, PermissionError):
                signal.pidfd_send_signal(self._process, signal.SIGTERM)
            os.close(self._process)
            self._process = None
        self._ends, self._channel, self._departures = (), None, None

    def tend(self) -> None:
        """Say that we are here, if it is time, and hear what has come."""
        self.busy = False
        quiet = self._ending and not self.carries
        if not quiet and not self.lost and time.monotonic() - self.said > min(AGAIN, self._patience / 6):
            self._say(BEAT)
        for _ in range(_AT_ONCE):
            if not self._hear():
                break
        if self._departures is not None:
            self._departures.move()
            if self._departures.done and not self._begun:
                self._begun = True
                self._say(BEGIN)
        if self._channel is not None:
            self._channel.flush()

    def end(self, grace: float, helpers: Iterable[str] = ()) -> None:
        """Tell it to end what it keeps, once; *helpers*: the names of processes that end by themselves after the others."""
        if self.connected and not self._ending:
            self._say(END, f"{grace:g}", *helpers)
            self._ending = True

    def _say(self, verb: str, *words: str) -> None:
        if self._channel is not None:
            self.said = time.monotonic()
            self._channel.say(verb, *words)

    def _hear(self) -> bool:
        """Hear what has come, and return whether there may be more."""
        if self._channel is None:
            return False
        try:
            messages = self._channel.hear()
            for message in messages:
                self._obey(message)
        except (Damaged, Refused, OSError, ValueError, IndexError) as error:
            # It is asked again where to go on, which a disk that is full outlives too.
            if isinstance(error, OSError):
                self.stuck = error.strerror or str(error)
            self._words = f"{type(error).__name__}: {error}".encode()
            self.close()
            return False
        self._hear_words()
        if self._channel.ended:
            self.close()
        return bool(messages)

    def _hear_words(self) -> None:
        try:
            self._words = (self._words + os.read(self._ends[-1], 1 << 12))[-1 << 12 :]
        except BlockingIOError:
            return

    def _obey(self, message: Message) -> None:
        if not message.verb:
            self._words = (self._words + b"\n" + message.body)[-1 << 12 :]
            return
        self.answered, self.heard = True, time.monotonic()
        match message.verb:
            case "ended":
                self.ended = True
            case "ready":
                self.ready = True
            case "rest":
                self.room = int(message.words[0])
            case "trouble":
                self.trouble = message.words[0]
            case "all" if self._arrivals is not None:
                self._arrivals.settle()
                self._say(SAFE)
            case verb if verb in ANSWERS and self._departures is not None:
                self._departures.hear(message)
            case verb if verb in OFFERS and self._arrivals is not None:
                self.busy = True
                answer = self._arrivals.take(message)
                if answer is not None:
                    self._say(answer.verb, *answer.words)
