"""A server that dies while jobs run: they go on, and nothing that they reported is lost or doubled."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from allgrad.server import Alert, Client, Event, Job, JobState, Metrics, StateChanged
from allgrad.server.supervisor import processes

if TYPE_CHECKING:
    from tests.server.conftest import ServerProcess

Script = Callable[[str], str]
Eventually = Callable[[Callable[[], object]], None]
STEPS = 40


def supervisor_of(job: Job) -> processes.Process:
    """The oldest process of a job's attempt."""
    return min(processes.tagged(job.id, 1), key=lambda process: process.start)


def watch_in_background(client: Client, job: Job) -> tuple[list[Event], threading.Thread]:
    events: list[Event] = []

    def watch() -> None:
        for event in client.watch(job.id):
            events.append(event)  # noqa: PERF402 -- they are looked at while they come

    thread = threading.Thread(target=watch)
    thread.start()
    return events, thread


def assert_ends(watcher: threading.Thread) -> None:
    watcher.join(60)
    assert not watcher.is_alive(), "it still watches"


def assert_complete(events: list[Event]) -> None:
    """Every loss once and in order, every state once."""
    steps = [event.step for event in events if isinstance(event, Metrics)]
    assert steps == list(range(1, STEPS + 1))
    states = [event.state for event in events if isinstance(event, StateChanged)]
    assert states == [JobState.QUEUED, JobState.STARTING, JobState.RUNNING, JobState.SUCCEEDED]


@pytest.mark.parametrize("end", ["kill", "stop"])
def test_a_job_and_its_watcher_live_through_the_end_of_the_server(
    own_server: ServerProcess, job_script: Script, eventually: Eventually, end: str
) -> None:
    with own_server.client() as client:
        job = client.submit([job_script("reporting"), str(STEPS), "0.05"], ranks=2)
        events, watcher = watch_in_background(client, job)
        eventually(lambda: len(events) > 6)
        getattr(own_server, end)()
        time.sleep(0.5)  # so that it tries to come back, in vain
        own_server.start()
        assert_ends(watcher)
        assert_complete(events)
        assert list(client.watch(job.id)) == events


def test_a_job_that_ends_while_there_is_no_server_is_taken_up_with_all_its_losses(
    own_server: ServerProcess, job_script: Script, eventually: Eventually
) -> None:
    with own_server.client() as client:
        job = client.submit([job_script("reporting"), str(STEPS), "0.01"])
        eventually(lambda: client.get(job.id).state is JobState.RUNNING)
        own_server.kill()
        run = own_server.home / "jobs" / job.id / "attempt-1"
        eventually((run / "exit.json").exists)
        os.kill(supervisor_of(job).pid, signal.SIGKILL)  # so that only the server can read the rest
        own_server.start()
        assert_complete(list(client.watch(job.id)))


def test_many_crashes_lose_and_double_nothing(
    own_server: ServerProcess, job_script: Script, eventually: Eventually
) -> None:
    with own_server.client() as client:
        job = client.submit([job_script("reporting"), str(STEPS), "0.05", "0", str(STEPS)])
        events, watcher = watch_in_background(client, job)
        before_the_last = STEPS - 1 + len([JobState.QUEUED, JobState.STARTING, JobState.RUNNING])
        for _ in range(4):
            count = min(len(events) + 1, before_the_last)
            eventually(lambda count=count: len(events) >= count)  # type: ignore[misc]
            own_server.kill()
            own_server.start()
        Path(job.output_dir, "go").touch()
        assert_ends(watcher)
        assert_complete(events)


def test_an_outage_that_overflows_the_journal_is_bounded_on_disk_and_leaves_a_mark(
    server_with: Callable[..., ServerProcess], job_script: Script, eventually: Eventually
) -> None:
    limit, steps = 64 << 10, 20_000
    server = server_with(journal_limit=limit)
    with server.client() as client:
        job = client.submit([job_script("reporting"), str(steps), "0", "0", "1"])
        eventually(lambda: client.get(job.id).state is JobState.RUNNING)
        server.kill()
        run = server.home / "jobs" / job.id / "attempt-1"
        Path(job.output_dir, "go").touch()
        eventually((run / "exit.json").exists)
        assert (run / "journal.jsonl").stat().st_size > 20 * limit
        assert (run / "journal.jsonl").stat().st_blocks * 512 < 2 * limit
        server.start()
        events = list(client.watch(job.id))
        found = [event.step for event in events if isinstance(event, Metrics)]
        missing = sorted(set(range(1, steps + 1)) - set(found))
        assert found == sorted(found)
        assert missing == list(range(missing[0], missing[-1] + 1))
        assert missing[-1] < steps
        (mark,) = (event.message for event in events if isinstance(event, Alert))
        assert mark.startswith(f"lines {missing[0]} to {missing[-1]} of the journal are lost: ")
        assert mark in client.get(job.id).warning


def test_a_queued_job_starts_under_the_next_server(own_server: ServerProcess, job_script: Script) -> None:
    with own_server.client() as client:
        blocking = client.submit([job_script("reporting"), "10", "0.1"], ranks=4)
        waiting = client.submit(["true"])
        own_server.kill()
        own_server.start()
        assert client.get(waiting.id).state is JobState.QUEUED
        *_, last = client.watch(waiting.id)
        assert isinstance(last, StateChanged)
        assert last.state is JobState.SUCCEEDED
        assert client.get(blocking.id).state is JobState.SUCCEEDED


def test_a_request_id_is_remembered_over_a_crash(own_server: ServerProcess) -> None:
    with own_server.client() as client:
        job = client.submit(["true"], request_id="once")
        own_server.kill()
        own_server.start()
        assert client.submit(["true"], request_id="once").id == job.id


def test_a_job_cancelled_just_before_a_crash_ends_as_cancelled(
    own_server: ServerProcess, job_script: Script, survivors: Callable[[Job], list[str]]
) -> None:
    with own_server.client() as client:
        job = client.submit([job_script("stubborn")], ranks=2)
        for _ in client.logs(job.id, follow=True):
            break
        client.cancel(job.id)
        own_server.kill()
        own_server.start()
        *_, last = client.watch(job.id)
        assert isinstance(last, StateChanged)
        assert last.state is JobState.CANCELLED
        assert survivors(job) == []


def test_a_killed_supervisor_leaves_no_process_and_is_told(
    own_server: ServerProcess, job_script: Script, survivors: Callable[[Job], list[str]]
) -> None:
    with own_server.client() as client:
        job = client.submit([job_script("stubborn")], ranks=2)
        for _ in client.logs(job.id, follow=True):
            break
        os.kill(supervisor_of(job).pid, signal.SIGKILL)
        events = list(client.watch(job.id))
        states = [event.state for event in events if isinstance(event, StateChanged)]
        assert states[-2:] == [JobState.UNKNOWN, JobState.FAILED]
        assert "its supervisor died" in client.get(job.id).reason
        assert survivors(job) == []


def test_what_a_killed_supervisor_left_is_swept_when_the_server_starts(
    own_server: ServerProcess, job_script: Script, survivors: Callable[[Job], list[str]]
) -> None:
    with own_server.client() as client:
        job = client.submit([job_script("stubborn")])
        for _ in client.logs(job.id, follow=True):
            break
        own_server.kill()
        os.kill(supervisor_of(job).pid, signal.SIGKILL)
        own_server.start()
        *_, last = client.watch(job.id)
        assert isinstance(last, StateChanged)
        assert last.state is JobState.FAILED
        assert survivors(job) == []


def test_damaged_journal_lines_are_told(own_server: ServerProcess, job_script: Script) -> None:
    with own_server.client() as client:
        script = (
            "import sys, zlib\n"
            'def line(n): b = \'{"seq":%d,"time":1,"kind":"metrics","step":1,"values":{}\' % n;'
            ' return b + \',"crc":"%08x"}\\n\' % zlib.crc32(b.encode())\n'
            "import os\n"
            "with open(os.environ['ALLGRAD_RUN_DIR'] + '/journal.jsonl', 'w') as f:\n"
            "    f.write(line(1) + line(2).replace('step', 'stop') + line(3) + line(4)[:30])\n"
        )
        path = own_server.home / "damaged.py"
        path.write_text(script)
        job = client.submit([str(path)])
        events = list(client.watch(job.id))
        assert [event.message for event in events if isinstance(event, Alert)] == [
            "line 2 of the journal is lost: damaged, or dropped since too much waited for the server"
        ]
        assert len([event for event in events if isinstance(event, Metrics)]) == 2
