"""The watchdog: a thread of each rank that notices when ranks wait for one that does not come, and ends the run.

Between steps it costs nothing: ranks count what they begin (progress.py), and twice a second this thread looks where the
main thread stands and tells rank 0 so (beats.py). MPI is not involved, which itself may be what hangs.
"""

from __future__ import annotations

import atexit
import os
import socket
import threading
import time
from datetime import timedelta
from typing import TYPE_CHECKING

from ..failure import end_world, is_rank_process
from .beats import Hub, Spoke, addresses, listen
from .hang import HangError, Status, Verdict
from .progress import Place, drop_lines, lines, place

if TYPE_CHECKING:
    from ..world import World

DEFAULT_SECONDS = 1800.0
_SECONDS_BETWEEN_LOOKS = 0.5
_RECENT = 8
# All ranks are to write what they know before the first of them ends the others.
_SECONDS_FOR_OTHERS = 0.6

_running: Watch | None = None


def seconds_of(timeout: float | str | timedelta | None) -> float:
    """Return the *timeout* in seconds; None is ALLGRAD_TIMEOUT, or half an hour; ValueError unless it is above 0.

    >>> seconds_of(timedelta(minutes=1))
    60.0
    """
    asked = f"dist.init(timeout={timeout})"
    if timeout is None:
        timeout = os.environ.get("ALLGRAD_TIMEOUT") or DEFAULT_SECONDS
        asked = f"ALLGRAD_TIMEOUT={timeout}"
    try:
        seconds = timeout.total_seconds() if isinstance(timeout, timedelta) else float(timeout)
    except ValueError:
        seconds = 0.0
    if not seconds > 0:
        raise ValueError(f"{asked}: expected a number of seconds above 0, such as 600")
    return seconds


def watch(world: World, timeout: float) -> None:
    """Watch over *world*, whose ranks all call this."""
    global _running
    assert world.comm is not None
    listener = listen(everywhere=world.local_size < world.size) if world.rank == 0 else None
    if listener is not None:
        token = os.urandom(16).hex()
        where = world.comm.bcast((socket.gethostname(), addresses(listener), listener.getsockname()[1], token))
        _running = Watch(world.rank, timeout, Hub(listener, token, world.size))
    else:
        where = world.comm.bcast(None)
        _running = Watch(world.rank, timeout, Spoke(world.rank, *where))
    _running.start()
    atexit.register(_end_of_script)


def seconds_watched() -> float:
    """Return the timeout of the world that is watched over; that of `seconds_of` if none is."""
    return seconds_of(None) if _running is None else _running.timeout


def watch_no_longer() -> None:
    """Watch no longer: the world is left."""
    global _running
    if _running is not None:
        atexit.unregister(_end_of_script)
        _running.stop("has left the world")
        _running = None
    drop_lines()


def _end_of_script() -> None:
    if _running is not None and is_rank_process():
        _running.stop("has come to the end of its script", stay=True)


class Watch(threading.Thread):
    """Looks where this rank stands, tells the others by *beats*, and ends all ranks at a verdict."""

    def __init__(self, rank: int, timeout: float, beats: Hub | Spoke) -> None:
        super().__init__(name="allgrad-watch", daemon=True)
        self._rank, self.timeout, self._beats = rank, timeout, beats
        self._host = socket.gethostname()
        self._interval = min(_SECONDS_BETWEEN_LOOKS, timeout / 4)
        self._ended = ""
        self._seen: tuple[object, ...] = ()
        self._since = time.monotonic()

    def stop(self, ended: str, *, stay: bool = False) -> None:
        """Tell the others how this rank has *ended*, and end the thread; with *stay* rank 0 goes on until all have."""
        self._ended = ended
        self._beats.stay = stay
        self._beats.wake()
        self.join()
        self._beats.close()  # not by the thread, which may see how this rank has ended before it is woken

    def run(self) -> None:
        """Look and tell, until stopped."""
        going_on = True
        while going_on:
            status, here = self._look()
            going_on = not status.ended
            found = self._beats.exchange(status, self.timeout, self._interval)
            if found is not None:
                self._end(found, here)
            going_on = going_on or self._beats.is_needed()

    def _look(self) -> tuple[Status, Place]:
        here, now = place(), time.monotonic()
        moving = lines()
        seen = here.within, here.stack, sum(line.begun for line in moving)
        if seen != self._seen or not here.within:
            self._seen, self._since = seen, now
        waited = now - self._since
        last = None if waited >= self.timeout else _RECENT
        shown = moving if waited else []
        status = Status(
            self._rank,
            self._host,
            here.at,
            "" if self._ended else here.within,
            waited,
            {line.name: line.begun for line in moving},
            {line.name: line.ranks for line in shown},
            {line.name: list(line.recent)[-last if last else 0 :] for line in shown},
            self._ended,
        )
        return status, here

    def _end(self, found: Verdict, here: Place) -> None:
        message = found.message
        if self._rank in found.missing:
            message += "\n".join(
                [f"\nthis is rank {self._rank}, which came there by", *(f"  {line}" for line in here.stack)]
            )
        end_world(HangError(message), linger=_SECONDS_FOR_OTHERS)
