"""What is written is on disk, once, in order, and survives a full disk."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import apsw
import pytest

from allgrad.proto import jobs_pb2 as pb
from allgrad.server import Job, JobSpec, JobState, StateChanged
from allgrad.server.errors import CannotServe, RequestIdTaken, ServerBusy
from allgrad.server.home import Home
from allgrad.server.jobs.alerts import alert_of
from allgrad.server.messages import jobs as messages
from allgrad.server.store import Appended, JobFilter, Store
from allgrad.server.store.schema import STATE, open_to_write
from allgrad.server.supervisor.journal import CheckpointLine, Line, MetricsLine

SPEC = JobSpec(("train.py", "--epochs", "3"), ranks=2, name="n", env={"A": "b"}, workdir="/w", as_torch=True)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    home.prepare()
    return home


@pytest.fixture
def store(home: Home) -> Iterator[Store]:
    store = Store(home)
    yield store
    store.close()


def insert(store: Store, identity: str, request_id: str = "", spec: JobSpec = SPEC) -> tuple[int, Job]:
    job = Job(identity, spec, created=1.5)
    return asyncio.run(store.insert(job, request_id, StateChanged(0, 1.5, JobState.QUEUED)))


def append(store: Store, number: int, job: Job, lines: Sequence[Line]) -> Appended:
    return asyncio.run(store.append(number, job, lines, alert_of))


def losses(*numbers: int) -> list[Line]:
    return [MetricsLine(number, 2.0, number, {"loss": 1 / number}) for number in numbers]


def cursors(store: Store, number: int) -> list[int]:
    return [cursor for cursor, _ in store.reader.events(number, 0, 1 << 60, 1000)]


def test_a_job_is_read_back_as_it_was_written(store: Store) -> None:
    number, job = insert(store, "j1")
    done = replace(
        job, state=JobState.FAILED, reason="r", started=2.0, finished=3.0, exit_code=3, attempt=1, checkpoint="/c"
    )
    asyncio.run(store.save(number, done, [StateChanged(0, 3.0, done.state, "r", 3, 1)]))
    assert store.reader.job("j1") == (number, done)
    assert store.reader.job("absent") is None


def test_what_was_written_is_there_after_opening_again(store: Store, home: Home) -> None:
    number, job = insert(store, "j1")
    append(store, number, job, losses(1, 2, 3))
    other = Store(home)
    assert other.reader.job("j1") == (number, job)
    assert cursors(other, number) == [1, 2, 3, 4]
    other.close()


def test_a_store_that_was_closed_is_in_its_two_files_and_needs_no_journals_beside_them(home: Home) -> None:
    store = Store(home)
    number, job = insert(store, "j1")
    append(store, number, job, losses(1))
    assert store.reader.job("j1"), "a reader is open"
    store.close()
    for path in (home.state_db, home.metrics_db):
        path.with_name(f"{path.name}-wal").unlink(missing_ok=True)
    again = Store(home)
    assert cursors(again, number) == [1, 2]
    again.close()


@pytest.mark.parametrize("checkpoint", ["inside", "elsewhere", ""])
def test_in_a_folder_that_was_moved_a_job_keeps_its_output_and_goes_on_from_its_checkpoint(
    home: Home, checkpoint: str
) -> None:
    paths = {"inside": home.output_dir("j1") / "step-7", "elsewhere": Path("/data/step-7")}
    moved = Home(home.path.with_name("moved"))
    expected = {"inside": moved.output_dir("j1") / "step-7", "elsewhere": Path("/data/step-7")}
    store = Store(home)
    job = Job("j1", SPEC, output_dir=str(home.output_dir("j1")), checkpoint=str(paths.get(checkpoint, "")))
    asyncio.run(store.insert(job, "", StateChanged(0, 1.5, JobState.QUEUED)))
    store.close()
    home.path.rename(moved.path)
    store = Store(moved)
    ((_, found),) = store.reader.unfinished()
    assert found.output_dir == str(moved.output_dir("j1"))
    assert found.checkpoint == str(expected.get(checkpoint, ""))
    store.close()


def test_the_same_request_makes_one_job_however_often_it_races(store: Store) -> None:
    async def race() -> list[tuple[int, Job]]:
        event = StateChanged(0, 1.0, JobState.QUEUED)
        jobs = [Job(f"j{number}", SPEC, created=1.5) for number in range(64)]
        return await asyncio.gather(*(store.insert(job, "once", event) for job in jobs))

    assert len({job.id for _, job in asyncio.run(race())}) == 1
    assert len(store.reader.page(JobFilter(), 1 << 60, 100)) == 1


def test_the_same_request_id_for_another_job_is_refused_and_spoils_nobody_elses_change(store: Store) -> None:
    insert(store, "j1", "taken")

    async def together() -> tuple[object, object]:
        event = StateChanged(0, 1.0, JobState.QUEUED)
        bad = store.insert(Job("j2", JobSpec(("other.py",))), "taken", event)
        good = store.insert(Job("j3", SPEC), "free", event)
        return await asyncio.gather(bad, good, return_exceptions=True)

    refused, made = asyncio.run(together())
    assert isinstance(refused, RequestIdTaken)
    assert isinstance(made, tuple)
    assert store.reader.job("j2") is None
    assert store.reader.job("j3") is not None


def test_journal_lines_sent_twice_are_written_once(store: Store) -> None:
    number, job = insert(store, "j1")
    assert append(store, number, job, losses(1, 2)).sequence == 2
    assert append(store, number, job, losses(1, 2, 3)).sequence == 3
    assert append(store, number, job, losses(1, 2, 3)).batches == ()
    assert cursors(store, number) == [1, 2, 3, 4]
    assert store.reader.progress(number, job.attempt) == 3


def test_each_attempt_has_a_journal_of_its_own(store: Store) -> None:
    number, job = insert(store, "j1")
    append(store, number, replace(job, attempt=1), losses(1, 2))
    append(store, number, replace(job, attempt=2), losses(1))
    assert [store.reader.progress(number, attempt) for attempt in (1, 2, 3)] == [2, 1, 0]


def test_events_of_states_and_metrics_come_in_the_order_of_their_writing(store: Store) -> None:
    number, job = insert(store, "j1")
    append(store, number, job, losses(1))
    asyncio.run(store.save(number, job, [StateChanged(0, 3.0, JobState.STARTING)]))
    append(store, number, job, losses(2))
    found = store.reader.events(number, 0, 1 << 60, 100)
    kinds = [pb.JobEvent.FromString(event).WhichOneof("event") for _, event in found]
    assert kinds == ["state_change", "metrics", "state_change", "metrics"]
    assert [cursor for cursor, _ in store.reader.events(number, 1, 3, 100)] == [2, 3]
    assert [cursor for cursor, _ in store.reader.events(number, 0, 4, 3)] == [1, 2, 3]
    assert store.reader.last_cursor(number) == 4


def test_a_checkpoint_is_kept_on_the_job(store: Store) -> None:
    number, job = insert(store, "j1")
    told = append(store, number, job, [CheckpointLine(1, 2.0, 10, "/out/step-10")])
    assert told.job.checkpoint == "/out/step-10"
    found = store.reader.job("j1")
    assert found is not None
    assert found[1].checkpoint == "/out/step-10"


def test_a_gap_in_the_journal_is_told(store: Store) -> None:
    number, job = insert(store, "j1")
    told = append(store, number, job, losses(1, 4))
    assert (
        told.job.warning
        == "lines 2 to 3 of the journal are lost: damaged, or dropped since too much waited for the server"
    )
    events = [pb.JobEvent.FromString(event) for _, event in store.reader.events(number, 2, 100, 100)]
    assert [event.alert.message for event in events if event.HasField("alert")] == [told.job.warning]


def test_unfinished_jobs_are_found_oldest_first(store: Store) -> None:
    for identity in ("j1", "j2", "j3"):
        insert(store, identity)
    number, job = insert(store, "j4")
    asyncio.run(store.save(number, replace(job, state=JobState.CANCELLED), []))
    assert [job.id for _, job in store.reader.unfinished()] == ["j1", "j2", "j3"]
    assert [job.id for _, job in store.reader.page(JobFilter((JobState.CANCELLED,)), 1 << 60, 10)] == ["j4"]


def test_a_full_disk_is_an_error_and_not_the_end(store: Store) -> None:
    number, job = insert(store, "j1")
    state = store._writer._transaction.state
    limit = state.pragma("page_count")
    state.pragma("max_page_count", limit)
    with pytest.raises(ServerBusy, match="its disk is full"):
        insert(store, "j2", spec=JobSpec(("x" * 100_000,)))
    assert store.reader.job("j2") is None
    state.pragma("max_page_count", limit + 1000)
    insert(store, "j2", spec=JobSpec(("x" * 100_000,)))
    assert cursors(store, number) == [1]
    assert append(store, number, job, losses(1)).batches[-1].upto == 2


def test_after_an_io_error_nothing_is_acknowledged(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise apsw.IOError("disk I/O error")

    monkeypatch.setattr(store._writer._transaction, "commit", fail)
    with pytest.raises(ServerBusy, match="its disk fails"):
        insert(store, "j1")
    monkeypatch.undo()
    assert store.broken is not None
    with pytest.raises(ServerBusy, match="its disk fails"):
        insert(store, "j2")


def test_a_database_of_a_newer_allgrad_is_refused(home: Home) -> None:
    open_to_write(home.state_db, STATE).pragma("user_version", 99)
    with pytest.raises(CannotServe, match="version 99"):
        Store(home)


def test_the_store_is_as_durable_as_sqlite_can_be(store: Store) -> None:
    for database in (store._writer._transaction.state, store._writer._transaction.metrics):
        assert (database.pragma("journal_mode"), database.pragma("synchronous")) == ("wal", 2)


def test_a_message_tells_the_job_and_the_job_the_message() -> None:
    job = Job("j", SPEC, JobState.UNKNOWN, "why", 1.25, 2.5, 3.75, 0, 2, "/out", "/ckpt", "nan")
    assert messages.job_value(messages.job_message(job)) == job
    bare = Job("j", JobSpec(("true",)))
    assert messages.job_value(messages.job_message(bare)) == bare


def test_a_flood_of_metrics_holds_up_a_submit_by_one_commit_at_most(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    number, job = insert(store, "j1")
    commits: list[str] = []
    transaction = store._writer._transaction
    commit = transaction.commit

    def note() -> None:
        changed = transaction.state.total_changes()
        commit()
        commits.append("submit" if changed > note_changes[0] else "metrics")
        note_changes[0] = changed

    note_changes = [transaction.state.total_changes()]
    monkeypatch.setattr(transaction, "commit", note)

    async def flood() -> None:
        event = StateChanged(0, 1.0, JobState.QUEUED)
        reports = [store.append(number, job, losses(*range(n * 2000 + 1, n * 2000 + 2001)), alert_of) for n in range(8)]
        tasks = [asyncio.ensure_future(report) for report in reports]
        await asyncio.sleep(0)
        await store.insert(Job("j2", SPEC, created=1.5), "", event)
        assert commits.index("submit") <= 1
        await asyncio.gather(*tasks)

    asyncio.run(flood())
    assert commits.count("submit") == 1
    assert cursors(store, number)[:3] == [1, 2, 3]


def test_metrics_are_deleted_in_pieces_from_the_first_on_and_their_room_goes_back_to_the_disk(
    store: Store, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("allgrad.server.store.store._DELETED_AT_ONCE", 300)
    number, job = insert(store, "long")
    other, _ = insert(store, "other")
    append(store, number, job, losses(*range(1, 2001)))
    append(store, other, replace(job, id="other"), losses(1))
    left: list[int] = []

    async def delete() -> None:
        deletion = asyncio.ensure_future(store.delete(number, job))
        while not deletion.done():
            left.append(len(store.reader.events(number, 0, 1 << 60, 10_000)))
            assert store.reader.last_cursor(number) in (2001, 1, 0)
            await asyncio.sleep(0)
        await deletion

    asyncio.run(delete())
    assert any(1 < count < 2000 for count in left)
    assert (cursors(store, number), cursors(store, other)) == ([], [1, 2])
    metrics = apsw.Connection(str(home.metrics_db))
    assert metrics.pragma("freelist_count") == 0
