"""The calls of FileService over a connection."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, BinaryIO

import grpc

from allgrad.proto import files_pb2 as pb
from allgrad.proto.files_pb2_grpc import FileServiceStub

from ..files.artifacts import Artifact
from ..messages.jobs import seconds

CHUNK = 1 << 18


class FileCalls:
    """*how* are the deadline and the metadata of a short call. Methods raise grpc.RpcError."""

    def __init__(self, channel: grpc.Channel, how: dict[str, Any]) -> None:
        self._stub = FileServiceStub(channel)
        self._how = how

    def progress(self, digest: str) -> tuple[int, bool]:
        """Return how much of an archive the server has, and whether that is all."""
        answer = self._stub.GetUpload(pb.GetUploadRequest(digest=digest), **self._how)
        return answer.size, answer.complete

    def upload(self, digest: str, file: BinaryIO, size: int, offset: int) -> None:
        """Send an archive from *offset* on."""

        def requests() -> Iterator[pb.UploadArchiveRequest]:
            at = file.seek(offset)
            yield pb.UploadArchiveRequest(digest=digest, size=size, offset=at)
            while data := file.read(CHUNK):
                yield pb.UploadArchiveRequest(offset=at, data=data)
                at += len(data)

        self._stub.UploadArchive(requests(), metadata=self._how["metadata"])

    def artifacts(self, job_id: str) -> tuple[list[Artifact], bool]:
        """Return what a job keeps, and whether there is more."""
        answer = self._stub.ListArtifacts(pb.ListArtifactsRequest(job_id=job_id), **self._how)
        found = [Artifact(each.path, each.size, seconds(each.modify_time)) for each in answer.artifacts]
        return found, answer.truncated

    def download(self, job_id: str, path: str, offset: int) -> Iterator[tuple[bytes, str]]:
        """Yield the data of a file from *offset* on, with it at the end the hash of the whole."""
        request = pb.DownloadArtifactRequest(job_id=job_id, path=path, offset=offset)
        for answer in self._stub.DownloadArtifact(request, metadata=self._how["metadata"]):
            yield answer.data, answer.digest
