"""The changes that the server makes to what it remembers, each durable when its call returns."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import apsw

from ..access.rules import Quota, Token
from ..errors import RequestIdTaken
from ..home import Home
from ..jobs.alerts import warned
from ..jobs.job import Alert, Checkpoint, Event, Job, Metrics, StateChanged, Sweep
from ..messages import jobs as messages
from ..messages import sweeps as sweep_messages
from ..messages.batches import Batch, batches
from ..supervisor.journal import CheckpointLine, Line, MetricsLine
from . import grants
from .reader import Reader
from .rows import COLUMNS, job_of, row_of
from .schema import damage, give_back, open_to_read
from .writer import Transaction, Writer

_HOW = "damaged, or dropped since too much waited for the server"
_INSERT_EVENT = "INSERT INTO events (job, cursor, event) VALUES (?, ?, ?)"
_DELETE_FIRST = (
    "DELETE FROM events WHERE job = ?1 AND "
    "cursor < (SELECT min(cursor) FROM events WHERE job = ?1) + ?2"  # the last cursor stays to the end: watchers may have it
)
_DELETED_AT_ONCE = 20_000
"""Metrics that are deleted in one commit, about: it takes some milliseconds."""
_INSERT_JOB = (
    f"INSERT INTO jobs (request_id, name, {COLUMNS}) VALUES (?, ?, {', '.join('?' * (COLUMNS.count(',') + 1))}) "
    "ON CONFLICT (request_id) DO NOTHING"
)
_UPDATE_JOB = f"UPDATE jobs SET {', '.join(f'{column} = ?' for column in COLUMNS.split(', '))} WHERE number = ?"
_SELECT_MADE = f"SELECT number, {COLUMNS} FROM jobs WHERE request_id = ?"


@dataclass(frozen=True, slots=True)
class Appended:
    """What came of journal lines: the *job* with what they tell of it, and how far the journal is on disk."""

    job: Job
    sequence: int
    batches: Sequence[Batch]
    """The events that were written."""


class Store:
    """Jobs, events and metrics of one home folder. *reader* answers questions about them."""

    def __init__(self, home: Home) -> None:
        self._writer = Writer(home)
        self._checking = open_to_read(home.metrics_db)
        self.reader = Reader(home)

    @property
    def broken(self) -> Exception | None:
        """The I/O error after which nothing may be acknowledged any more."""
        return self._writer.broken

    def check_metrics(self) -> None:
        """Look whether the metrics are sound, which takes a while where there are many; if not, accept nothing more."""
        try:
            found = damage(self._checking)
        except apsw.InterruptError:
            return
        if found:
            self._writer.broken = apsw.CorruptError(f"the database of the metrics is damaged: {found}")

    def close(self) -> None:
        """Finish what is waiting, and close the databases."""
        self._checking.interrupt()
        self._writer.close()

    async def insert(
        self, job: Job, request_id: str, event: Event, most_queued: int = 0, packed: bytes | None = None
    ) -> tuple[int, Job]:
        """Add a job and its first event, unless *request_id* made one before; return number and job.

        *most_queued*: how many jobs its owner may have in the queue; 0: no limit. *packed*: its spec, serialised, if at
        hand. Raises RequestIdTaken if the one made before has another spec, QuotaExceeded if the queue is full.
        """
        row = row_of(job, packed)

        def change(transaction: Transaction) -> tuple[int, Job]:
            made = _made_by(transaction, request_id) if most_queued else None
            if made is None:
                grants.check_room(transaction.state, job.owner, 1, most_queued)
                number = _insert(transaction, job, row, request_id, event)
                if number is not None:
                    return number, job
                made = _made_by(transaction, request_id)
                assert made is not None, "a conflict has no other cause"
            _check_same((made[1].spec, made[1].owner) == (job.spec, job.owner), "job", made[1].id, request_id)
            return made

        return await self._writer.write(change)

    async def insert_sweep(self, sweep: Sweep, request_id: str, most_queued: int = 0) -> tuple[str, Sequence[int]]:
        """Add a sweep and its jobs, unless *request_id* made one before; return its id and the numbers of new jobs.

        *most_queued* and what is raised: as insert() has it.
        """
        rows = [row_of(job) for job in sweep.jobs]
        spec = sweep_messages.sweep_spec_message(sweep.spec).SerializeToString(deterministic=True)

        def change(transaction: Transaction) -> tuple[str, Sequence[int]]:
            sql = "SELECT id, spec FROM sweeps WHERE request_id = ?"
            row = transaction.state.execute(sql, (request_id,)).fetchone() if request_id else None
            if row is not None:
                _check_same(row[1] == spec, "sweep", row[0], request_id)
                return row[0], ()
            grants.check_room(transaction.state, sweep.jobs[0].owner, len(sweep.jobs), most_queued)
            transaction.state.execute(
                "INSERT INTO sweeps (id, request_id, spec, created) VALUES (?, ?, ?, ?)",
                (sweep.id, request_id or None, spec, sweep.created),
            )
            numbers = []
            for job, values in zip(sweep.jobs, rows, strict=True):
                number = _insert(transaction, job, values, "", StateChanged(0, job.created, job.state))
                assert number is not None, "without a request id nothing conflicts"
                numbers.append(number)
            return sweep.id, numbers

        return await self._writer.write(change)

    async def note_rung(self, sweep_id: str, rung: int, job_id: str, value: float) -> None:
        """Write down what a job of a sweep had reached at a comparison; what was written first stays."""

        def change(transaction: Transaction) -> None:
            sql = "INSERT OR IGNORE INTO rungs (sweep, rung, job, value) VALUES (?, ?, ?, ?)"
            transaction.state.execute(sql, (sweep_id, rung, job_id, None if math.isnan(value) else value))

        await self._writer.write(change)

    async def delete(self, number: int, job: Job) -> None:
        """Forget a job; its metrics go first, since its number may be given to another job once it is gone.

        What a week of training reported goes in pieces, between which others write.
        """

        def delete_metrics(transaction: Transaction) -> bool:
            metrics = transaction.metrics
            metrics.execute(_DELETE_FIRST, (number, _DELETED_AT_ONCE))
            left = bool(metrics.changes())
            metrics.execute("DELETE FROM progress WHERE job = ?", (number,))
            give_back(metrics)
            return left

        def delete_job(transaction: Transaction) -> None:
            for table, column in (("events", "job"), ("labels", "job"), ("jobs", "number")):
                transaction.state.execute(f"DELETE FROM {table} WHERE {column} = ?", (number,))
            transaction.state.execute("DELETE FROM rungs WHERE sweep = ? AND job = ?", (job.sweep, job.id))
            empty = "DELETE FROM sweeps WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM jobs WHERE sweep = ?1)"
            transaction.state.execute(empty, (job.sweep,))
            give_back(transaction.state)
            transaction.forget(number)

        while await self._writer.write(delete_metrics, rows=_DELETED_AT_ONCE):
            continue
        await self._writer.write(delete_job)

    async def insert_token(self, token: Token, digest: bytes) -> None:
        """Add a token; of its secret only the *digest*."""
        await self._writer.write(lambda transaction: grants.insert_token(transaction.state, token, digest))

    async def revoke_token(self, token: Token) -> None:
        """Write down that a token is revoked."""
        await self._writer.write(lambda transaction: grants.revoke_token(transaction.state, token))

    async def set_quota(self, quota: Quota) -> None:
        """Write down what a user may have."""
        await self._writer.write(lambda transaction: grants.set_quota(transaction.state, quota))

    async def note_upload(self, digest: str, size: int) -> None:
        """Write down that an archive is here."""

        def change(transaction: Transaction) -> None:
            sql = "INSERT OR IGNORE INTO uploads (digest, size, created) VALUES (?, ?, ?)"
            transaction.state.execute(sql, (digest, size, time.time()))

        await self._writer.write(change)

    async def save(self, number: int, job: Job, events: Sequence[Event]) -> int:
        """Write the job as it is now and the events that made it so; return the last cursor, or 0."""
        row = row_of(job)

        def change(transaction: Transaction) -> int:
            transaction.state.execute(_UPDATE_JOB, (*row, number))
            return max((_append(transaction, number, event) for event in events), default=0)

        return await self._writer.write(change)

    async def append(self, number: int, job: Job, lines: Sequence[Line], alert: Callable[[Job, Line], str]) -> Appended:
        """Write journal lines of the job's attempt; those that are on disk are passed over.

        *alert* says what a person should know about a line, or "". A gap in the numbers is such a thing too.
        """

        def change(transaction: Transaction) -> Appended:
            select = "SELECT sequence FROM progress WHERE job = ? AND attempt = ?"
            done = int(transaction.metrics.execute(select, (number, job.attempt)).get or 0)
            fresh = [line for line in lines if line.sequence > done]
            now, events = job, []
            for line in fresh:
                now, told = _tell(now, line, done, alert)
                events += told
                done = line.sequence
            rows = [_row(transaction, number, event) for event in events]
            transaction.metrics.executemany(_INSERT_EVENT, rows)
            if fresh:
                upsert = "INSERT OR REPLACE INTO progress (job, attempt, sequence) VALUES (?, ?, ?)"
                transaction.metrics.execute(upsert, (number, job.attempt, done))
            if now != job:
                update = "UPDATE jobs SET checkpoint = ?, warning = ? WHERE number = ?"
                transaction.state.execute(update, (now.checkpoint, now.warning, number))
            return Appended(now, done, tuple(batches([row[1:] for row in rows])))

        return await self._writer.write(change, rows=len(lines))


def _made_by(transaction: Transaction, request_id: str) -> tuple[int, Job] | None:
    """Return number and record of the job that *request_id* made, or None."""
    row = transaction.state.execute(_SELECT_MADE, (request_id,)).fetchone() if request_id else None
    return None if row is None else (row[0], job_of(row[1:]))


def _insert(transaction: Transaction, job: Job, row: tuple[Any, ...], request_id: str, event: Event) -> int | None:
    """Add a job, its labels and its first event; return its number, or None if *request_id* has made one before."""
    state = transaction.state
    state.execute(_INSERT_JOB, (request_id or None, job.name, *row))
    if not state.changes():
        return None
    number = state.last_insert_rowid()
    if job.spec.labels:
        labels = [(number, key, value) for key, value in job.spec.labels.items()]
        state.executemany("INSERT INTO labels (job, key, value) VALUES (?, ?, ?)", labels)
    transaction.expect_none(number)
    _append(transaction, number, event)
    return number


def _check_same(same: bool, noun: str, made: str, request_id: str) -> None:
    if not same:
        raise RequestIdTaken(
            f"request id {request_id!r} cannot be used",
            f"it made {noun} {made}, which is another one",
            "use a new id for a new job",
            field="request_id",
        )


def _tell(job: Job, line: Line, done: int, alert: Callable[[Job, Line], str]) -> tuple[Job, list[Event]]:
    """Return the job with what *line*, coming after number *done*, tells of it, and the events it makes."""
    events: list[Event] = []
    warnings = []
    if line.sequence > done + 1:
        warnings.append(_lost(done + 1, line.sequence - 1))
    if isinstance(line, MetricsLine):
        events.append(Metrics(0, line.time, line.step, line.values))
    elif isinstance(line, CheckpointLine):
        events.append(Checkpoint(0, line.time, line.step, line.path))
        job = replace(job, checkpoint=line.path)
    warnings.append(alert(job, line))
    for warning in filter(None, warnings):
        events.append(Alert(0, line.time, warning))
        job = warned(job, warning)
    return job, events


def _lost(first: int, last: int) -> str:
    if first == last:
        return f"line {first} of the journal is lost: {_HOW}"
    return f"lines {first} to {last} of the journal are lost: {_HOW}"


def _append(transaction: Transaction, number: int, event: Event) -> int:
    row = _row(transaction, number, event)
    transaction.state.execute(_INSERT_EVENT, row)
    return row[1]


def _row(transaction: Transaction, number: int, event: Event) -> tuple[int, int, bytes]:
    cursor = transaction.next_cursor(number)
    if type(event) is Metrics:
        return number, cursor, messages.metrics_bytes(event, cursor)
    message = messages.event_message(event)
    message.cursor = cursor
    return number, cursor, message.SerializeToString()
