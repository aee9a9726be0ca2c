"""``allgrad wait``: returns when all have ended, says how by its exit code, and leaves jobs alone."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable

import pytest

from .conftest import CommandLine

Submitted = Callable[..., str]


@pytest.fixture
def submitted(server: CommandLine) -> Submitted:
    """Submits, and returns the id."""
    return lambda *words: server("submit", *words).stdout.strip()


def test_waiting_for_jobs_that_succeed_ends_with_the_last_and_with_0(server: CommandLine, submitted: Submitted) -> None:
    jobs = submitted("sleep", "1"), submitted("true")
    done = server("wait", *jobs)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "".join(f"{job} succeeded\n" for job in jobs)
    again = server("wait", jobs[0], "--json")
    assert (again.returncode, json.loads(again.stdout)["state"]) == (0, "SUCCEEDED")


def test_the_code_is_that_of_the_first_named_that_has_not_succeeded(server: CommandLine, submitted: Submitted) -> None:
    good, gone = submitted("true"), submitted("sleep", "600")
    three, four = (submitted("sh", "-c", f"exit {code}") for code in (3, 4))
    server("cancel", gone)
    assert server("wait", good, three, four, gone).returncode == 3
    assert server("wait", four, three).returncode == 4
    assert server("wait", gone, three).returncode == 6


def test_waiting_no_longer_than_told_ends_with_124_and_the_job_goes_on(
    server: CommandLine, submitted: Submitted
) -> None:
    job = submitted("sleep", "600")
    began = time.monotonic()
    done = server("wait", job, "--timeout", "1s")
    assert (done.returncode, done.stdout) == (124, "")
    assert done.stderr == "allgrad: not all jobs have ended in 1 s; they go on\n"
    assert time.monotonic() - began < 10
    assert json.loads(server("show", job, "--json").stdout)["state"] == "RUNNING"
    server("cancel", job)
    assert server("wait", job, "--timeout", "10m").returncode == 6


def test_an_unknown_job_is_told_before_any_is_waited_for(server: CommandLine, submitted: Submitted) -> None:
    job = submitted("sleep", "600")
    done = server("wait", job, "nosuchjob", "--timeout", "60s")
    assert (done.returncode, done.stdout) == (5, "")
    assert "no job 'nosuchjob'" in done.stderr
    server("cancel", job)


def test_ctrl_c_ends_the_waiting_alone(server: CommandLine, submitted: Submitted) -> None:
    job = submitted("sleep", "600")
    waiting = server.start("wait", job)
    time.sleep(2)
    waiting.send_signal(signal.SIGINT)
    said, _ = waiting.communicate(timeout=60)
    assert (waiting.returncode, said) == (130, "allgrad: you stopped waiting; the jobs go on\n")
    assert json.loads(server("show", job, "--json").stdout)["state"] == "RUNNING"
    server("cancel", job)
