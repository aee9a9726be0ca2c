"""How ranks hear of each other beside MPI: every rank tells rank 0 its status by TCP, and rank 0 answers all."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import selectors
import socket
import struct
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from .hang import Status, Verdict, abandoned, verdict

_SIOCGIFADDR = 0x8915
# A rank that holds Python's lock in a long call cannot tell anything meanwhile, and is not dead.
_BEATS_UNTIL_SILENT = 3
_SECONDS_TO_CONNECT = 2.0
_PATIENCE_WITH_ENDED = 1.0
_LOOPBACK = "127.0.0.1"


def listen(*, everywhere: bool) -> socket.socket:
    """Return a socket that listens on a free port, of this host alone or *everywhere*."""
    listener = socket.create_server(("" if everywhere else _LOOPBACK, 0), backlog=1024)
    listener.setblocking(False)
    return listener


def addresses(listener: socket.socket) -> list[str]:
    """Return the addresses under which other ranks may reach *listener*."""
    if listener.getsockname()[0] != "0.0.0.0":  # noqa: S104 -- compared, not bound
        return [_LOOPBACK]
    found = []
    for _, name in socket.if_nameindex():
        with contextlib.suppress(OSError):  # an interface without an address
            answer = fcntl.ioctl(listener, _SIOCGIFADDR, struct.pack("256s", name.encode()[:15]))
            found.append(socket.inet_ntoa(answer[20:24]))
    return sorted(found, key=lambda address: address.startswith("127."))


class _Wire:
    """Lines of JSON over a socket that never blocks; *heard* is when the last one came."""

    def __init__(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        self.socket = connection
        self.heard = time.monotonic()
        self.rank: int | None = None
        self._unread = b""

    def send(self, what: Mapping[str, Any]) -> None:
        """Send *what*; OSError if the other side is gone, or has read nothing for very long."""
        line = json.dumps(what).encode() + b"\n"
        if self.socket.send(line) != len(line):
            raise ConnectionError("the other side does not read")

    def receive(self) -> list[dict[str, Any]]:
        """Return what has come; OSError if the other side is gone."""
        try:
            data = self.socket.recv(1 << 20)
        except BlockingIOError:
            return []
        if not data:
            raise ConnectionError("the other side has closed")
        self.heard = time.monotonic()
        *whole, self._unread = (self._unread + data).split(b"\n")
        return [json.loads(line) for line in whole]


class _Beats:
    """What both sides share: a selector that can be woken up from the main thread."""

    def __init__(self) -> None:
        self.stay = False
        self._selector = selectors.DefaultSelector()
        self._asleep, self._alarm = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._selector.register(self._asleep, selectors.EVENT_READ)

    def wake(self) -> None:
        """End the `exchange` that is under way."""
        os.write(self._alarm, b"\0")

    def _woken(self) -> bool:
        with contextlib.suppress(BlockingIOError):
            return bool(os.read(self._asleep, 64))
        return False

    def close(self) -> None:
        """Give all sockets back."""
        for key in list(self._selector.get_map().values()):
            if isinstance(key.fileobj, socket.socket):
                key.fileobj.close()
        self._selector.close()
        os.close(self._asleep)
        os.close(self._alarm)


class Hub(_Beats):
    """Rank 0's side: hears all, judges, and tells all."""

    def __init__(self, listener: socket.socket, token: str, size: int) -> None:
        super().__init__()
        self._token, self._size, self._listener = token, size, listener
        self._wires: dict[socket.socket, _Wire] = {}
        self._statuses: dict[int, Status] = {}
        self._heard: dict[int, float] = {}
        self._opened = time.monotonic()
        self._selector.register(listener, selectors.EVENT_READ)

    def exchange(self, mine: Status, timeout: float, seconds: float) -> Verdict | None:
        """Tell all that this rank lives, and hear them for *seconds*; return the verdict, if there is one to be made."""
        self._statuses[0] = mine
        self._heard[0] = time.monotonic()
        self._tell({"alive": asdict(mine)})
        deadline = time.monotonic() + seconds
        woken = False
        while not woken and (left := deadline - time.monotonic()) > 0:
            if mine.ended and not self.is_needed():
                break
            for key, _ in self._selector.select(left):
                if key.fileobj is self._listener:
                    with contextlib.suppress(OSError):
                        self._admit(self._listener.accept()[0])
                elif isinstance(key.fileobj, socket.socket):
                    self._hear(self._wires[key.fileobj])
                else:
                    woken = self._woken()
        found = self._judge(timeout, seconds)
        if found is not None:
            self._tell({"verdict": asdict(found)})
        return found

    def is_needed(self) -> bool:
        """Whether ranks are left that others may wait for, or that are about to be heard, after this one has ended."""
        if self.stay and len(self._statuses) < self._size and time.monotonic() - self._opened < _SECONDS_TO_CONNECT:
            return True
        return self.stay and any(not status.ended for rank, status in self._statuses.items() if rank)

    def _admit(self, connection: socket.socket) -> None:
        self._wires[connection] = _Wire(connection)
        self._selector.register(connection, selectors.EVENT_READ)

    def _hear(self, wire: _Wire) -> None:
        try:
            for said in wire.receive():
                if said.pop("token", None) != self._token:
                    self._drop(wire)
                    return
                status = Status.read(said)
                self._statuses[status.rank] = status
                self._heard[status.rank] = wire.heard
                wire.rank = status.rank
        except (OSError, ValueError, TypeError, AttributeError):  # what comes may be anybody's
            self._drop(wire)

    def _drop(self, wire: _Wire) -> None:
        status = self._statuses.get(-1 if wire.rank is None else wire.rank)
        if status is not None and not status.ended:
            self._statuses[status.rank] = replace(status, ended=f"is gone (it was at {status.at})")
        self._selector.unregister(wire.socket)
        del self._wires[wire.socket]
        wire.socket.close()

    def _tell(self, what: Mapping[str, Any]) -> None:
        for wire in list(self._wires.values()):
            try:
                wire.send(what)
            except OSError:
                self._drop(wire)

    def _judge(self, timeout: float, interval: float) -> Verdict | None:
        now = time.monotonic()
        known = {}
        for rank, status in self._statuses.items():
            quiet = now - self._heard[rank]
            silent = quiet if quiet > _BEATS_UNTIL_SILENT * interval and not status.ended else 0.0
            known[rank] = replace(status, silent=silent)
        for rank in set(range(self._size)) - known.keys():
            known[rank] = Status(rank, "an unknown host", "an unknown line", silent=now - self._heard[0])
        overdue = [s.rank for s in known.values() if s.within and s.waited >= timeout and not s.silent]
        return verdict(known, overdue[0]) if overdue else abandoned(known, _PATIENCE_WITH_ENDED)


class Spoke(_Beats):
    """Another rank's side: tells rank 0, and judges by itself only when that is not to be heard."""

    def __init__(self, rank: int, host: str, where: list[str], port: int, token: str) -> None:
        super().__init__()
        self._rank, self._where, self._port, self._token = rank, where, port, token
        self._wire: _Wire | None = None
        self._hub = Status(0, host, "an unknown line")
        self._heard = time.monotonic()
        self._tried = False

    def exchange(self, mine: Status, timeout: float, seconds: float) -> Verdict | None:
        """Tell rank 0 where this rank is, and hear it for *seconds*; return its verdict, or this rank's own."""
        if not self._tried:
            self._tried = True
            self._connect(silently=bool(mine.ended))
        deadline = time.monotonic() + (0 if mine.ended else seconds)
        try:
            if self._wire is not None:
                self._wire.send({"token": self._token, **asdict(mine)})
            while (left := deadline - time.monotonic()) > 0:
                for key, _ in self._selector.select(left):
                    if key.fileobj == self._asleep and self._woken():
                        return None
                    found = self._hear() if key.fileobj != self._asleep else None
                    if found is not None:
                        return found
        except (OSError, ValueError):
            self._disconnect()
        return self._judge(mine, timeout, seconds)

    def is_needed(self) -> bool:
        """Return False: rank 0 does without this rank."""
        return False

    def _connect(self, silently: bool) -> None:
        for address in self._where:
            try:
                self._wire = _Wire(socket.create_connection((address, self._port), timeout=_SECONDS_TO_CONNECT))
            except ConnectionRefusedError:
                if self._where == [_LOOPBACK]:
                    # On this host nothing but its end closes the port that rank 0 has opened.
                    self._hub = replace(self._hub, ended="has ended already")
                    return
            except OSError:
                continue
            else:
                self._selector.register(self._wire.socket, selectors.EVENT_READ)
                return
        if silently:
            return
        sys.stderr.write(
            f"allgrad: warning: the watchdog of rank {self._rank} cannot reach rank 0 at {', '.join(self._where)}, port "
            f"{self._port}: where ranks hang, it cannot tell which; let TCP pass between the hosts\n"
        )

    def _disconnect(self) -> None:
        if self._wire is not None:
            self._selector.unregister(self._wire.socket)
            self._wire.socket.close()
            self._wire = None

    def _hear(self) -> Verdict | None:
        assert self._wire is not None
        for said in self._wire.receive():
            self._heard = self._wire.heard
            if "verdict" in said:
                return Verdict(tuple(said["verdict"]["missing"]), said["verdict"]["message"])
            self._hub = Status.read(said["alive"])
        return None

    def _judge(self, mine: Status, timeout: float, interval: float) -> Verdict | None:
        if self._hub.ended and mine.within and mine.waited >= _PATIENCE_WITH_ENDED:
            return verdict({0: self._hub, mine.rank: mine}, mine.rank)
        quiet = time.monotonic() - self._heard
        if not mine.within or mine.waited < timeout or quiet < _BEATS_UNTIL_SILENT * interval:
            return None
        return verdict({0: replace(self._hub, silent=quiet), mine.rank: mine}, mine.rank)
