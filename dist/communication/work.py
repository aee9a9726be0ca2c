"""How a collective operation is carried out: at once, or asynchronously while the caller goes on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from allgrad.autograd.graph import Handle, add_between_operations

from ..observation.spans import waiting
from ..world import Group
from .agreement import Announcement, agree
from .future import Future
from .under_way import UnderWay

_SECONDS_BETWEEN_LOOKS = 50e-6


@dataclass(frozen=True)
class Collective:
    """One collective operation as this rank sees it."""

    what: str
    """What all ranks must agree on: its name and what belongs to it."""
    calls: Iterable[tuple[str, tuple[Any, ...]]]
    """The methods of the communicator that carry it out, by the names of the blocking ones, and their arguments; drawn
    one by one as they are made, or all at once for an asynchronous operation."""
    finish: Callable[[], None]
    """Puts the result where the caller expects it; in a group of one it is called without any calls."""
    results: Sequence[Any] = ()
    """The Tensors that then hold it."""


class Work:
    """An operation that goes on by itself; `wait` for it before its Tensors are read or changed.

    MPI moves on only when it is called: by `wait`, `is_completed`, any other operation of its group, between the
    operations of a backward pass, and by a thread where none of these comes for long (`under_way`).
    """

    def __init__(self, group: Group, collective: Collective) -> None:
        self._group, self._collective = group, collective
        self._under_way: UnderWay | None = None
        self._done = False
        self._polling: Handle | None = None
        self._announcement = Announcement(group, f"asynchronous {collective.what}", self._start)
        if group.comm is not None:
            self._polling = add_between_operations(self._poll)

    def is_completed(self) -> bool:
        """Return whether the result is there; never waits."""
        if not self._done and self._announcement.is_answered() and self._started().is_over():
            self._finish()
        return self._done

    def wait(self, timeout: timedelta | None = None) -> bool:
        """Wait for the result, and return True.

        Raises TimeoutError if it takes longer than *timeout* (default: for ever), and RuntimeError on every rank if
        the ranks have not all made this call.
        """
        if timeout is not None:
            self._wait_until(time.monotonic() + timeout.total_seconds())
        if not self._done:
            with waiting(self._collective.what):
                self._announcement.settle()
                self._started().wait()
            self._finish()
        return True

    def get_future(self) -> Future:
        """Return the future of the list of Tensors with the result: of `all_reduce` and `broadcast`; of others an empty one."""

        def complete() -> list[Any]:
            self.wait()
            return list(self._collective.results)

        return Future(complete)

    def _wait_until(self, deadline: float) -> None:
        with waiting(self._collective.what):
            while not self.is_completed():
                if time.monotonic() > deadline:
                    raise TimeoutError(f"{self._collective.what}: not all ranks have made this call in time")
                time.sleep(_SECONDS_BETWEEN_LOOKS)

    def _start(self) -> None:
        comm = self._group.comm
        if comm is None:
            return self._finish()
        calls = self._collective.calls
        self._under_way = UnderWay(comm, [getattr(comm, f"I{name.lower()}")(*given) for name, given in calls])
        return None

    def _started(self) -> UnderWay:
        if self._under_way is None:
            raise RuntimeError(f"{self._collective.what} was never started: the ranks had disagreed about it")
        return self._under_way

    def _poll(self) -> None:
        if self._announcement.is_refused():  # which is no matter of this backward pass
            self._poll_no_longer()
        else:
            self.is_completed()

    def _poll_no_longer(self) -> None:
        if self._polling is not None:
            self._polling.remove()

    def _finish(self) -> None:
        self._done = True
        self._poll_no_longer()
        self._collective.finish()


def carry_out(group: Group, collective: Collective, async_op: bool = False) -> Work | None:
    """Carry out *collective* by all ranks of *group*; with *async_op* only begin it, and return its Work."""
    if async_op:
        return Work(group, collective)
    with waiting(collective.what):
        agree(group, collective.what)
        if group.comm is not None:
            for name, arguments in collective.calls:
                getattr(group.comm, name)(*arguments)
    collective.finish()
    return None
