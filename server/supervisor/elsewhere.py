"""The other hosts of an attempt: a keeper on each, by which it is heard of, told to end, or known to be lost."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence

from ..errors import HostUnreachable
from ..jobs.hosts import Host
from ..launchers import reach
from .keeper import BEAT, END, ENDED

_MODULE = "allgrad.server.supervisor.keeper"
_TICK = 0.05
_AGAIN = 2.0
"""Seconds between attempts to come back to a host."""
_SLACK = 5.0
"""Seconds that a keeper may take to end what ignores everything but SIGKILL."""


def sweep(hosts: Sequence[Host], job_id: str, attempt: int, grace: float, patience: float) -> None:
    """End what an attempt without a supervisor left on *hosts*; wait for the keepers of those that cannot be reached."""
    over = time.monotonic() + _lease(grace, patience)
    while reach.sweep(hosts, job_id, attempt, grace, os.environ) and time.monotonic() < over:
        time.sleep(_AGAIN)


def _lease(grace: float, patience: float) -> float:
    """Return the seconds of silence after which nothing of an attempt can be left on a host, reached or not."""
    return grace + patience + _SLACK


class Elsewhere:
    """What a supervisor knows of the hosts other than its own; with none there is nothing to do.

    *patience*: seconds of silence after which a host counts as lost, and after which its keeper ends the ranks.
    """

    def __init__(
        self, hosts: Sequence[Host], tag: tuple[str, int], grace: float, patience: float, environ: Mapping[str, str]
    ) -> None:
        words = ["-m", _MODULE, tag[0], str(tag[1]), str(grace), str(patience)]
        self._keepers = [
            _Keeper(host.name, reach.python_on(host, words, environ), patience) for host in hosts if not host.local
        ]
        self._lease = _lease(grace, patience)

    def __repr__(self) -> str:
        return f"Elsewhere({', '.join(keeper.name for keeper in self._keepers)})"

    @property
    def pids(self) -> set[int]:
        """The processes of this machine through which the keepers are spoken with."""
        return {keeper.pid for keeper in self._keepers}

    def begin(self) -> None:
        """Return once there is a keeper on every host. Raises HostUnreachable."""
        deadline = time.monotonic() + reach.TIMEOUT
        for keeper in self._keepers:
            keeper.connect()
        while waiting := [keeper for keeper in self._keepers if not keeper.answered]:
            for keeper in waiting:
                keeper.tend()
                if not keeper.connected or time.monotonic() > deadline:
                    raise HostUnreachable(f"cannot keep ranks on the host {keeper.name}", keeper.last_words())
            time.sleep(_TICK)

    def tend(self) -> str:
        """Speak with the keepers; return which host is lost, and how, or ""."""
        for keeper in self._keepers:
            keeper.tend()
            if not keeper.connected and time.monotonic() - keeper.tried > _AGAIN and not keeper.ended:
                keeper.connect()
        return next((keeper.loss() for keeper in self._keepers if keeper.lost), "")

    def end(self, grace: float) -> None:
        """Have all processes of the attempt ended; settle() waits for that."""
        for keeper in self._keepers:
            keeper.end(grace)

    def settle(self, grace: float, meanwhile: Callable[[], None]) -> str:
        """Return once nothing of the attempt can be left on any host, and which of them was lost, if one was."""
        for keeper in self._keepers:
            if not keeper.connected and not keeper.ended and not keeper.lost:
                keeper.connect()
        lost = ""
        while waiting := [keeper for keeper in self._keepers if not keeper.ended]:
            for keeper in waiting:
                keeper.end(grace)
                keeper.tend()
                if not keeper.ended and (keeper.lost or not keeper.connected):
                    lost = lost or keeper.loss()
                if time.monotonic() > keeper.said + self._lease:
                    keeper.ended = True
            meanwhile()
            time.sleep(_TICK)
        return lost


class _Keeper:
    """One keeper, as it is spoken with."""

    def __init__(self, name: str, command: list[str], patience: float) -> None:
        self.name, self.pid = name, 0
        self.answered = self.ended = self.connected = False
        self.heard = self.said = self.tried = time.monotonic()
        self._command, self._patience = command, patience
        self._to = self._from = -1
        self._ending = False
        self._rest = b""
        self._words: list[bytes] = []

    @property
    def lost(self) -> bool:
        """Whether nothing has been heard for too long."""
        return not self.ended and time.monotonic() - self.heard > self._patience

    def loss(self) -> str:
        """How the host was lost, in words."""
        words = self.last_words()
        return f"the host {self.name} is lost: nothing is heard of it any more" + (f" ({words})" if words else "")

    def last_words(self) -> str:
        """What ssh said last."""
        return self._words[-1].decode(errors="replace") if self._words else ""

    def connect(self) -> None:
        """Start a keeper, and begin to speak with it."""
        self._close()
        stdin, self._to = os.pipe2(os.O_CLOEXEC)
        self._from, stdout = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self._to, False)
        os.set_blocking(self._from, False)
        places = [(os.POSIX_SPAWN_DUP2, end, number) for end, number in ((stdin, 0), (stdout, 1), (stdout, 2))]
        try:
            # Neither a fork in a process with threads, nor our mask of signals: it ends by itself when we do.
            self.pid = os.posix_spawnp(
                self._command[0], self._command, os.environ, file_actions=places, setpgroup=0, setsigmask=()
            )
        except OSError as error:
            self._words = [f"{self._command[0]}: {error.strerror}".encode()]
        os.close(stdin)
        os.close(stdout)
        self.connected, self._ending, self._rest = True, False, b""
        self.tried = time.monotonic()
        self._say(BEAT)

    def _close(self) -> None:
        for end in (self._to, self._from):
            if end >= 0:
                os.close(end)
        self._to = self._from = -1
        self.connected = False

    def tend(self) -> None:
        """Say that we are here, if it is time, and hear what has come."""
        if self.connected and not self._ending and time.monotonic() - self.said > min(_AGAIN, self._patience / 6):
            self._say(BEAT)
        while self.connected and self._hear():
            pass

    def end(self, grace: float) -> None:
        """Tell it to end what it keeps, once."""
        if self.connected and not self._ending:
            self._say(f"{END} {grace:g}")
            self._ending = True

    def _say(self, word: str) -> None:
        self.said = time.monotonic()
        try:
            os.write(self._to, word.encode() + b"\n")
        except BlockingIOError:
            return  # it has not taken the words before; its silence will tell
        except BrokenPipeError:
            return  # what it said last is still to be read

    def _hear(self) -> bool:
        try:
            data = os.read(self._from, 1 << 12)
        except BlockingIOError:
            return False
        if not data:
            self._close()
            return False
        *words, self._rest = (self._rest + data).split(b"\n")
        for word in words:
            if word in (BEAT.encode(), ENDED.encode()):
                self.answered, self.heard = True, time.monotonic()
                self.ended = self.ended or word == ENDED.encode()
            elif word.strip():
                self._words = [word.strip()]
        return True
