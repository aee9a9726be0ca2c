"""Keeps the ranks of an attempt elsewhere: ``python -m allgrad.server.supervisor.keeper JOB ATTEMPT GRACE PATIENCE [PID]``.

The supervisor starts it over ssh on another host, or under another account, whose processes only that may end: then *PID*,
the supervisor's, tells of further ones, which descend from it. The supervisor says `beat` again and again, which it answers.
When it is told `end GRACE`, or has heard nothing for PATIENCE seconds, it ends every process of the attempt that it may end.
So no rank outlives its supervisor by more, whatever became of that, of its machine, or of the network between. Where the
server's folder is not shared it is also told what to `carry`, and sends what the ranks write until the supervisor has it.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time
from functools import partial
from pathlib import Path

from ..delivery.channel import Channel, Damaged, Message
from ..delivery.departures import ANSWERS, OFFERS
from . import processes
from .cargo import ALL, BEGIN, CARRY, REST, SAFE, Cargo
from .carrier import Carrier

BEAT = "beat"
END = "end"
ENDED = "ended"
_EVERY = 0.5
_LOOK = 0.05
"""Seconds between looks at what there is to be sent."""
_HEARD = OFFERS | ANSWERS | {BEAT, END, CARRY, BEGIN, SAFE}
_MODULE = b"allgrad.server.supervisor.keeper"


def main() -> None:
    """Keep the attempt that the arguments name."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    job_id, attempt, grace, patience, *supervisor = sys.argv[1:]
    Keeper(job_id, int(attempt), float(grace), float(patience), *map(int, supervisor)).keep()


class Keeper:
    """What one keeper has heard, and does about it; *grace* and *patience* in seconds, *supervisor*: 0 on another host."""

    def __init__(self, job_id: str, attempt: int, grace: float, patience: float, supervisor: int = 0) -> None:
        self._tagged = partial(processes.started_ranks, job_id, attempt)
        self._supervisor = supervisor
        self._grace, self._patience = grace, patience
        self._channel = Channel(0, 1, _HEARD)
        self._carrier: Carrier | None = None
        self._heard = time.monotonic()
        self._beaten = 0.0
        self._told: float | None = None
        """The grace time that it was told to end with."""
        self._helpers: frozenset[str] = frozenset()
        """The names of processes that end by themselves once the ranks have."""
        self._ending = self._safe = False

    def __repr__(self) -> str:
        return f"Keeper({self._channel}, {self._carrier})"

    def keep(self) -> None:
        """Answer the supervisor until it says `end`, or says nothing for too long; then end the ranks, and say so."""
        while self._told is None and not self._is_forsaken:
            self._attend(self._heard + self._patience - time.monotonic())
        if self._told is None and _relieved():
            return
        self._ending = True
        processes.end(
            self._ranks,
            self._grace if self._told is None else self._told,
            spare=lambda process: process.name in self._helpers,
            meanwhile=self._attend,
        )
        self._deliver()
        self._channel.say(ENDED)
        while self._is_heard and self._channel.waits:
            self._attend(_LOOK)

    def _ranks(self) -> list[processes.Process]:
        found = {process.pid: process for process in self._tagged()}
        if self._supervisor:
            found |= {process.pid: process for process in processes.descendants(self._supervisor)}
        own = os.getpid(), os.getuid()
        return [each for each in found.values() if each.pid != own[0] and processes.owner(each) == own[1]]

    @property
    def _is_forsaken(self) -> bool:
        return time.monotonic() > self._heard + self._patience

    @property
    def _is_heard(self) -> bool:
        return not (self._is_forsaken or self._channel.ended or self._channel.deaf)

    def _deliver(self) -> None:
        """Send what is left to be sent, and forget it once the supervisor says that it is safe there."""
        if self._carrier is None:
            return
        self._channel.say(REST, str(self._carrier.room))
        self._carrier.move(final=True)
        while not (done := self._carrier.is_done()) and self._is_heard:
            self._attend(_LOOK)
        if done:
            self._channel.say(ALL)
        while self._is_heard and not self._safe:
            self._attend(_LOOK)
        if self._safe:
            self._carrier.forget()

    def _attend(self, longest: float = 0.0) -> None:
        """Hear, answer and send, for up to *longest* seconds if there is nothing to do."""
        channel = self._channel
        wait = max(0.0, min(longest, _LOOK) if self._carrier is not None else longest)
        heard = [] if channel.ended else [0]
        if heard or wait:
            select.select(heard, [1] if channel.waits else [], [], wait)
        for message in self._messages():
            self._heard = time.monotonic()
            self._obey(message)
        if self._ending and time.monotonic() > self._beaten + _EVERY:
            self._beat()
        if self._carrier is not None:
            self._carrier.move()
        channel.flush()

    def _messages(self) -> list[Message]:
        if self._channel.ended:
            return []
        try:
            return self._channel.hear()
        except Damaged:  # it hears that we hang up, and comes back; until then, or for too long, we keep the ranks
            self._channel.ended = True
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            return []

    def _obey(self, message: Message) -> None:
        carrier = self._carrier
        match message.verb:
            case "beat":
                self._beat()
            case "end":
                self._told, self._helpers = float(message.words[0]), frozenset(message.words[1:])
            case "carry":
                self._carrier = Carrier(Cargo.from_word(message.words[0]), self._channel)
            case "begin" if carrier is not None:
                carrier.begin()
            case "safe":
                self._safe = True
            case verb if carrier is not None and verb in ANSWERS:
                carrier.hear(message)
            case verb if carrier is not None and verb in OFFERS:
                carrier.take(message)

    def _beat(self) -> None:
        self._beaten = time.monotonic()
        self._channel.say(BEAT)


def _relieved() -> bool:
    """Return whether the supervisor has come back since, and has a younger keeper here."""
    own = processes.find(os.getpid())
    assert own is not None
    words = [_MODULE, *map(os.fsencode, sys.argv[1:3])]
    length = len(sys.argv)
    younger = (each for each in processes.everything() if (each.start, each.pid) > (own.start, own.pid))
    return any(words == _command_of(each.pid)[-length:][:3] for each in younger)


def _command_of(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[:-1]
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return []


if __name__ == "__main__":
    main()
