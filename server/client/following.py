"""What must be known of a stream to go on with it after a lost connection: where watching and reading logs stand."""

from __future__ import annotations

from typing import Any

from ..jobs.job import Event, Heartbeat, LogChunk, StateChanged
from .questions import jobs
from .questions.question import Stream


class Watching:
    """How far the events of a job have been seen."""

    def __init__(self, job_id: str, cursor: int, heartbeats: bool) -> None:
        self._job_id = job_id
        self._last = cursor
        self._heartbeats = heartbeats
        self.over = False
        """Whether the event of the terminal state has come."""

    def question(self) -> Stream[Any, Event]:
        """Return the question that goes on from here."""
        return jobs.watch(self._job_id, self._last)

    def take(self, event: Event) -> bool:
        """Note that *event* has come; return whether it is wanted."""
        if isinstance(event, Heartbeat):
            return self._heartbeats
        self._last = event.cursor
        self.over = self.over or (isinstance(event, StateChanged) and event.state.terminal)
        return True


class LogReading:
    """How far the logs of a job have been read."""

    def __init__(self, job_id: str, rank: int | None, offset: int, follow: bool, attempt: int, tail: int) -> None:
        if rank is None and offset:
            raise ValueError("logs(rank=None) reads all ranks from their beginning; an offset needs a rank")
        self._job_id = job_id
        self._rank = rank
        self._follow = follow
        self._attempt = attempt
        if tail and offset:
            raise ValueError("logs(tail=...) begins near the end; an offset says another place")
        self._tail = tail
        self._offsets = {} if rank is None or tail else {rank: offset}

    def question(self) -> Stream[Any, LogChunk]:
        """Return the question that goes on from here."""
        return jobs.logs(self._job_id, self._rank, self._offsets, self._attempt, self._follow, self._tail)

    def take(self, chunk: LogChunk) -> bool:
        """Note that *chunk* has come; return whether there is anything in it."""
        if not chunk.data:
            return False
        if chunk.attempt > self._attempt:
            self._tail = 0 if self._attempt else self._tail  # the next attempt is read from its beginning
            self._attempt, self._offsets = chunk.attempt, ({} if self._attempt else self._offsets)
        self._offsets[chunk.rank] = chunk.offset + len(chunk.data)
        return True
