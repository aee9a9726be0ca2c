"""Cancelling, and what ranks leave behind: no process survives its job."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from allgrad.server import Alert, Client, Job, JobState

if TYPE_CHECKING:
    from tests.server.conftest import ServerProcess

Script = Callable[[str], str]
Finished = Callable[[Client, Job], Job]
Survivors = Callable[[Job], list[str]]


def started(client: Client, script: str, ranks: int) -> Job:
    """Submit a script and wait until each rank has printed something."""
    job = client.submit([script], ranks=ranks)
    for rank in range(ranks):
        for _ in client.logs(job.id, rank, follow=True):
            break
    return job


@pytest.mark.parametrize("ranks", [1, 2])
def test_cancelling_ends_ranks_that_ignore_it_and_their_daemons(
    client: Client, job_script: Script, finished: Finished, survivors: Survivors, ranks: int
) -> None:
    job = started(client, job_script("stubborn"), ranks)
    assert len(survivors(job)) >= 2 * ranks + 1
    begun = time.monotonic()
    assert client.cancel(job.id).state is JobState.STOPPING
    job = finished(client, job)
    assert (job.state, job.reason) == (JobState.CANCELLED, "cancelled")
    assert survivors(job) == []
    assert time.monotonic() - begun < 300, "the job itself would go on for ten minutes"


@pytest.mark.parametrize("ranks", [1, 2])
def test_a_rank_that_heeds_the_signal_has_time_to_save(
    client: Client, job_script: Script, finished: Finished, ranks: int
) -> None:
    job = started(client, job_script("careful"), ranks)
    client.cancel(job.id)
    job = finished(client, job)
    assert job.state is JobState.CANCELLED
    saved = sorted(path.name for path in Path(job.output_dir).iterdir())
    assert saved == [f"saved-{rank}" for rank in range(ranks)]


def test_cancelling_twice_or_too_late_changes_nothing(client: Client, job_script: Script, finished: Finished) -> None:
    job = started(client, job_script("careful"), 1)
    client.cancel(job.id)
    client.cancel(job.id)
    cancelled = finished(client, job)
    assert client.cancel(job.id) == cancelled
    done = finished(client, client.submit(["true"]))
    assert client.cancel(done.id).state is JobState.SUCCEEDED


def test_a_job_cancelled_as_it_starts_leaves_nothing(
    client: Client, job_script: Script, finished: Finished, survivors: Survivors
) -> None:
    for pause in (0.0, 0.03, 0.06, 0.1, 0.15):
        job = client.submit([job_script("careful")], ranks=2)
        time.sleep(pause)
        client.cancel(job.id)
        assert finished(client, job).state is JobState.CANCELLED
        assert survivors(job) == []


@pytest.mark.parametrize("ranks", [1, 2])
def test_a_child_that_a_rank_leaves_does_not_hold_up_the_job_and_is_ended(
    client: Client, job_script: Script, finished: Finished, survivors: Survivors, ranks: int
) -> None:
    job = finished(client, client.submit([job_script("failing"), "child", "0"], ranks=ranks))
    assert job.state is JobState.SUCCEEDED
    assert survivors(job) == []
    alerts = [event.message for event in client.watch(job.id) if isinstance(event, Alert)]
    assert alerts == ["ended 1 process(es) that the ranks had left running: sleep"]


def test_a_job_whose_folder_vanishes_before_it_starts_says_so(
    client: Client, job_script: Script, finished: Finished, tmp_path: Path
) -> None:
    blocking = started(client, job_script("careful"), 4)
    folder = tmp_path / "gone"
    folder.mkdir()
    job = client.submit(["true"], workdir=folder)
    folder.rmdir()
    client.cancel(blocking.id)
    job = finished(client, job)
    assert (job.state, job.exit_code) == (JobState.FAILED, 127)
    assert "No such file or directory" in job.reason


def test_a_flood_of_output_keeps_its_beginning_its_end_and_its_offsets(
    tmp_path: Path, job_script: Script, finished: Finished, server_with: Callable[..., ServerProcess]
) -> None:
    server = server_with(log_limit=1 << 20)
    lines = 200_000
    with server.client() as client:
        job = finished(client, client.submit([job_script("chatter"), str(lines)]))
        log = server.home / "jobs" / job.id / "attempt-1" / "logs" / "rank-0.log"
        assert log.stat().st_size == 100 * lines
        assert log.stat().st_blocks * 512 < 4 << 20
        numbers: list[int] = []
        for chunk in client.logs(job.id):
            assert chunk.offset % 100 == 0
            first = chunk.offset // 100
            found = [int(line) for line in chunk.data.decode().split()]
            assert found[0] == first or not chunk.data.endswith(b"\n")
            numbers += found
        assert numbers[0] == 0
        assert numbers[-1] == lines - 1
        assert len(numbers) < lines / 2
