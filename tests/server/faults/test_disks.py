"""Full and failing disks: no false acknowledgement, reads and cancel go on, jobs run, what they spooled arrives."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from allgrad.server import Client, Job, JobState, Metrics, StateChanged
from allgrad.server.errors import ServerBusy
from allgrad.server.home import Home
from allgrad.server.supervisor import processes
from tests.server.faults.faulty_disk import FULL, SYNC

if TYPE_CHECKING:
    from collections.abc import Callable

    Script = Callable[[str], str]
    Eventually = Callable[[Callable[[], object]], None]

DISK = Path(__file__).with_name("faulty_disk.py")
STEPS = 60


class FaultyServer:
    """A server on a disk that can be told to fail."""

    def __init__(self, home: Path, switch: Path) -> None:
        self.home = home
        self._switch = switch
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start it, and return once it serves."""
        settings = {"home": str(self.home), "port": 0, "slots": 4, "grace": 1.0}
        command = [sys.executable, str(DISK), str(self._switch), json.dumps(settings)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert self._process.stdout is not None
        assert "serves at" in self._process.stdout.readline()

    def fail(self, how: str) -> None:
        """Let the disk fail from now on, or be sound again."""
        self._switch.write_text(how)

    def stop(self) -> int:
        """Stop it and return its exit code."""
        assert self._process is not None
        self._process.terminate()
        self._process.communicate(timeout=60)
        return self._process.returncode


@pytest.fixture
def faulty(tmp_path: Path) -> Iterator[FaultyServer]:
    server = FaultyServer(tmp_path / "home", tmp_path / "switch")
    server.start()
    yield server
    server.fail("")
    server.stop()
    for process, _ in processes.tagged_under(str(server.home / "jobs")):
        os.kill(process.pid, 9)


def reporting(client: Client, script: Script) -> Job:
    """A job that has begun to report."""
    job = client.submit([script("reporting"), str(STEPS), "0.05"])
    for event in client.watch(job.id):
        if isinstance(event, Metrics):
            break
    return job


def assert_all_arrived(client: Client, job: Job) -> None:
    """Each step once and in order, and the job succeeded."""
    events = list(client.watch(job.id))
    assert [event.step for event in events if isinstance(event, Metrics)] == list(range(1, STEPS + 1))
    assert isinstance(events[-1], StateChanged)
    assert events[-1].state is JobState.SUCCEEDED


def submits_without_a_false_answer(client: Client, count: int) -> set[str]:
    """Submit from several threads at once; return the ids of those acknowledged."""
    made: set[str] = set()

    def submit() -> None:
        for _ in range(count):
            try:
                made.add(client.submit(["true"]).id)
            except ServerBusy:
                continue

    threads = [threading.Thread(target=submit) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return made


def test_on_a_full_disk_reads_and_cancel_go_on_and_the_rest_arrives_later(
    faulty: FaultyServer, job_script: Script, eventually: Eventually
) -> None:
    with Client(home=faulty.home) as client:
        job = reporting(client, job_script)
        doomed = client.submit([job_script("stubborn")])
        eventually(lambda: client.get(doomed.id).state is JobState.RUNNING)
        faulty.fail(FULL)
        with pytest.raises(ServerBusy, match="its disk is full"):
            client.submit(["true"])
        assert client.get(job.id).state is JobState.RUNNING
        assert {each.id for each in client.list()} == {job.id, doomed.id}
        assert next(client.logs(job.id)).data.startswith(b"rank 0 step 1\n")
        with pytest.raises(ServerBusy, match="is being ended"):
            client.cancel(doomed.id)
        eventually(lambda: not processes.tagged(doomed.id, 1))
        exit_record = faulty.home / "jobs" / job.id / "attempt-1" / "exit.json"
        eventually(exit_record.exists)
        faulty.fail("")
        assert_all_arrived(client, job)
        *_, last = client.watch(doomed.id)
        assert isinstance(last, StateChanged)
        assert (last.state, last.reason) == (JobState.CANCELLED, "cancelled")


def test_a_job_that_ends_while_the_disk_is_full_for_long_is_not_taken_for_lost(
    faulty: FaultyServer, job_script: Script, eventually: Eventually
) -> None:
    with Client(home=faulty.home) as client:
        job = reporting(client, job_script)
        supervisor = min(processes.tagged(job.id, 1), key=lambda process: process.start)
        faulty.fail(FULL)
        eventually((faulty.home / "jobs" / job.id / "attempt-1" / "exit.json").exists)
        os.kill(supervisor.pid, 9)  # so that only the server can read what was not sent
        time.sleep(3)
        assert client.get(job.id).state is JobState.RUNNING
        faulty.fail("")
        assert_all_arrived(client, job)


def test_after_a_failed_sync_nothing_is_acknowledged_and_reads_and_cancel_go_on(
    faulty: FaultyServer, job_script: Script, eventually: Eventually
) -> None:
    with Client(home=faulty.home) as client:
        job = reporting(client, job_script)
        doomed = client.submit([job_script("stubborn")])
        eventually(lambda: client.get(doomed.id).state is JobState.RUNNING)
        before = {each.id for each in client.list()}
        faulty.fail(SYNC)
        assert submits_without_a_false_answer(client, 3) == set()
        faulty.fail("")
        assert submits_without_a_false_answer(client, 3) == set(), "what a failed sync left behind is uncertain"
        assert {each.id for each in client.list()} == before
        with pytest.raises(ServerBusy, match="its disk fails"):
            client.cancel(doomed.id)
        eventually(lambda: not processes.tagged(doomed.id, 1))
        address = Home(faulty.home).address()
        assert address is not None
        with grpc.insecure_channel(address) as channel:
            metadata = (("authorization", f"Bearer {Home(faulty.home).token()}"),)
            check = health_pb2_grpc.HealthStub(channel).Check  # type: ignore[attr-defined]
            eventually(
                lambda: (
                    check(health_pb2.HealthCheckRequest(), metadata=metadata).status
                    == health_pb2.HealthCheckResponse.NOT_SERVING
                )
            )
        assert faulty.stop() != 0
        faulty.start()
        assert_all_arrived(client, job)
        assert client.get(doomed.id).state is JobState.CANCELLED


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MB, where this machine lets one be mounted."""
    mount = tmp_path / "small"
    mount.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=2M", "tmpfs", str(mount)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode != 0:
        pytest.skip("only root can mount a small file system, and not everywhere")
    yield mount
    subprocess.run(["umount", "-l", str(mount)], check=True)


def fill(path: Path) -> None:
    """Write zeros until there is no room."""
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(1 << 12))
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise


def submitted_until_refused(client: Client, first: Job) -> set[str]:
    """Submit large jobs until the disk is full; return the ids of those acknowledged."""
    made: set[str] = set()
    try:
        while True:
            made.add(client.submit(["true"], env={"PADDING": "x" * 20_000}, after=[first.id]).id)
    except ServerBusy as error:
        if error.found != "its disk is full":
            raise
    return made


def test_a_small_file_system_that_fills_up_costs_nothing_that_was_acknowledged(
    small_disk: Path, tmp_path: Path, job_script: Script, eventually: Eventually
) -> None:
    home, jobs = small_disk / "home", tmp_path / "jobs"
    home.mkdir()
    jobs.mkdir()
    (home / "jobs").symlink_to(jobs)
    server = FaultyServer(home, tmp_path / "switch")
    server.start()
    with Client(home=home) as client:
        job = reporting(client, job_script)
        ballast = small_disk / "ballast"
        fill(ballast)
        made = submitted_until_refused(client, job)
        assert {each.id for each in client.list()} == made | {job.id}
        eventually((jobs / job.id / "attempt-1" / "exit.json").exists)
        ballast.unlink()
        assert_all_arrived(client, job)
        for each in made:
            *_, last = client.watch(each)
            assert isinstance(last, StateChanged)
            assert last.state is JobState.SUCCEEDED
    server.stop()
