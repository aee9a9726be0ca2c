"""Operations of MPI that go on while a rank computes, and the thread that sees to it where an operation takes long.

MPI moves a message on only when it is called. A backward pass calls it between its operations, which costs nothing and
is enough where these are short. Where one takes longer than the network needs for what MPI has handed to it, the
network would stand still: there a thread calls MPI in the meantime.
"""

from __future__ import annotations

import atexit
import math
import os
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING
from weakref import WeakSet

from ..world import mpi

if TYPE_CHECKING:
    from mpi4py import MPI

SETTING = "ALLGRAD_PROGRESS_THREAD"
_LONG = 2e-3
"""Seconds without a call of MPI from which on this rank is taken to compute for long."""
_PERIOD = 1e-3
"""Seconds between two calls of the thread."""
_REMEMBERED = 100
"""How many times the thread helps after this rank has computed for long."""


class UnderWay:
    """Operations on *comm*, started together: they go on when this is asked, and by a thread if it is not for long."""

    def __init__(self, comm: MPI.Comm, requests: Sequence[MPI.Request]) -> None:
        self.comm = comm
        self._requests = list(requests)
        _thread.help_with(self)

    def is_over(self) -> bool:
        """Let them go on, and return whether all have come to their end."""
        _thread.main_enters()
        over = bool(mpi().Request.Testall(self._requests))
        _thread.main_leaves()
        if over:
            _thread.leave(self)
        return over

    def wait(self) -> None:
        """Wait for the end of all."""
        _thread.main_enters()
        mpi().Request.Waitall(self._requests)
        _thread.main_leaves()
        _thread.leave(self)


class _ProgressThread:
    """Calls MPI while something is under way and this rank does not, once that was seen to take long.

    It takes no part in any operation: it only asks for messages (``MPI_Iprobe``), and MPI goes on with all it has meanwhile.
    It is started when it is wanted first, and needs an MPI that several threads may call at once.
    """

    def __init__(self) -> None:
        self._under_way: WeakSet[UnderWay] = WeakSet()
        self._lock = threading.Lock()  # guards the set; who leaves it is no longer being asked about
        self._wake = threading.Event()
        self._left = math.inf
        self._wanted = 0
        self._thread: threading.Thread | None = None
        self._ended = False

    def help_with(self, operations: UnderWay) -> None:
        """See to *operations* from now on."""
        with self._lock:
            self._under_way.add(operations)
        self.main_leaves()
        if self._wanted:
            self._wanted -= 1
            self._start()
            self._wake.set()

    def main_enters(self) -> None:
        """Note that this rank is about to call MPI by itself, where no help is wanted, and whether it took long to come."""
        if time.perf_counter() - self._left > _LONG:
            self._wanted = _REMEMBERED
        self._left = math.inf

    def main_leaves(self) -> None:
        """Note that this rank computes again."""
        self._left = time.perf_counter()

    def leave(self, operations: UnderWay) -> None:
        """See to *operations* no longer."""
        with self._lock:
            self._under_way.discard(operations)

    def _start(self) -> None:
        if self._thread is None and _is_allowed():
            self._thread = threading.Thread(target=self._run, name="allgrad-progress", daemon=True)
            self._thread.start()
            atexit.register(self._end)

    def _run(self) -> None:
        while not self._ended:
            self._wake.wait()
            time.sleep(_PERIOD)
            with self._lock:
                self._help()

    def _help(self) -> None:
        operations = next(iter(self._under_way), None)
        if operations is None:
            self._wake.clear()
        elif time.perf_counter() - self._left > _PERIOD and not mpi().Is_finalized():
            with suppress(mpi().Exception):  # of a rank that has died, say: who waits for the operation is told
                operations.comm.Iprobe()

    def _end(self) -> None:
        """Be out of MPI before it is finalized."""
        assert self._thread is not None
        self._ended = True
        self._wake.set()
        self._thread.join()


def _is_allowed() -> bool:
    return mpi().Query_thread() == mpi().THREAD_MULTIPLE and os.environ.get(SETTING, "1") != "0"


_thread = _ProgressThread()
