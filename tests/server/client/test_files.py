"""Folders go up and artifacts come down: known again by their hash, resumed, and never out of their place."""

from __future__ import annotations

import asyncio
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
from allgrad.server import Client, Job, JobState, RetryRule
from allgrad.server.client.packing import files_of, pack
from allgrad.server.client.questions import files
from allgrad.server.client.questions.question import Sending
from allgrad.server.control.retention import forget_uploads
from allgrad.server.errors import Forbidden, InvalidRequest
from allgrad.server.files.uploads import Uploads
from allgrad.server.home import Home

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


def filled(folder: Path) -> Path:
    (folder / "data").mkdir()
    (folder / "train.py").write_text(SCRIPT)
    (folder / "data" / "words.txt").write_text("many words")
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return filled(tmp_path)


@pytest.fixture
def stub(server: ServerProcess) -> Iterator[FileServiceStub]:
    home = server.client()._destination.home
    with grpc.insecure_channel(home.address() or "") as channel:
        yield FileServiceStub(channel)


def metadata(server: ServerProcess) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {server.client()._destination.home.token()}"),)


@pytest.fixture(scope="module")
def ran_in(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the job of this module was given."""
    return filled(tmp_path_factory.mktemp("ran-in"))


@pytest.fixture(scope="module")
def done(server: ServerProcess, ran_in: Path) -> Job:
    """A job that ran in an uploaded folder."""
    with server.client() as client:
        job = client.submit(["train.py"], archive=client.files.upload(ran_in))
        assert list(client.watch(job.id))
        assert client.get(job.id).state is JobState.SUCCEEDED, client.get(job.id).reason
    return job


def test_a_job_runs_in_a_copy_of_the_folder_that_was_uploaded(client: Client, done: Job, ran_in: Path) -> None:
    assert b"".join(chunk.data for chunk in client.logs(done.id)).startswith(b"many words\n")
    assert sorted(path.name for path in ran_in.iterdir()) == ["data", "train.py"]


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

    def noted(name: str, file: IO[bytes], size: int, offset: int, plain: bool) -> Sending:
        offsets.append(offset)
        return send(name, file, size, offset, plain)

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


@pytest.mark.parametrize("name", ["new\nline", "back\\slash", "\udcff"])
def test_a_file_whose_name_no_archive_may_have_is_told_before_anything_is_sent(folder: Path, name: str) -> None:
    (folder / "data" / name).touch()
    with (
        Client("127.0.0.1:1", "token") as client,
        pytest.raises(InvalidRequest, match=r"is an odd name; rename it, or leave it to \.allgradignore") as refused,
    ):
        client.files.upload(folder)
    assert ascii(f"data/{name}") in str(refused.value)
    (folder / ".allgradignore").write_text("data/*\n")
    assert [name for name, _ in files_of(folder)] == [".allgradignore", "train.py"]


def test_links_count_as_what_they_lead_to_within_the_folder(folder: Path) -> None:
    (folder / "again").symlink_to("data")
    (folder / "data" / "file").symlink_to("/etc/hostname")
    (folder / "data" / "nowhere").symlink_to("absent")
    names = [name for name, _ in files_of(folder)]
    assert names == ["train.py", "again/file", "again/words.txt", "data/file", "data/words.txt"]


def test_a_folder_within_that_cannot_be_read_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.scandir

    def scandir(path: str) -> object:
        if path.endswith("data"):
            raise PermissionError(13, "Permission denied", path)
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(
        InvalidRequest, match=r"/data: Permission denied; let yourself read it, or leave it to \.allgradignore"
    ):
        list(files_of(folder))


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("/etc", "data/link is a link out of it, to /etc; put a copy in its place, or name it in "),
        ("..", "data/link is a link to a folder in which it lies"),
        (".", "data/link is a link to a folder in which it lies"),
        ("../round", "data/link/back is a link to a folder in which it lies"),
    ],
)
def test_a_link_to_a_folder_that_cannot_be_taken_is_told_and_can_be_left_out(
    folder: Path, target: str, said: str
) -> None:
    (folder / "round").mkdir()
    (folder / "round" / "back").symlink_to("../data")
    (folder / "data" / "link").symlink_to(target)
    with pytest.raises(InvalidRequest, match=said):
        list(files_of(folder))
    (folder / ".allgradignore").write_text("link\n")
    names = [".allgradignore", "train.py", "data/words.txt", "round/back/words.txt"]
    assert [name for name, _ in files_of(folder)] == names


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (pb.UploadArchiveRequest(digest="../../token", size=1, data=b"x"), "no hash of an upload"),
        (pb.UploadArchiveRequest(digest="", size=1, data=b"x"), "no hash of an upload"),
        (pb.UploadArchiveRequest(digest="A" * 64, size=1, data=b"x"), "no hash of an upload"),
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
        client.files.download(done.id, path, tmp_path / "into" / "fetched")
    assert not (tmp_path / "into").exists(), "a refused download leaves nothing behind"


def test_a_viewer_fetches_and_does_not_upload(
    server: ServerProcess, client: Client, done: Job, folder: Path, tmp_path: Path
) -> None:
    _, secret = client.access.create_token("viewer", "view")
    with Client(home=server.home, token=secret) as viewer:
        assert viewer.files.download(done.id, "steps/1.bin", tmp_path / "mine").stat().st_size == 1_000_000
        with pytest.raises(Forbidden, match="does not allow GetUpload"):
            viewer.files.upload(folder)


def test_a_job_goes_on_from_a_checkpoint_that_was_uploaded_and_then_from_its_own(
    client: Client, job_script: Callable[[str], str], finished: Callable[[Client, Job], Job], tmp_path: Path
) -> None:
    (tmp_path / "step").write_text("40")
    digest = client.files.upload_file(tmp_path / "step")
    assert client.files.upload_file(tmp_path / "step") == digest
    argv = [job_script("resuming"), "50", "0", "45"]
    job = finished(client, client.submit(argv, resume_from=digest, retries=[RetryRule(1, backoff=0.1)]))
    first, second = (b"".join(chunk.data for chunk in client.logs(job.id, attempt=number)) for number in (1, 2))
    assert first.startswith(b"attempt 1 from step 40\n")
    assert second.startswith(b"attempt 2 from step 45\n")


def test_a_checkpoint_that_is_not_there_or_cannot_be_one_is_refused(
    client: Client, stub: FileServiceStub, server: ServerProcess, tmp_path: Path
) -> None:
    with pytest.raises(InvalidRequest, match="the job's checkpoint is not here"):
        client.submit(["true"], resume_from="0" * 64)
    with pytest.raises(InvalidRequest, match="no hash of an upload"):
        client.submit(["true"], resume_from="../../token")
    with pytest.raises(InvalidRequest, match="No such file or directory; name a file"):
        client.files.upload_file(tmp_path / "absent")
    with pytest.raises(InvalidRequest, match="Is a directory"):
        client.files.upload_file(tmp_path)
    (tmp_path / "empty").touch()
    with pytest.raises(InvalidRequest, match="a file cannot have 0 bytes"):
        client.files.upload_file(tmp_path / "empty")
    wrong = pb.UploadArchiveRequest(digest="1" * 64, size=1, data=b"x", plain=True)
    with pytest.raises(grpc.RpcError, match="not what was announced"):
        stub.UploadArchive(iter([wrong]), metadata=metadata(server))


def test_uploads_that_nobody_uses_go_and_those_of_unfinished_jobs_stay(tmp_path: Path) -> None:
    uploads = Uploads(Home(tmp_path))
    digests = []
    for data in (b"needed", b"old", b"used again", b"new"):
        digests.append(hashlib.sha256(data).hexdigest())
        uploads.append(digests[-1], len(data), 0, data, plain=True)
        uploads.complete(digests[-1], plain=True)
    needed, old, again, _ = digests
    for digest in (needed, old, again):
        os.utime(uploads.path(digest, plain=True), (1000.0, 1000.0))
    assert uploads.progress(again, plain=True) == (10, True)
    assert uploads.forget(2000.0, {needed}) == [old]
    assert [uploads.progress(digest, plain=True)[1] for digest in digests] == [True, False, True, True]


def test_what_broke_off_on_its_way_is_forgotten_by_a_server_that_is_never_started_anew(tmp_path: Path) -> None:
    uploads = Uploads(Home(tmp_path))
    left, new = (hashlib.sha256(data).hexdigest() for data in (b"left", b"new"))
    for digest in (left, new):
        uploads.append(digest, 1 << 30, 0, b"x", plain=True)
    os.utime(uploads.part(left), (1000.0, 1000.0))

    async def wait() -> None:
        looking = asyncio.ensure_future(forget_uploads(1e9, uploads, list))
        async with asyncio.timeout(10):
            while uploads.part(left).exists():
                await asyncio.sleep(0.01)
        looking.cancel()

    asyncio.run(wait())
    assert uploads.part(new).exists()


def test_a_server_forgets_uploads_that_nobody_uses(
    server_with: Callable[..., ServerProcess], folder: Path, eventually: Callable[[Callable[[], object]], None]
) -> None:
    server = server_with(keep_uploads=0.0)
    with server.client() as client:
        digest = client.files.upload(folder)
        assert client._session.ask(files.progress(digest))[1]
        server.stop()
        server.start()
        eventually(lambda: not client._session.ask(files.progress(digest))[1])
