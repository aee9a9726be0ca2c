"""Finished jobs are forgotten when they are old, and nothing else is."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from allgrad.server import Client, Job
from allgrad.server.control.retention import Retention
from allgrad.server.errors import JobStateConflict

if TYPE_CHECKING:
    from tests.server.conftest import ServerProcess


def test_what_is_old_goes_and_what_cannot_go_stays() -> None:
    ends = {"a": 10.0, "needed": 20.0, "b": 30.0, "young": 900.0}
    numbers = {name: number for number, name in enumerate(ends, 1)}
    deleted: list[str] = []

    async def old(before: float, after: int, limit: int) -> Sequence[tuple[int, str]]:
        found = [(numbers[name], name) for name, end in ends.items() if end < before and name not in deleted]
        return [each for each in found if each[0] > after][:limit]

    async def delete(job_id: str) -> None:
        if job_id == "needed":
            raise JobStateConflict("cannot delete")
        deleted.append(job_id)

    asyncio.run(Retention(100.0, old, delete).look(now=500.0))
    assert deleted == ["a", "b"]


def test_a_server_deletes_what_finished_long_ago_with_its_files_and_keeps_the_rest(
    server_with: Callable[..., ServerProcess],
    finished: Callable[[Client, Job], Job],
    eventually: Callable[[Callable[[], object]], None],
) -> None:
    server = server_with(keep_finished=0.5)
    with server.client() as client:
        old = finished(client, client.submit(["true"]))
        running = client.submit(["sleep", "600"])
        eventually(lambda: time_since(old) > 0.5)
        server.kill()
        server.start()
        eventually(lambda: [job.id for job in client.list()] == [running.id])
        eventually(lambda: not (server.home / "jobs" / old.id).exists())


def time_since(job: Job) -> float:
    """Seconds since the end of a job."""
    assert job.finished is not None
    return time.time() - job.finished
