"""Ranks on other hosts or under another account: the keepers by which they are heard of, ended, or known to be lost."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from ..errors import HostUnreachable
from ..jobs.accounts import Account
from ..jobs.hosts import Host
from ..launchers import reach
from .attempt import Order, RunDir
from .cargo import Cargo
from .contact import AGAIN, Contact

_MODULE = "allgrad.server.supervisor.keeper"
_TICK = 0.05
BUSY_TICK = 0.005
"""Seconds between looks while files are coming."""
_LONGEST_SILENCE = 60.0
"""Seconds of silence after which a host that is asked for what it still has is left for later."""
_LONGEST_START = 600.0
"""Seconds that a host may take to unpack what its ranks need."""
_NO_ROOM = 1 << 20
"""Bytes with less of which a disk counts as full."""
_SLACK = 5.0
"""Seconds that a keeper may take to end what ignores everything but SIGKILL."""


def sweep(order: Order) -> None:
    """End what an attempt without a supervisor left elsewhere; wait for the keepers of what cannot be reached."""
    over = time.monotonic() + _lease(order)
    places, tag = order.elsewhere, (order.job_id, order.attempt)
    while reach.sweep(places, *tag, order.grace, os.environ) and time.monotonic() < over:
        time.sleep(AGAIN)


def gather(run: RunDir) -> bool:
    """Fetch what ranks without the server's folder have left of an attempt that has ended; return whether that was all.

    From where stays written down until whoever asked has made use of what came.
    """
    owed = run.owed()
    if not owed:
        return True
    if run.supervisor() is not None:
        return False
    order = run.order()
    order = replace(order, host_patience=min(order.host_patience, _LONGEST_SILENCE))
    elsewhere = Elsewhere(order, [place for place in order.elsewhere if place.name in owed])
    elsewhere.carry(owed, replace(Cargo.of(order, run), late=True), run.path.parent)
    elsewhere.collect()
    if elsewhere.owing:
        run.note_owed(elsewhere.owing)
    return not elsewhere.owing


def _lease(order: Order) -> float:
    """Return the seconds of silence after which nothing of an attempt can be left elsewhere, reached or not."""
    return order.grace + order.host_patience + _SLACK


class Elsewhere:
    """What a supervisor knows of the ranks of *order* that are in *places*; with none there is nothing to do.

    *supervisor*: its process, from which the processes of another account descend; 0: they have ended.
    """

    def __init__(self, order: Order, places: Sequence[Host | Account], supervisor: int = 0) -> None:
        grace, patience = order.grace, order.host_patience
        words = ["-m", _MODULE, order.job_id, str(order.attempt), str(grace), str(patience)]
        self._contacts = []
        for place in places:
            if not place.local:
                known = [str(supervisor)] if isinstance(place, Account) else []
                command = reach.python_on(place, [*words, *known], os.environ)
                self._contacts.append(Contact(place, command, reach.environment(place, os.environ), patience))
        self._lease = _lease(order)

    def __repr__(self) -> str:
        return f"Elsewhere({', '.join(contact.name for contact in self._contacts)})"

    @property
    def pids(self) -> set[int]:
        """The processes of this machine through which the keepers are spoken with."""
        return {contact.pid for contact in self._contacts}

    @property
    def busy(self) -> bool:
        """Whether files were coming when the keepers were last heard."""
        return any(contact.busy for contact in self._contacts)

    @property
    def full(self) -> list[str]:
        """The hosts without the server's folder on which ranks could write no more when they ended."""
        return [contact.name for contact in self._contacts if contact.room is not None and contact.room < _NO_ROOM]

    @property
    def stuck(self) -> str:
        """Why something that was sent could not be written here, in words, or ""."""
        return next((contact.stuck for contact in self._contacts if contact.stuck and not contact.ended), "")

    @property
    def owing(self) -> list[str]:
        """The places without the server's folder that may still have something which is not there."""
        return [contact.name for contact in self._contacts if contact.carries and not contact.ended]

    def carry(self, apart: Collection[str], cargo: Cargo, folder: Path) -> None:
        """Have the places named *apart*, which do not share the server's *folder* of the job, send what *cargo* says."""
        for contact in self._contacts:
            if contact.name in apart:
                contact.carry(cargo, folder)

    def begin(self, brought: Sequence[str] = (), asked: Callable[[], object] = lambda: False) -> None:
        """Return once there is a keeper everywhere, and all that ranks need, or when it is *asked* to end.

        *brought*: the files that places without the server's folder get. Raises HostUnreachable.
        """
        for contact in self._contacts:
            contact.connect()
            if contact.carries:
                contact.bring(list(brought))
        while (waiting := [each for each in self._contacts if not _is_begun(each)]) and not asked():
            for contact in waiting:
                contact.tend()
                longest = _LONGEST_START if contact.answered else reach.TIMEOUT
                if contact.trouble or not contact.connected or time.monotonic() > contact.heard + longest:
                    found = contact.trouble or contact.last_words()
                    raise HostUnreachable(f"cannot keep ranks of {contact.title}", found)
            time.sleep(_TICK / 5)

    def tend(self) -> str:
        """Speak with the keepers; return which place is lost, and how, or ""."""
        for contact in self._contacts:
            contact.tend()
            if contact.absent and not contact.ended:
                contact.connect()
        return next((contact.loss() for contact in self._contacts if contact.lost), "")

    def end(self, grace: float, helpers: Iterable[str] = ()) -> None:
        """Have all processes of the attempt ended, those named as *helpers* after the others; settle() waits for that."""
        for contact in self._contacts:
            contact.end(grace, helpers)

    def settle(self, grace: float, meanwhile: Callable[[], None]) -> str:
        """Return once nothing of the attempt can be left anywhere, and which place was lost, if one was."""
        lost, over = "", set()
        while waiting := [each for each in self._contacts if not each.ended and each.name not in over]:
            for contact in waiting:
                if contact.absent and not contact.lost:
                    contact.connect()
                contact.end(grace)
                contact.tend()
                if contact.lost:
                    lost = lost or contact.loss()
                # What there is no room for here is left to the server, which fetches it when there is.
                left = contact.room is not None and contact.stuck
                if left or time.monotonic() > contact.said + self._lease:
                    over.add(contact.name)
            meanwhile()
            time.sleep(BUSY_TICK if self.busy else _TICK)
        return lost

    def give_up(self) -> None:
        """Have an attempt that could not be started forgotten wherever there is something of it."""
        for contact in self._contacts:
            contact.ended = not contact.answered
        self.settle(0.0, lambda: None)

    def collect(self) -> None:
        """Get what is left elsewhere of an attempt that has ended, as far as that can be reached now."""
        for contact in self._contacts:
            contact.connect()
            contact.end(0.0)
        while waiting := [each for each in self._contacts if each.connected and not each.ended and not each.lost]:
            for contact in waiting:
                contact.tend()
            time.sleep(BUSY_TICK if self.busy else _TICK)
        for contact in self._contacts:
            contact.close()
            if contact.pid:
                os.waitpid(contact.pid, 0)


def _is_begun(contact: Contact) -> bool:
    return contact.ready if contact.carries else contact.answered
