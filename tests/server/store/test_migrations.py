"""A store that an earlier allgrad wrote is brought up to date, and says what it said."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import apsw
import pytest

from allgrad.proto import jobs_pb2 as pb
from allgrad.server import Dependency, Job, JobSpec, JobState, RetryRule, StateChanged
from allgrad.server.home import Home
from allgrad.server.store import JobFilter, LabelTerm, LabelTest, Store
from allgrad.server.store.schema import METRICS, STATE, open_to_write

RECORDED = Path(__file__).parents[2] / "data" / "store" / "version-1"
FINISHED = Job(
    "finished",
    JobSpec(("train.py", "--epochs", "3"), ranks=2, name="descent", env={"A": "b"}, workdir="/work", as_torch=True),
    JobState.FAILED,
    "exit code 3",
    created=100.5,
    started=101.0,
    finished=104.0,
    exit_code=3,
    attempt=1,
    output_dir="/jobs/finished/output",
    checkpoint="/jobs/finished/output/step-1",
    queued=100.5,
)
EVERY = 1 << 60


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A folder as version 1 left it."""
    home = Home(tmp_path / "home")
    home.prepare()
    for name in ("state.db", "metrics.db"):
        shutil.copy(RECORDED / name, home.path)
    return home


@pytest.fixture
def store(home: Home) -> Iterator[Store]:
    store = Store(home)
    yield store
    store.close()


def test_the_recorded_store_is_of_version_1() -> None:
    for name in ("state.db", "metrics.db"):
        connection = apsw.Connection(
            f"file:{RECORDED / name}?immutable=1", flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
        )
        assert connection.pragma("user_version") == 1
        connection.close()


def test_jobs_are_read_as_they_were_with_defaults_for_what_is_new(store: Store, home: Home) -> None:
    here = str(home.output_dir("finished"))
    expected = replace(FINISHED, output_dir=here, checkpoint=f"{here}/step-1")  # the folder is elsewhere now
    assert store.reader.job("finished") == (1, expected)
    waiting, ending = store.reader.unfinished()
    assert (waiting[1].state, waiting[1].queued, waiting[1].priority) == (JobState.QUEUED, 105.0, 0)
    assert (ending[1].state, ending[1].stopping) == (JobState.STOPPING, None)


def test_events_and_metrics_are_kept(store: Store) -> None:
    events = [pb.JobEvent.FromString(event) for _, event in store.reader.events(1, 0, EVERY, 100)]
    kinds = [event.WhichOneof("event") for event in events]
    assert kinds == ["state_change", "state_change", "metrics", "checkpoint", "state_change"]
    assert store.reader.progress(1, 1) == 2


def test_old_jobs_are_found_by_name(store: Store) -> None:
    assert [job.id for _, job in store.reader.page(JobFilter(name="DESC"), EVERY, 10)] == ["finished"]
    assert [job.id for _, job in store.reader.page(JobFilter(name="wait"), EVERY, 10)] == ["waiting"]


def test_request_ids_are_remembered(store: Store) -> None:
    assert store.reader.knows("request-1")
    assert not store.reader.knows("request-2")


def test_new_jobs_take_their_place_beside_the_old_ones(store: Store) -> None:
    spec = JobSpec(("new.py",), labels={"team": "vision"}, retries=(RetryRule(3),), after=(Dependency("finished"),))
    job = Job("new", spec, created=200.0, queued=200.0, cores=(0, 2), failures={"exit": 1}, not_before=3.5, priority=7)
    assert asyncio.run(store.insert(job, "", StateChanged(0, 200.0, job.state))) == (4, job)
    assert store.reader.job("new") == (4, job)
    vision = JobFilter(labels=(LabelTerm("team", LabelTest.EQUAL, "vision"),))
    assert [job.id for _, job in store.reader.page(vision, EVERY, 10)] == ["new"]


def test_a_migration_that_fails_leaves_the_version_before(home: Home) -> None:
    def fail(_: apsw.Connection) -> None:
        raise apsw.FullError("database or disk is full")

    with pytest.raises(apsw.FullError):
        open_to_write(home.state_db, [*STATE[:2], fail])
    connection = open_to_write(home.state_db, STATE)
    assert connection.pragma("user_version") == len(STATE)
    connection.close()
    open_to_write(home.metrics_db, METRICS).close()
