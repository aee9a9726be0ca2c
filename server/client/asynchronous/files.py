"""Files through an asynchronous client: folders up, artifacts down, each held to its hash."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Sequence
from contextlib import aclosing
from pathlib import Path
from typing import IO

from ...files.artifacts import Artifact
from ..files import Download, measured, opened, packed
from ..questions import files
from ..questions.question import Sending
from .session import AsyncSession


class AsyncFiles:
    """`AsyncClient.files`: what goes to the server and comes from it, as in Files."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    def __repr__(self) -> str:
        return "AsyncFiles()"

    async def upload(self, folder: str | os.PathLike[str]) -> str:
        """Upload *folder* and return its hash, to be given to submit(archive=...): see Files.upload()."""
        with tempfile.TemporaryFile() as file:
            return await self._upload(file, *await asyncio.to_thread(packed, folder, file))

    async def upload_file(self, path: str | os.PathLike[str]) -> str:
        """Upload the file at *path* and return its hash, to be given to submit(resume_from=...): see Files.upload_file()."""
        with opened(path) as file:
            return await self._upload(file, *await asyncio.to_thread(measured, file), plain=True)

    async def _upload(self, file: IO[bytes], digest: str, size: int, plain: bool = False) -> str:
        async def missing() -> Sending | None:
            there, complete = await self._session.ask(files.progress(digest, plain))
            return None if complete else files.upload(digest, file, size, there, plain)

        await self._session.send(missing)
        return digest

    async def artifacts(self, job_id: str) -> tuple[Sequence[Artifact], bool]:
        """Return the files in the output folder of a job by path, and whether there are more. Raises JobNotFound."""
        return await self._session.ask(files.artifacts(job_id))

    async def download(self, job_id: str, path: str, to: str | os.PathLike[str]) -> Path:
        """Fetch the artifact at *path* into the file *to*, and return that: see Files.download()."""
        with Download(job_id, path, to) as download:
            async with aclosing(self._session.stream(download.question)) as chunks:
                async for data, digest in chunks:
                    download.take(data, digest)
        return await asyncio.to_thread(download.keep)
