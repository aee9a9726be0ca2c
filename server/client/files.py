"""Files through a client: folders up, artifacts down, each held to its hash."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Sequence
from io import BufferedRandom
from pathlib import Path
from typing import IO, Any

from ..errors import AllgradError
from ..files.artifacts import Artifact
from .packing import files_of, pack
from .questions import files
from .questions.question import Sending, Stream
from .session import Session


class Files:
    """`Client.files`: what goes to the server and comes from it."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def __repr__(self) -> str:
        return "Files()"

    def upload(self, folder: str | os.PathLike[str]) -> str:
        """Upload *folder* and return its hash, to be given to submit(archive=...).

        Leaves out what .gitignore and .allgradignore at its top say. What the server has is not sent again: the same
        files make the same archive, and an upload that broke off goes on where it stood. Raises InvalidRequest.
        """
        with tempfile.TemporaryFile() as file:
            digest, size = packed(folder, file)

            def missing() -> Sending | None:
                there, complete = self._session.ask(files.progress(digest))
                return None if complete else files.upload(digest, file, size, there)

            self._session.send(missing)
        return digest

    def artifacts(self, job_id: str) -> tuple[Sequence[Artifact], bool]:
        """Return the files in the output folder of a job by path, and whether there are more. Raises JobNotFound."""
        return self._session.ask(files.artifacts(job_id))

    def download(self, job_id: str, path: str, to: str | os.PathLike[str]) -> Path:
        """Fetch the artifact at *path* into the file *to*, through lost connections, and return that.

        Goes on with `TO.part` if an earlier download left one. Raises InvalidRequest if there is no such artifact.
        """
        with Download(job_id, path, to) as download:
            for data, digest in self._session.stream(download.question):
                download.take(data, digest)
        return download.keep()


class Download:
    """An artifact on its way into a file: written beside it, held to its hash, and then renamed."""

    def __init__(self, job_id: str, path: str, to: str | os.PathLike[str]) -> None:
        self._job_id = job_id
        self._path = path
        self._target = Path(to)
        self._part = self._target.with_name(f"{self._target.name}.part")
        self._digest = ""

    def __enter__(self) -> Download:
        self._target.parent.mkdir(parents=True, exist_ok=True)
        self._file: IO[bytes] = self._part.open("ab")
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def question(self) -> Stream[Any, tuple[bytes, str]]:
        """Return the question that goes on from here."""
        return files.download(self._job_id, self._path, self._file.tell())

    def take(self, data: bytes, digest: str) -> None:
        """Write down what has come."""
        self._file.write(data)
        self._digest = digest or self._digest

    def keep(self) -> Path:
        """Return the file, once all of it is there and sound. Raises AllgradError if it is not."""
        with self._part.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != self._digest:
            self._part.unlink()
            raise AllgradError(
                f"the download of {self._path} is damaged", "its hash is not what the server told", "fetch it again"
            )
        return self._part.replace(self._target)


def packed(folder: str | os.PathLike[str], to: BufferedRandom) -> tuple[str, int]:
    """Write *folder* as an archive to the file *to*; return its SHA-256 and size. Raises InvalidRequest."""
    pack(files_of(Path(folder).absolute()), to)
    size = to.tell()
    to.seek(0)
    return hashlib.file_digest(to, "sha256").hexdigest(), size
