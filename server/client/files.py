"""Files through a client: folders up, artifacts down, each held to its hash."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import AllgradError
from ..files.artifacts import Artifact

if TYPE_CHECKING:
    from .connection import Connection


class Files:
    """`Client.files`: what goes to the server and comes from it."""

    def __init__(
        self,
        call: Callable[[Callable[[Connection], Any]], Any],
        stream: Callable[[Callable[[Connection], Iterator[Any]]], Iterator[Any]],
    ) -> None:
        self._call = call
        self._stream = stream

    def __repr__(self) -> str:
        return "Files()"

    def upload(self, folder: str | os.PathLike[str]) -> str:
        """Upload *folder* and return its hash, to be given to submit(archive=...).

        Leaves out what .gitignore and .allgradignore at its top say. What the server has is not sent again: the same
        files make the same archive, and an upload that broke off goes on where it stood. Raises InvalidRequest.
        """
        from .packing import files_of, pack

        with tempfile.TemporaryFile() as file:
            pack(files_of(Path(folder).absolute()), file)
            size = file.tell()
            file.seek(0)
            digest = hashlib.file_digest(file, "sha256").hexdigest()

            def send(connection: Connection) -> None:
                there, complete = connection.files.progress(digest)
                if not complete:
                    connection.files.upload(digest, file, size, there)

            self._call(send)
        return digest

    def artifacts(self, job_id: str) -> tuple[list[Artifact], bool]:
        """Return the files in the output folder of a job by path, and whether there are more. Raises JobNotFound."""
        found: tuple[list[Artifact], bool] = self._call(lambda connection: connection.files.artifacts(job_id))
        return found

    def download(self, job_id: str, path: str, to: str | os.PathLike[str]) -> Path:
        """Fetch the artifact at *path* into the file *to*, through lost connections, and return that.

        Goes on with `TO.part` if an earlier download left one. Raises InvalidRequest if there is no such artifact.
        """
        target = Path(to)
        part = target.with_name(f"{target.name}.part")
        target.parent.mkdir(parents=True, exist_ok=True)
        told = ""
        with part.open("ab") as file:

            def resume(connection: Connection) -> Iterator[tuple[bytes, str]]:
                return connection.files.download(job_id, path, file.tell())

            for data, digest in self._stream(resume):
                file.write(data)
                told = digest or told
        with part.open("rb") as read:
            found = hashlib.file_digest(read, "sha256").hexdigest()
        if found != told:
            part.unlink()
            raise AllgradError(
                f"the download of {path} is damaged", "its hash is not what the server told", "fetch it again"
            )
        part.replace(target)
        return target
