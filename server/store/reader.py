"""Reading the store, from any thread: each has read-only connections of its own."""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from typing import Any

import apsw

from allgrad.proto import sweeps_pb2

from ..access.rules import AuditRecord, Quota, Token
from ..home import Home
from ..jobs.job import Job, JobState, Sweep
from ..jobs.spec import SweepSpec
from ..messages import sweeps as sweep_messages
from . import grants
from .filters import JobFilter
from .rows import COLUMNS, job_of, located
from .schema import open_to_read

_SWEEP = "id, spec, created"


class Reader:
    """Answers questions about what is on disk."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._local = threading.local()

    def job(self, job_id: str) -> tuple[int, Job] | None:
        """Return number and record of a job, or None."""
        row = self._state().execute(f"SELECT number, {COLUMNS} FROM jobs WHERE id = ?", (job_id,)).fetchone()
        return None if row is None else (row[0], self._job_of(row[1:]))

    def unfinished(self) -> list[tuple[int, Job]]:
        """Return number and record of all jobs that are not in a terminal state, oldest first."""
        open_states = [state.value for state in JobState if not state.terminal]
        marks = ", ".join("?" * len(open_states))
        sql = f"SELECT number, {COLUMNS} FROM jobs WHERE state IN ({marks}) ORDER BY number"
        return [(row[0], self._job_of(row[1:])) for row in self._state().execute(sql, open_states)]

    def page(self, wanted: JobFilter, below: int, limit: int) -> list[tuple[int, Job]]:
        """Return up to *limit* jobs that are *wanted* and whose number is under *below*, newest first."""
        condition, values = wanted.condition()
        sql = f"SELECT number, {COLUMNS} FROM jobs WHERE number < ? AND {condition} ORDER BY number DESC LIMIT ?"
        return [(row[0], self._job_of(row[1:])) for row in self._state().execute(sql, (below, *values, limit))]

    def state(self, job_id: str) -> JobState | None:
        """Return the state of a job, or None if there is none of that id."""
        found = self._state().execute("SELECT state FROM jobs WHERE id = ?", (job_id,)).get
        return None if found is None else JobState(found)

    def knows(self, request_id: str) -> bool:
        """Return whether a job or a sweep was made by *request_id*."""
        sql = "SELECT 1 FROM jobs WHERE request_id = ?1 UNION SELECT 1 FROM sweeps WHERE request_id = ?1"
        return self._state().execute(sql, (request_id,)).get is not None

    def sweep(self, sweep_id: str) -> Sweep | None:
        """Return a sweep with its jobs, or None."""
        row = self._state().execute(f"SELECT {_SWEEP} FROM sweeps WHERE id = ?", (sweep_id,)).fetchone()
        return None if row is None else self._sweep_of(row)

    def sweeps(self, below: int, limit: int) -> list[tuple[int, Sweep]]:
        """Return up to *limit* sweeps whose number is under *below*, newest first."""
        sql = f"SELECT number, {_SWEEP} FROM sweeps WHERE number < ? ORDER BY number DESC LIMIT ?"
        return [(row[0], self._sweep_of(row[1:])) for row in list(self._state().execute(sql, (below, limit)))]

    def sweep_spec(self, sweep_id: str) -> SweepSpec | None:
        """Return what was asked for in a sweep, or None if it is not there."""
        blob = self._state().execute("SELECT spec FROM sweeps WHERE id = ?", (sweep_id,)).get
        return None if blob is None else sweep_messages.sweep_spec_value(sweeps_pb2.SweepSpec.FromString(blob))

    def rung(self, sweep_id: str, rung: int) -> dict[str, float]:
        """Return what the jobs of a sweep had reached at a comparison, by job."""
        sql = "SELECT job, value FROM rungs WHERE sweep = ? AND rung = ?"
        found = self._state().execute(sql, (sweep_id, rung))
        return {job: math.nan if value is None else value for job, value in found}

    def _job_of(self, row: tuple[Any, ...]) -> Job:
        return located(job_of(row), self._home)

    def _sweep_of(self, row: tuple[Any, ...]) -> Sweep:
        identity, spec, created = row
        sql = f"SELECT {COLUMNS} FROM jobs WHERE sweep = ? ORDER BY number"
        jobs = tuple(map(self._job_of, self._state().execute(sql, (identity,))))
        message = sweeps_pb2.SweepSpec.FromString(spec)
        return Sweep(identity, sweep_messages.sweep_spec_value(message), created, jobs)

    def finished(self, before: float, after: int, limit: int) -> list[tuple[int, str]]:
        """Return number and id of the first jobs numbered above *after* that ended before a time."""
        ended = [state.value for state in JobState if state.terminal]
        marks = ", ".join("?" * len(ended))
        sql = f"SELECT number, id FROM jobs WHERE number > ? AND finished < ? AND state IN ({marks}) ORDER BY number LIMIT ?"
        return list(self._state().execute(sql, (after, before, *ended, limit)))

    def last_cursor(self, job: int) -> int:
        """Return the cursor of the last event of job number *job*."""
        sql = "SELECT coalesce(max(cursor), 0) FROM events WHERE job = ?"
        return max(int(database.execute(sql, (job,)).get) for database in (self._state(), self._metrics()))

    def events(self, job: int, after: int, upto: int, limit: int) -> Sequence[tuple[int, bytes]]:
        """Return the first *limit* serialised events of job number *job* with a cursor in (after, upto]."""
        within = "job = ? AND cursor > ? AND cursor <= ?"
        sql = f"SELECT cursor, event FROM events WHERE {within} ORDER BY cursor LIMIT ?"
        values = (job, after, upto, limit)
        databases = (self._state(), self._metrics())
        changes, metrics = (list[tuple[int, bytes]](each.execute(sql, values)) for each in databases)
        return sorted(changes + metrics)[:limit] if changes else metrics

    def progress(self, job: int, attempt: int) -> int:
        """Return the sequence number of the last journal line of an attempt that is on disk."""
        sql = "SELECT sequence FROM progress WHERE job = ? AND attempt = ?"
        return int(self._metrics().execute(sql, (job, attempt)).get or 0)

    def tokens(self) -> list[tuple[Token, bytes]]:
        """Return all tokens with their digests, in order of their making."""
        return grants.tokens(self._state())

    def quotas(self) -> list[Quota]:
        """Return what users may have."""
        return grants.quotas(self._state())

    def audit(self, below: int, limit: int) -> list[AuditRecord]:
        """Return up to *limit* records of the audit log whose number is under *below*, newest first."""
        return grants.audit(self._state(), below, limit)

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
