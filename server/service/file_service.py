"""The gRPC face for files: archives that come, artifacts that go."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator

from allgrad.proto import files_pb2 as pb
from allgrad.proto.files_pb2_grpc import FileServiceServicer

from ..access import rules as access
from ..control.controller import Control
from ..errors import InvalidRequest
from ..files import artifacts
from ..messages.jobs import timestamp
from .calls import receiving, stream, unary

CHUNK = 1 << 18


class FileService(FileServiceServicer):
    """What is asked about files."""

    def __init__(self, control: Control) -> None:
        self._control = control
        self._uploads = control.uploads

    @unary
    async def GetUpload(self, request: pb.GetUploadRequest) -> pb.GetUploadResponse:  # noqa: N802
        """Say how much of an archive is here."""
        size, complete = await asyncio.to_thread(self._uploads.progress, request.digest, request.plain)
        return pb.GetUploadResponse(size=size, complete=complete)

    @receiving
    async def UploadArchive(  # noqa: N802
        self, requests: AsyncIterator[pb.UploadArchiveRequest]
    ) -> pb.UploadArchiveResponse:
        """Take in an archive."""
        digest, size, there, plain = "", 0, 0, False
        async for request in requests:
            digest, size, plain = digest or request.digest, size or request.size, plain or request.plain
            await asyncio.to_thread(self._uploads.append, digest, size, request.offset, request.data, plain)
            there = request.offset + len(request.data)
        if not digest or there != size:
            raise InvalidRequest("the upload is not complete", f"{there} of {size} bytes are here", "go on with it")
        access.about(digest)
        await self._control.keep_upload(digest, plain)
        return pb.UploadArchiveResponse(digest=digest)

    @unary
    async def ListArtifacts(self, request: pb.ListArtifactsRequest) -> pb.ListArtifactsResponse:  # noqa: N802
        """List what a job keeps."""
        _, job, _ = await self._control.find(request.job_id)
        found, more = await asyncio.to_thread(artifacts.listed, self._control.output_dir(job))
        return pb.ListArtifactsResponse(
            artifacts=[
                pb.Artifact(path=each.path, size=each.size, modify_time=timestamp(each.modified)) for each in found
            ],
            truncated=more,
        )

    @stream
    async def DownloadArtifact(  # noqa: N802
        self, request: pb.DownloadArtifactRequest
    ) -> AsyncIterator[pb.DownloadArtifactResponse]:
        """Send a file; what lies before the offset is read for the hash only."""
        _, job, _ = await self._control.find(request.job_id)
        file = await asyncio.to_thread(artifacts.open_file, self._control.output_dir(job), request.path)
        with file:
            size = await asyncio.to_thread(file.seek, 0, 2)
            file.seek(0)
            if not 0 <= request.offset <= size:
                raise InvalidRequest(
                    f"no byte {request.offset} in {request.path}", f"it has {size}", "begin at 0", field="offset"
                )
            digest, at = hashlib.sha256(), 0
            while at < size:
                length = min(CHUNK, size - at, request.offset - at if at < request.offset else CHUNK)
                data = await asyncio.to_thread(file.read, length)
                if not data:
                    break  # it was cut short while we read
                digest.update(data)
                if at >= request.offset:
                    yield pb.DownloadArtifactResponse(offset=at, data=data, size=size)
                at += len(data)
            yield pb.DownloadArtifactResponse(offset=at, size=size, digest=digest.hexdigest())
