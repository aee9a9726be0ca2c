"""What is asked about files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import IO

from allgrad.proto import files_pb2 as pb

from ...files.artifacts import Artifact
from ...messages.jobs import seconds
from .question import Question, Sending, Stream

_SERVICE = "FileService"
CHUNK = 1 << 18


def progress(digest: str, plain: bool = False) -> Question[pb.GetUploadResponse, tuple[int, bool]]:
    """Return how much of an upload the server has, and whether that is all."""
    request = pb.GetUploadRequest(digest=digest, plain=plain)
    return Question(_SERVICE, request, pb.GetUploadResponse, lambda answer: (answer.size, answer.complete))


def upload(digest: str, file: IO[bytes], size: int, offset: int, plain: bool = False) -> Sending:
    """Send an archive, or a *plain* file, from *offset* on."""

    def requests() -> Iterator[pb.UploadArchiveRequest]:
        at = file.seek(offset)
        yield pb.UploadArchiveRequest(digest=digest, size=size, offset=at, plain=plain)
        while data := file.read(CHUNK):
            yield pb.UploadArchiveRequest(offset=at, data=data)
            at += len(data)

    return Sending(_SERVICE, pb.UploadArchiveRequest, requests, pb.UploadArchiveResponse)


def artifacts(job_id: str) -> Question[pb.ListArtifactsResponse, tuple[Sequence[Artifact], bool]]:
    """Return what a job keeps, and whether there is more."""

    def value(answer: pb.ListArtifactsResponse) -> tuple[Sequence[Artifact], bool]:
        found = [Artifact(each.path, each.size, seconds(each.modify_time)) for each in answer.artifacts]
        return found, answer.truncated

    return Question(_SERVICE, pb.ListArtifactsRequest(job_id=job_id), pb.ListArtifactsResponse, value)


def download(job_id: str, path: str, offset: int) -> Stream[pb.DownloadArtifactResponse, tuple[bytes, str]]:
    """Yield the data of a file from *offset* on, with it at the end the hash of the whole."""
    request = pb.DownloadArtifactRequest(job_id=job_id, path=path, offset=offset)
    return Stream(
        _SERVICE, request, pb.DownloadArtifactResponse, lambda answer: [(answer.data, answer.digest)], endless=False
    )
