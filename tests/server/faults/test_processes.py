"""Supervisors, launchers, ranks and servers killed under running jobs: no process is left, no state is wrong."""

from __future__ import annotations

import os
import random
import resource
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

import pytest

from allgrad.server import Client, Job, JobState, Metrics, StateChanged
from allgrad.server.supervisor import processes

if TYPE_CHECKING:
    from tests.server.conftest import ServerProcess

Script = Callable[[str], str]
Survivors = Callable[[Job], list[str]]
Eventually = Callable[[Callable[[], object]], None]
LAUNCHERS = ("mpirun", "prterun", "mpiexec.hydra")


def launch(client: Client, script: str, ranks: int) -> Job:
    """Start a job and wait until each rank has printed something."""
    job = client.submit([script], ranks=ranks)
    for rank in range(ranks):
        for _ in client.logs(job.id, rank, follow=True):
            break
    return job


def complete(survivors: Survivors, job: Job) -> bool:
    """Whether four ranks, the daemon that each of them makes, and a launcher are there at least."""
    return len(survivors(job)) >= 9


def ended(client: Client, job: Job) -> Job:
    """Wait for the end of a job and return it as it is then; no terminal state may be left again."""
    states = [event.state for event in client.watch(job.id) if isinstance(event, StateChanged)]
    assert [state for state in states if state.terminal] == states[-1:]
    return client.get(job.id)


def victim(job: Job, what: str) -> processes.Process:
    """The supervisor, the launcher, or one of the ranks of a job."""
    everybody = sorted(processes.tagged(job.id, 1), key=lambda process: process.start)
    match what:
        case "supervisor":
            return everybody[0]
        case "launcher":
            return next(process for process in everybody if process.name in LAUNCHERS)
        case _:
            others = [process for process in everybody[1:] if process.name.startswith("python")]
            return random.Random(job.id).choice(others)


@pytest.mark.parametrize("what", ["supervisor", "launcher", "rank"])
@pytest.mark.parametrize("times", [1, pytest.param(30, marks=pytest.mark.chaos)])
def test_whatever_of_a_job_is_killed_it_fails_and_nothing_of_it_is_left(
    client: Client, job_script: Script, survivors: Survivors, what: str, times: int
) -> None:
    for _ in range(times):
        job = launch(client, job_script("waiting"), 2)
        assert processes.send(victim(job, what), signal.SIGKILL)
        job = ended(client, job)
        assert job.state is JobState.FAILED, job
        assert job.reason
        assert survivors(job) == []


@pytest.mark.parametrize("times", [2, pytest.param(100, marks=pytest.mark.chaos)])
def test_no_process_survives_the_cancel_of_ranks_that_ignore_it_daemonise_and_hold_their_output(
    any_client: Client, job_script: Script, survivors: Survivors, eventually: Eventually, times: int
) -> None:
    for _ in range(times):
        job = launch(any_client, job_script("stubborn"), 4)
        eventually(partial(complete, survivors, job))
        any_client.cancel(job.id)
        job = ended(any_client, job)
        assert (job.state, job.reason) == (JobState.CANCELLED, "cancelled")
        assert survivors(job) == []


@pytest.mark.parametrize(
    ("restarts", "steps"), [(2, 30), pytest.param(40, 300, marks=pytest.mark.chaos)], ids=["quick", "whole"]
)
def test_eight_running_jobs_do_not_notice_that_their_server_is_killed_and_started(
    server_with: Callable[..., ServerProcess], job_script: Script, restarts: int, steps: int
) -> None:
    server = server_with(slots=8)
    with server.client() as client:
        jobs = [client.submit([job_script("reporting"), str(steps), "0.1"]) for _ in range(8)]
        dice = random.Random(8)
        for _ in range(restarts):
            time.sleep(dice.uniform(0.1, 0.6))
            server.kill()
            server.start()
        for job in jobs:
            events = list(client.watch(job.id))
            assert [event.step for event in events if isinstance(event, Metrics)] == list(range(1, steps + 1))
            states = [event.state for event in events if isinstance(event, StateChanged)]
            assert states == [JobState.QUEUED, JobState.STARTING, JobState.RUNNING, JobState.SUCCEEDED]
            assert client.get(job.id).attempt == 1


def test_the_clock_may_jump_while_jobs_run(own_server: ServerProcess, job_script: Script) -> None:
    """A job whose times lie in the future, as after a clock that was set back, goes on and ends as it should."""
    with own_server.client() as client:
        job = client.submit([job_script("reporting"), "20", "0.05"])
        state = own_server.home / "state.db"
        while client.get(job.id).state is not JobState.RUNNING:
            time.sleep(0.02)
        own_server.kill()
        set_ahead(state, 10 * 86400)
        own_server.start()
        after = client.submit(["true"])
        assert ended(client, job).state is JobState.SUCCEEDED
        assert ended(client, after).state is JobState.SUCCEEDED
        cursors = [event.cursor for event in client.watch(job.id)]
        assert cursors == sorted(set(cursors))


def set_ahead(database: os.PathLike[str], seconds: float) -> None:
    """Change all times in the jobs' database to what a clock that goes *seconds* ahead would have written."""
    import apsw

    connection = apsw.Connection(os.fspath(database))
    connection.execute(
        "UPDATE jobs SET created = created + ?1, started = started + ?1, queued = queued + ?1", (seconds,)
    )
    connection.close()


@contextmanager
def without_open_files(server: ServerProcess) -> Iterator[None]:
    """Let *server* open no file beside those that it has."""
    limits = resource.prlimit(server.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (3, limits[1]))
    try:
        yield
    finally:
        resource.prlimit(server.pid, resource.RLIMIT_NOFILE, limits)


def waits_for_files(client: Client, job: Job) -> bool:
    return "Too many open files" in client.get(job.id).reason


def test_a_job_waits_for_what_the_machine_lacks_and_can_be_cancelled_meanwhile(
    own_server: ServerProcess, eventually: Eventually
) -> None:
    with own_server.client() as client:
        ended(client, client.submit(["true"]))
        with without_open_files(own_server):
            waiting, unwanted = client.submit(["true"]), client.submit(["true"])
            for job in (waiting, unwanted):
                eventually(partial(waits_for_files, client, job))
            assert client.get(waiting.id).state is JobState.STARTING
            client.cancel(unwanted.id)
        assert ended(client, unwanted).state is JobState.CANCELLED
        assert ended(client, waiting).state is JobState.SUCCEEDED


def test_the_server_may_open_more_files_than_its_jobs(server_with: Callable[..., ServerProcess]) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1000, hard))
    try:
        server = server_with()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    with server.client() as client:
        job = client.submit(["sh", "-c", "ulimit -Sn"])
        ended(client, job)
        assert b"".join(chunk.data for chunk in client.logs(job.id, 0)) == b"1000\n"
    assert resource.prlimit(server.pid, resource.RLIMIT_NOFILE)[0] == min(hard, 65536)
