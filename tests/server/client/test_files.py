"""Folders go up and artifacts come down: known again by their hash, resumed, and never out of their place."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import grpc
import pytest

from allgrad.proto import files_pb2 as pb
from allgrad.proto.files_pb2_grpc import FileServiceStub
from allgrad.server import Client, Job, JobState
from allgrad.server.client.packing import files_of, pack
from allgrad.server.client.questions import files
from allgrad.server.client.questions.question import Sending
from allgrad.server.errors import Forbidden, InvalidRequest

from ..conftest import ServerProcess

SCRIPT = """
import os, pathlib
out = pathlib.Path(os.environ["ALLGRAD_OUTPUT_DIR"])
print(pathlib.Path("data/words.txt").read_text())
(out / "steps").mkdir(exist_ok=True)
(out / "steps" / "1.bin").write_bytes(b"0123456789" * 100_000)
(out / "token").symlink_to(out.parents[2] / "token")
(out / "home").symlink_to(out.parents[2])
os.mkfifo(out / "pipe")
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    (tmp_path / "train.py").write_text(SCRIPT)
    (tmp_path / "data" / "words.txt").write_text("many words")
    return tmp_path


@pytest.fixture
def stub(server: ServerProcess) -> Iterator[FileServiceStub]:
    home = server.client()._destination.home
    with grpc.insecure_channel(home.address() or "") as channel:
        yield FileServiceStub(channel)


def metadata(server: ServerProcess) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {server.client()._destination.home.token()}"),)


@pytest.fixture
def done(client: Client, folder: Path, finished: Callable[[Client, Job], Job]) -> Job:
    """A job that ran in an uploaded folder."""
    job = finished(client, client.submit(["train.py"], archive=client.files.upload(folder)))
    assert job.state is JobState.SUCCEEDED, job.reason
    return job


def test_a_job_runs_in_a_copy_of_the_folder_that_was_uploaded(client: Client, done: Job, folder: Path) -> None:
    assert b"".join(chunk.data for chunk in client.logs(done.id)).startswith(b"many words\n")
    assert not (folder / "out").exists()


def test_a_folder_that_the_server_has_is_not_sent_again(
    client: Client, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "once").write_text("")
    digest = client.files.upload(folder)
    monkeypatch.setattr(files, "upload", None)
    assert client.files.upload(folder) == digest


def test_an_upload_that_broke_off_goes_on_where_it_stood(
    server: ServerProcess, client: Client, folder: Path, stub: FileServiceStub, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "large").write_bytes(os.urandom(3 << 20))
    made = io.BytesIO()
    pack(files_of(folder), made)
    raw = made.getvalue()
    digest = hashlib.sha256(raw).hexdigest()
    first = pb.UploadArchiveRequest(digest=digest, size=len(raw), data=raw[: 1 << 20])
    with pytest.raises(grpc.RpcError, match="the upload is not complete"):
        stub.UploadArchive(iter([first]), metadata=metadata(server))
    assert client._session.ask(files.progress(digest)) == (1 << 20, False)
    offsets: list[int] = []
    send = files.upload

    def noted(name: str, file: IO[bytes], size: int, offset: int) -> Sending:
        offsets.append(offset)
        return send(name, file, size, offset)

    monkeypatch.setattr(files, "upload", noted)
    assert client.files.upload(folder) == digest
    assert offsets == [1 << 20]


def test_an_upload_that_is_not_what_it_says_is_refused_and_forgotten(
    server: ServerProcess, stub: FileServiceStub
) -> None:
    raw, digest = b"not an archive", hashlib.sha256(b"not an archive").hexdigest()
    wrong = "0" * 64
    for name, said in ((wrong, "not what was announced"), (digest, "the archive cannot be used")):
        request = pb.UploadArchiveRequest(digest=name, size=len(raw), data=raw)
        with pytest.raises(grpc.RpcError, match=said):
            stub.UploadArchive(iter([request]), metadata=metadata(server))
        answer = stub.GetUpload(pb.GetUploadRequest(digest=name), metadata=metadata(server))
        assert (answer.size, answer.complete) == (0, False)


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (pb.UploadArchiveRequest(digest="../../token", size=1, data=b"x"), "no hash of an archive"),
        (pb.UploadArchiveRequest(digest="", size=1, data=b"x"), "no hash of an archive"),
        (pb.UploadArchiveRequest(digest="A" * 64, size=1, data=b"x"), "no hash of an archive"),
        (pb.UploadArchiveRequest(digest="a" * 64, size=1 << 40, data=b"x"), "cannot have"),
        (pb.UploadArchiveRequest(digest="a" * 64, size=-1, data=b"x"), "cannot have"),
        (pb.UploadArchiveRequest(digest="a" * 64, size=1, data=b"xx"), "a chunk is too long"),
        (pb.UploadArchiveRequest(digest="a" * 64, size=2 << 20, data=bytes((1 << 20) + 1)), "a chunk is too long"),
        (pb.UploadArchiveRequest(digest="b" * 64, size=9, offset=5, data=b"x"), "does not go on at 5"),
        (pb.UploadArchiveRequest(digest="b" * 64, size=9, offset=-5, data=b"x"), "does not go on at -5"),
    ],
)
def test_odd_uploads_are_refused(
    server: ServerProcess, stub: FileServiceStub, request_: pb.UploadArchiveRequest, said: str
) -> None:
    with pytest.raises(grpc.RpcError, match=said):
        stub.UploadArchive(iter([request_]), metadata=metadata(server))


def test_a_job_whose_script_is_not_in_the_archive_is_refused_at_once(client: Client, folder: Path) -> None:
    digest = client.files.upload(folder)
    with pytest.raises(InvalidRequest, match="not among the 2 files"):
        client.submit(["other.py"], archive=digest)
    with pytest.raises(InvalidRequest, match="no upload has the hash"):
        client.submit(["train.py"], archive="f" * 64)
    for outside in ("/tmp", "..", "data/../.."):
        with pytest.raises(InvalidRequest, match="it is not in the archive"):
            client.submit(["train.py"], archive=digest, workdir=outside)


def test_artifacts_are_listed_without_links_and_fetched_with_their_hash(
    client: Client, done: Job, tmp_path: Path
) -> None:
    found, more = client.files.artifacts(done.id)
    assert [(each.path, each.size) for each in found] == [("steps/1.bin", 1_000_000)]
    assert not more
    fetched = client.files.download(done.id, "steps/1.bin", tmp_path / "here" / "1.bin")
    assert fetched.read_bytes() == b"0123456789" * 100_000


def test_a_download_that_broke_off_goes_on_and_one_that_is_damaged_is_told(
    client: Client, done: Job, tmp_path: Path
) -> None:
    target, part = tmp_path / "1.bin", tmp_path / "1.bin.part"
    part.write_bytes((b"0123456789" * 100_000)[:600_001])
    assert client.files.download(done.id, "steps/1.bin", target).read_bytes() == b"0123456789" * 100_000
    part.write_bytes(b"x" * 1000)
    with pytest.raises(Exception, match="is damaged; its hash"):
        client.files.download(done.id, "steps/1.bin", target)
    assert not part.exists()


@pytest.mark.parametrize(
    "path", ["token", "home/token", "../../../token", "/etc/passwd", "steps", "pipe", "", ".", "steps/../token", "a\0b"]
)
def test_nothing_outside_the_output_folder_can_be_fetched(client: Client, done: Job, path: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="no artifact"):
        client.files.download(done.id, path, tmp_path / "fetched")


def test_a_viewer_fetches_and_does_not_upload(
    server: ServerProcess, client: Client, done: Job, folder: Path, tmp_path: Path
) -> None:
    _, secret = client.access.create_token("viewer", "view")
    with Client(home=server.home, token=secret) as viewer:
        assert viewer.files.download(done.id, "steps/1.bin", tmp_path / "mine").stat().st_size == 1_000_000
        with pytest.raises(Forbidden, match="does not allow GetUpload"):
            viewer.files.upload(folder)
