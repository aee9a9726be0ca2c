"""A backup made while a server works holds all that was acknowledged, and is refused if a bit of it is wrong."""

from __future__ import annotations

import threading
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import apsw
import pytest

from allgrad.server import Client, Job, JobState, Metrics
from allgrad.server.backup import back_up, restore
from allgrad.server.errors import BackupFailed, BackupRefused, CannotServe, ServerBusy
from allgrad.server.home import Home
from allgrad.server.store import Store

if TYPE_CHECKING:
    from tests.server.conftest import ServerProcess

Script = Callable[[str], str]
Finished = Callable[[Client, Job], Job]


@pytest.fixture
def filled(own_server: ServerProcess, job_script: Script, finished: Finished) -> tuple[Home, Job]:
    """A server's folder with a job that has reported."""
    with own_server.client() as client:
        job = finished(client, client.submit([job_script("reporting"), "10", "0"]))
    return Home(own_server.home), job


def test_a_backup_made_under_load_holds_what_was_acknowledged_before(
    own_server: ServerProcess, filled: tuple[Home, Job], tmp_path: Path
) -> None:
    home, job = filled
    made: list[str] = []
    stop = threading.Event()

    def submit() -> None:
        with own_server.client() as client:
            while not stop.is_set():
                made.append(client.submit(["sleep", "600"]).id)

    worker = threading.Thread(target=submit)
    worker.start()
    while len(made) < 5:
        stop.wait(0.01)
    before = list(made)
    backup = back_up(home, tmp_path / "backup")
    stop.set()
    worker.join()
    assert backup.jobs >= len(before) + 1
    other = Home(tmp_path / "other")
    assert restore(tmp_path / "backup", other) == backup
    store = Store(other)
    assert all(store.reader.job(identity) for identity in before)
    found = store.reader.job(job.id)
    assert found is not None
    assert len(store.reader.events(found[0], 0, 1 << 60, 100)) == 14
    store.close()


def test_a_restored_server_shows_what_the_old_one_did(
    own_server: ServerProcess, filled: tuple[Home, Job], finished: Finished, tmp_path: Path
) -> None:
    home, job = filled
    with own_server.client() as client:
        blocking = client.submit(["sleep", "600"], ranks=4)
        waiting = client.submit(["true"], ranks=4)
        client.pause(waiting.id)
        client.cancel(blocking.id)
        finished(client, blocking)
        events = list(client.watch(job.id))
        back_up(home, tmp_path / "backup")
        client.cancel(waiting.id)
    other = type(own_server)(tmp_path / "other")
    restore(tmp_path / "backup", Home(other.home))
    other.start()
    with other.client() as client:
        here = str(Home(other.home).output_dir(job.id))
        assert client.get(job.id) == replace(job, output_dir=here)
        assert list(client.watch(job.id)) == events
        assert len([event for event in events if isinstance(event, Metrics)]) == 10
        assert client.get(waiting.id).state is JobState.PAUSED
    other.stop()


def test_a_backup_holds_no_token_and_only_its_owner_may_read_it(filled: tuple[Home, Job], tmp_path: Path) -> None:
    home, _ = filled
    file = tmp_path / "backup"
    back_up(home, file)
    token = (home.token() or "").encode()
    with zipfile.ZipFile(file) as archive:
        assert sorted(archive.namelist()) == ["manifest.json", "metrics.db", "state.db"]
        assert all(token not in archive.read(name) for name in archive.namelist())
    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("where", ["manifest.json", "metrics.db", "state.db", "end"])
def test_a_damaged_backup_is_refused_and_leaves_nothing(filled: tuple[Home, Job], tmp_path: Path, where: str) -> None:
    file = tmp_path / "backup"
    back_up(filled[0], file)
    data = bytearray(file.read_bytes())
    if where == "end":
        del data[-100:]
    else:
        with zipfile.ZipFile(file) as archive:
            member = archive.getinfo(where)
        data[member.header_offset + 30 + len(where) + member.compress_size // 2] ^= 0xFF
    file.write_bytes(data)
    with pytest.raises(BackupFailed, match="it is no whole backup"):
        restore(file, Home(tmp_path / "other"))
    assert not list((tmp_path / "other").glob("*.db"))


def test_a_backup_is_not_put_over_jobs_nor_under_a_server_nor_over_a_file(
    filled: tuple[Home, Job], own_server: ServerProcess, tmp_path: Path
) -> None:
    home, _ = filled
    file = tmp_path / "backup"
    back_up(home, file)
    with pytest.raises(BackupRefused, match="a server runs on it"):
        restore(file, home)
    own_server.stop()
    with pytest.raises(BackupRefused, match="it has jobs of its own"):
        restore(file, home)
    with pytest.raises(BackupRefused, match="there is such a file"):
        back_up(home, file)
    with pytest.raises(BackupRefused, match="no server has ever run there"):
        back_up(Home(tmp_path / "nowhere"), tmp_path / "another")
    with pytest.raises(BackupRefused, match="there is no such file"):
        restore(tmp_path / "absent", Home(tmp_path / "other"))
    assert not (tmp_path / "other").exists()
    with pytest.raises(BackupRefused, match=r"cannot write to .*; No such file or directory; name another place"):
        back_up(home, tmp_path / "nowhere" / "another")


def test_a_restored_queued_job_has_its_uploads_and_finished_ones_leave_theirs_behind(
    own_server: ServerProcess, finished: Finished, tmp_path: Path
) -> None:
    with own_server.client() as client:

        def submit(name: str) -> Job:
            (tmp_path / name).mkdir()
            script = f"import os; print({name!r}, open(os.environ['ALLGRAD_RESUME']).read())"
            (tmp_path / name / "train.py").write_text(script)
            (tmp_path / f"{name}.step").write_text(name)
            archive, step = client.files.upload(tmp_path / name), client.files.upload_file(tmp_path / f"{name}.step")
            return client.submit(["train.py"], archive=archive, resume_from=step, max_runtime=60)

        finished(client, submit("done"))
        blocking = client.submit(["sleep", "1000"], ranks=4)
        queued = submit("needed")
        back_up(Home(own_server.home), tmp_path / "backup")
        for job in (queued, blocking):
            client.cancel(job.id)
            finished(client, job)
    own_server.stop()
    restore(tmp_path / "backup", Home(tmp_path / "other"))
    left = {path.name.partition(".")[0] for path in (tmp_path / "other" / "uploads").iterdir()}
    assert left == {queued.spec.archive, queued.spec.resume_from}
    other = type(own_server)(tmp_path / "other").start()
    with other.client() as client:
        client.cancel(blocking.id)  # it was starting when the backup was made, and has been started again
        assert finished(client, queued).state is JobState.SUCCEEDED
        assert b"".join(chunk.data for chunk in client.logs(queued.id)) == b"needed needed\n"
    other.stop()


@pytest.mark.parametrize("how", ["overwritten", "nonsense", "cut"])
def test_a_server_does_not_start_on_a_damaged_database(tmp_path: Path, how: str) -> None:
    home = Home(tmp_path / "home")
    home.prepare()
    Store(home).close()
    fill = apsw.Connection(str(home.state_db))
    rows = [(str(number), bytes(3000), 1.0) for number in range(50)]
    fill.executemany("INSERT INTO sweeps (id, spec, created) VALUES (?, ?, ?)", rows)
    fill.close()
    data = bytearray(home.state_db.read_bytes())
    match how:
        case "overwritten":
            data[len(data) // 2 : len(data) // 2 + 20_000] = bytes(20_000)
        case "nonsense":
            data[:] = b"this is not a database" * 1000
        case "cut":
            del data[len(data) // 2 :]
    home.state_db.write_bytes(data)
    with pytest.raises(CannotServe, match=r"it is damaged: .*; see: allgrad restore"):
        Store(home)


def test_a_server_that_finds_its_metrics_damaged_accepts_nothing_more_and_says_so(
    own_server: ServerProcess, eventually: Callable[[Callable[[], object]], None]
) -> None:
    own_server.stop()
    home = Home(own_server.home)
    fill = apsw.Connection(str(home.metrics_db))
    fill.executemany("INSERT INTO events VALUES (1, ?, ?)", [(number, bytes(3000)) for number in range(50)])
    fill.close()
    data = bytearray(home.metrics_db.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 20_000] = bytes(20_000)
    home.metrics_db.write_bytes(data)
    own_server.start()
    with own_server.client() as client:

        def refused() -> bool:
            try:
                client.submit(["true"])
            except ServerBusy as error:
                return "the database of the metrics is damaged" in error.found
            return False

        eventually(refused)
        assert client.info().slots
    own_server.kill()
