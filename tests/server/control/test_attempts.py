"""An attempt whose end cannot be written down is not left where it stands."""

from __future__ import annotations

import asyncio
import dataclasses
import errno
from collections.abc import Sequence
from pathlib import Path

import pytest

from allgrad.server import Job, JobSpec, JobState
from allgrad.server.control import attempts
from allgrad.server.control.attempts import Attempts, Settings
from allgrad.server.control.remains import Remains
from allgrad.server.control.tracked import Tracked
from allgrad.server.home import Home
from allgrad.server.jobs import lifecycle
from allgrad.server.jobs.lifecycle import ContactLost, Ended, FoundDead, Happening
from allgrad.server.jobs.spec import FailureKind
from allgrad.server.store import Store
from allgrad.server.supervisor import processes
from allgrad.server.supervisor.attempt import Exit, Order, RunDir
from allgrad.server.supervisor.journal import Line

JOB = Job("j", JobSpec(("train.py",)), JobState.RUNNING, attempt=1, started=1.0)
ENDED = Exit(3, "exit code 3", False, 9.0, kind=FailureKind.EXIT_CODE)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunDir:
    """The folder of an attempt whose supervisor is gone."""
    monkeypatch.setattr(attempts, "_FIRST_PAUSE", 0.001)
    home = Home(tmp_path)
    home.prepare()
    run = RunDir(home.run_dir("j", 1))
    run.prepare(Order("j", 1, ["train.py"], 1, False, {}, "/", str(tmp_path / "out"), str(tmp_path), 1, 1.0, 1 << 20))
    run.note_exit(ENDED)
    return run


def conclude(
    run: RunDir, failures: int = 0, job: Job = JOB, moves_on: bool = False, action: lifecycle.Action | None = None
) -> list[Happening]:
    """Take up the attempt, or do *action* to it, with *failures* to write its end down; return what happened to the job."""
    happened: list[Happening] = []

    async def follow() -> None:
        store = Store(Home(run.path.parents[2]))
        tracked = Tracked(1, job, 1)

        async def apply(_: Tracked, happening: Happening, notes: Sequence[str] = ()) -> None:
            nonlocal failures
            failures -= 1
            if failures >= 0:
                if moves_on:
                    tracked.job = dataclasses.replace(job, attempt=2)
                raise RuntimeError("not now")
            happened.append(happening)

        async def report(_: str, __: int, lines: Sequence[Line]) -> int:
            raise AssertionError("there is nothing to report")

        async def find(job_id: str) -> tuple[int, Job, Tracked | None]:
            raise AssertionError("nothing is owed")

        home = Home(run.path.parents[2])
        mine = Attempts(home, store, Settings(1), apply, report, Remains(home, store, find, report))
        if action:
            mine.perform(tracked, action)
        else:
            assert not await mine.take_up(tracked)
        while mine.work.busy:
            await asyncio.sleep(0.001)
        store.close()

    asyncio.run(follow())
    return happened


def test_an_end_is_written_down(run: RunDir) -> None:
    assert conclude(run) == [Ended(9.0, 3, "exit code 3", False, FailureKind.EXIT_CODE)]


def test_an_end_that_cannot_be_written_down_at_first_is_later(run: RunDir) -> None:
    assert conclude(run, failures=3) == [Ended(9.0, 3, "exit code 3", False, FailureKind.EXIT_CODE)]


def test_an_end_that_happened_though_something_failed_does_not_end_the_next_attempt(run: RunDir) -> None:
    assert conclude(run, failures=1, moves_on=True) == []


def test_an_attempt_whose_records_are_broken_counts_as_lost_in_the_end(run: RunDir) -> None:
    (run.path / "exit.json").write_text("{")
    (happening,) = conclude(run)
    assert isinstance(happening, ContactLost)
    assert "cannot be read" in happening.reason


def test_the_record_of_an_older_supervisor_is_read(run: RunDir) -> None:
    (run.path / "exit.json").write_text(
        '{"exit_code": 0, "reason": "", "stopped": false, "finished": 2.0, "notes": []}'
    )
    assert conclude(run) == [Ended(2.0, 0)]


def test_processes_that_cannot_be_looked_for_are_not_taken_for_dead(
    run: RunDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = [OSError(errno.EMFILE, "Too many open files"), OSError(errno.ENOMEM, "Cannot allocate memory")]

    def end(*_: object) -> None:
        if failures:
            raise failures.pop()

    monkeypatch.setattr(processes, "end", end)
    assert [type(happening) for happening in conclude(run, action=lifecycle.Sweep())] == [FoundDead]
    assert not failures
