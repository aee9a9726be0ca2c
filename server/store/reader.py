"""Reading the store, from any thread: each has read-only connections of its own."""

from __future__ import annotations

import heapq
import itertools
import threading
from collections.abc import Sequence

import apsw

from ..home import Home
from ..job import Job, JobState
from .rows import COLUMNS, job_of
from .schema import open_to_read


class Reader:
    """Answers questions about what is on disk."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._local = threading.local()

    def job(self, job_id: str) -> tuple[int, Job] | None:
        """Return number and record of a job, or None."""
        row = self._state().execute(f"SELECT number, {COLUMNS} FROM jobs WHERE id = ?", (job_id,)).fetchone()
        return None if row is None else (row[0], job_of(row[1:]))

    def unfinished(self) -> list[tuple[int, Job]]:
        """Return number and record of all jobs that are not in a terminal state, oldest first."""
        open_states = [state.value for state in JobState if not state.terminal]
        marks = ", ".join("?" * len(open_states))
        sql = f"SELECT number, {COLUMNS} FROM jobs WHERE state IN ({marks}) ORDER BY number"
        return [(row[0], job_of(row[1:])) for row in self._state().execute(sql, open_states)]

    def page(self, state: JobState | None, below: int, limit: int) -> list[tuple[int, Job]]:
        """Return up to *limit* jobs whose number is under *below*, newest first."""
        sql = f"SELECT number, {COLUMNS} FROM jobs WHERE number < ?1 AND (?2 IS NULL OR state = ?2)"
        cursor = self._state().execute(f"{sql} ORDER BY number DESC LIMIT ?3", (below, state, limit))
        return [(row[0], job_of(row[1:])) for row in cursor]

    def last_cursor(self, job: int) -> int:
        """Return the cursor of the last event of job number *job*."""
        sql = "SELECT coalesce(max(cursor), 0) FROM events WHERE job = ?"
        return max(int(database.execute(sql, (job,)).get) for database in (self._state(), self._metrics()))

    def events(self, job: int, after: int, upto: int, limit: int) -> Sequence[tuple[int, bytes]]:
        """Return the first *limit* serialised events of job number *job* with a cursor in (after, upto]."""
        within = "job = ? AND cursor > ? AND cursor <= ?"
        sql = f"SELECT cursor, event FROM events WHERE {within} ORDER BY cursor LIMIT ?"
        values = (job, after, upto, limit)
        both = heapq.merge(self._state().execute(sql, values), self._metrics().execute(sql, values))
        return list(itertools.islice(both, limit))

    def progress(self, job: int, attempt: int) -> int:
        """Return the sequence number of the last journal line of an attempt that is on disk."""
        sql = "SELECT sequence FROM progress WHERE job = ? AND attempt = ?"
        return int(self._metrics().execute(sql, (job, attempt)).get or 0)

    def _state(self) -> apsw.Connection:
        return self._connection("state")

    def _metrics(self) -> apsw.Connection:
        return self._connection("metrics")

    def _connection(self, name: str) -> apsw.Connection:
        connection: apsw.Connection | None = getattr(self._local, name, None)
        if connection is None:
            connection = open_to_read(self._home.state_db if name == "state" else self._home.metrics_db)
            setattr(self._local, name, connection)
        return connection
