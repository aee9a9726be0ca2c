"""The one thread that writes: it takes all waiting changes together and makes them durable by one commit."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any, TypeVar

import apsw

from ..access.rules import Act, current
from ..errors import AllgradError, ServerBusy
from ..failpoints import reach
from ..home import Home
from . import grants
from .schema import METRICS, STATE, open_to_write

Result = TypeVar("Result")

URGENT_AT_ONCE = 256
"""Changes of jobs in one commit."""
ROWS_AT_ONCE = 2000
"""Rows of metrics in one commit, about."""


class Transaction:
    """Both databases, inside a transaction, and the cursors of the jobs."""

    def __init__(self, home: Home) -> None:
        self.state = open_to_write(home.state_db, STATE)
        self._metrics = open_to_write(home.metrics_db, METRICS, check=False)  # that is Store.check_metrics()
        self._cursors: dict[int, int] = {}

    def next_cursor(self, job: int) -> int:
        """Return the cursor of the next event of job number *job*: above all that a watcher ever saw."""
        last = self._cursors.get(job)
        if last is None:
            sql = "SELECT coalesce(max(cursor), 0) FROM events WHERE job = ?"
            last = max(int(database.execute(sql, (job,)).get) for database in (self.state, self.metrics))
        self._cursors[job] = last + 1
        return last + 1

    @property
    def metrics(self) -> apsw.Connection:
        """The database of the metrics, which takes part once it is asked for."""
        if not self._metrics.in_transaction:
            self._metrics.execute("BEGIN")
        return self._metrics

    def expect_none(self, job: int) -> None:
        """Take note that job number *job* is new, so that there is no event of it."""
        self._cursors[job] = 0

    def forget(self, job: int) -> None:
        """Let go of the cursor of job number *job*, which is deleted."""
        self._cursors.pop(job, None)

    def begin(self) -> None:
        """Begin, as far as is known to be needed."""
        self.state.execute("BEGIN")

    def commit(self) -> None:
        """Make both durable. What is derived (a job's last checkpoint) comes before what it derives from."""
        reach("before-commit")
        self.state.execute("COMMIT")
        reach("between-commits")
        if self._metrics.in_transaction:
            self._metrics.execute("COMMIT")
        reach("after-commit")

    def rollback(self) -> None:
        """Take back what is not committed."""
        self._cursors.clear()
        for database in (self.state, self._metrics):
            if database.in_transaction:
                database.execute("ROLLBACK")

    def close(self) -> None:
        """Close both databases, with all that they hold in one file each, though readers are still open."""
        for database in (self.state, self._metrics):
            with suppress(apsw.Error):  # what is in the journal is as durable there
                database.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
            database.close()


@dataclass(slots=True)
class _Change:
    apply: Callable[[Transaction], Any]
    rows: int
    """How many rows of metrics it has; 0: it is one of jobs."""
    done: asyncio.Future[Any]
    loop: asyncio.AbstractEventLoop
    act: Act | None
    """The call that makes the change; None: the server by itself."""


class Writer:
    """Applies changes in the order of their coming, in a thread of its own.

    A change is a function of the transaction. It may raise AllgradError before it has written anything. What
    it returns is handed out only when it is on disk.
    """

    def __init__(self, home: Home) -> None:
        self._transaction = Transaction(home)
        self._coming: SimpleQueue[_Change | None] = SimpleQueue()
        """Changes as they come; None: no more will."""
        self._urgent: deque[_Change] = deque()
        self._bulk: deque[_Change] = deque()
        self._urgent_last = False
        self._closing = False
        self.broken: Exception | None = None
        """The I/O error after which nothing may be acknowledged: what is on disk is uncertain."""
        self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)
        self._thread.start()

    async def write(self, change: Callable[[Transaction], Result], rows: int = 0) -> Result:
        """Apply *change* and return its result once it is durable. *rows*: how many rows of metrics it has.

        Raises what the change raised, or ServerBusy if the disk is full or has failed.
        """
        loop = asyncio.get_running_loop()
        waiting = _Change(change, rows, loop.create_future(), loop, current())
        self._coming.put(waiting)
        result: Result = await waiting.done
        return result

    def close(self) -> None:
        """Finish what is waiting, and close the databases."""
        self._coming.put(None)
        self._thread.join()

    def _run(self) -> None:
        while not self._closing or self._urgent or self._bulk:
            self._collect()
            if batch := self._next_batch():
                self._write(batch)
        self._transaction.close()

    def _collect(self) -> None:
        """Take in what has come; wait for something if there is nothing to do."""
        idle = not (self._urgent or self._bulk)
        while idle or not self._coming.empty():
            change = self._coming.get()
            if change is None:
                self._closing = True
            elif change.rows:
                self._bulk.append(change)
            else:
                self._urgent.append(change)
            idle = False

    def _next_batch(self) -> list[_Change]:
        """Take changes of jobs or else metrics, in turn if both wait: neither is held up by more than one commit."""
        if self._urgent and not (self._bulk and self._urgent_last):
            self._urgent_last = True
            return [self._urgent.popleft() for _ in range(min(len(self._urgent), URGENT_AT_ONCE))]
        self._urgent_last = False
        batch: list[_Change] = []
        rows = 0
        while self._bulk and rows < ROWS_AT_ONCE:
            change = self._bulk.popleft()
            rows += change.rows
            batch.append(change)
        return batch

    def _commit(self, batch: list[_Change]) -> list[Any]:
        if self.broken is not None:
            raise self.broken
        self._transaction.begin()
        results = [_attempt(change, self._transaction) for change in batch]
        self._transaction.commit()
        return results

    def _write(self, batch: list[_Change]) -> None:
        try:
            results = self._commit(batch)
        except Exception as error:  # noqa: BLE001 -- handed to everybody who waits; the thread must go on
            self._transaction.rollback()
            if isinstance(error, apsw.IOError | apsw.CorruptError):
                self.broken = error
            results = [_explain(error)] * len(batch)
        loops = {change.loop for change in batch}
        settled = list(zip(batch, results, strict=True))
        for loop in loops:  # one, but in tests: it is woken once for all
            mine = [(change.done, result) for change, result in settled if change.loop is loop]
            loop.call_soon_threadsafe(_settle, mine)


def _attempt(change: _Change, transaction: Transaction) -> Any:
    state, act = transaction.state, change.act
    before = state.total_changes()
    try:
        result = change.apply(transaction)
    except AllgradError as error:
        return error
    if act is not None and act.action and not act.noted and state.total_changes() > before:
        grants.note(state, act)
        act.noted = True
    return result


def _explain(error: Exception) -> Exception:
    if isinstance(error, apsw.FullError):
        return ServerBusy("the server cannot write this down", "its disk is full", "make room and try again")
    if isinstance(error, apsw.IOError | apsw.CorruptError):
        found, fix = f"its disk fails: {error}", "see to the disk, and start the server again"
        return ServerBusy("the server cannot write this down", found, fix)
    return error


def _settle(results: Sequence[tuple[asyncio.Future[Any], Any]]) -> None:
    for done, result in results:
        if done.cancelled():
            continue
        if isinstance(result, Exception):
            done.set_exception(result)
        else:
            done.set_result(result)
