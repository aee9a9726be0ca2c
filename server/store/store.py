"""The changes that the server makes to what it remembers, each durable when its call returns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from allgrad.proto import jobs_pb2 as pb

from .. import messages
from ..errors import RequestIdTaken
from ..home import Home
from ..job import Alert, Checkpoint, Event, Job, Metrics
from ..journal import CheckpointLine, Line, MetricsLine
from .reader import Reader
from .rows import COLUMNS, job_of, row_of
from .writer import Transaction, Writer

_INSERT_EVENT = "INSERT INTO events (job, cursor, event) VALUES (?, ?, ?)"


@dataclass(frozen=True, slots=True)
class Appended:
    """What came of journal lines: the *job* with what they tell of it, and how far the journal is on disk."""

    job: Job
    sequence: int
    cursor: int | None
    """Of the last event written, if there was a new one."""


class Store:
    """Jobs, events and metrics of one home folder. *reader* answers questions about them."""

    def __init__(self, home: Home) -> None:
        self._writer = Writer(home)
        self.reader = Reader(home)

    @property
    def broken(self) -> Exception | None:
        """The I/O error after which nothing may be acknowledged any more."""
        return self._writer.broken

    def close(self) -> None:
        """Finish what is waiting, and close the databases."""
        self._writer.close()

    async def insert(self, job: Job, request_id: str, event: Event) -> tuple[int, Job]:
        """Add a job and its first event, unless *request_id* made one before; return number and job.

        Raises RequestIdTaken if that one has another spec.
        """

        def change(transaction: Transaction) -> tuple[int, Job]:
            sql = f"SELECT number, {COLUMNS} FROM jobs WHERE request_id = ?"
            row = transaction.state.execute(sql, (request_id,)).fetchone() if request_id else None
            if row is not None:
                return row[0], _same(job_of(row[1:]), job, request_id)
            marks = ", ".join("?" * (COLUMNS.count(",") + 1))
            transaction.state.execute(
                f"INSERT INTO jobs (request_id, {COLUMNS}) VALUES (?, {marks})",
                (request_id or None, *row_of(job)),
            )
            number = transaction.state.last_insert_rowid()
            _append(transaction, number, event)
            return number, job

        return await self._writer.write(change)

    async def save(self, number: int, job: Job, events: Sequence[Event]) -> int:
        """Write the job as it is now and the events that made it so; return the last cursor, or 0."""

        def change(transaction: Transaction) -> int:
            columns = ", ".join(f"{column} = ?" for column in COLUMNS.split(", "))
            transaction.state.execute(f"UPDATE jobs SET {columns} WHERE number = ?", (*row_of(job), number))
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
            return Appended(now, done, rows[-1][1] if rows else None)

        return await self._writer.write(change, rows=len(lines))


def _same(made: Job, asked: Job, request_id: str) -> Job:
    if made.spec != asked.spec:
        raise RequestIdTaken(
            f"request id {request_id!r} cannot be used",
            f"it made job {made.id}, which is another one",
            "use a new id for a new job",
            field="request_id",
        )
    return made


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
        job = replace(job, warning=warning)
    return job, events


def _lost(first: int, last: int) -> str:
    if first == last:
        return f"line {first} of the journal is damaged and lost"
    return f"lines {first} to {last} of the journal are damaged and lost"


def _append(transaction: Transaction, number: int, event: Event) -> int:
    row = _row(transaction, number, event)
    transaction.state.execute(_INSERT_EVENT, row)
    return row[1]


def _row(transaction: Transaction, number: int, event: Event) -> tuple[int, int, bytes]:
    cursor = transaction.next_cursor(number)
    message: pb.JobEvent = messages.event_message(replace(event, cursor=cursor))
    return number, cursor, message.SerializeToString()
