"""Finished jobs are forgotten when they are old, and nothing else is."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from allgrad.server import Client, Job, JobSpec, JobState, StateChanged
from allgrad.server.control.attempts import Settings
from allgrad.server.control.controller import Control
from allgrad.server.control.retention import Retention
from allgrad.server.errors import JobNotFound, JobStateConflict
from allgrad.server.home import Home
from allgrad.server.store import Store

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


def test_a_deletion_goes_on_when_who_asked_waits_no_longer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = Home(tmp_path)
    home.prepare()
    store = Store(home)
    control = Control(home, store, Settings(slots=1))
    job = Job("old", JobSpec(("true",)), JobState.SUCCEEDED, created=1.0)
    go_on = asyncio.Event()
    delete = store.delete

    async def slowly(number: int, job: Job) -> None:
        await go_on.wait()
        await delete(number, job)

    async def ask_and_leave() -> None:
        await store.insert(job, "", StateChanged(0, 1.0, JobState.SUCCEEDED))
        home.output_dir(job.id).mkdir(parents=True)
        for _ in range(2):  # who asks again waits for the same deletion
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(control.delete(job.id), 0.05)
        go_on.set()
        async with asyncio.timeout(10):
            while list((home.path / "jobs").iterdir()):  # its files go last
                await asyncio.sleep(0.01)
        with pytest.raises(JobNotFound):
            await control.get(job.id)
        await control.close()

    monkeypatch.setattr(store, "delete", slowly)
    asyncio.run(ask_and_leave())
    store.close()


def time_since(job: Job) -> float:
    """Seconds since the end of a job."""
    assert job.finished is not None
    return time.time() - job.finished
