"""Files through a client: folders up, artifacts down, each held to its hash."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Sequence
from io import BufferedRandom, BufferedReader
from pathlib import Path
from typing import IO, Any

from ..errors import AllgradError, InvalidRequest
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
            return self._upload(file, *packed(folder, file))

    def upload_file(self, path: str | os.PathLike[str]) -> str:
        """Upload the file at *path*, such as a checkpoint, and return its hash, to be given to submit(resume_from=...).

        What the server has is not sent again, and an upload that broke off goes on. Raises InvalidRequest.
        """
        with opened(path) as file:
            return self._upload(file, *measured(file), plain=True)

    def _upload(self, file: IO[bytes], digest: str, size: int, plain: bool = False) -> str:
        def missing() -> Sending | None:
            there, complete = self._session.ask(files.progress(digest, plain))
            return None if complete else files.upload(digest, file, size, there, plain)

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
        self._file: IO[bytes] | None = None

    def __enter__(self) -> Download:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def question(self) -> Stream[Any, tuple[bytes, str]]:
        """Return the question that goes on from here."""
        return files.download(self._job_id, self._path, self._offset())

    def take(self, data: bytes, digest: str) -> None:
        """Write down what has come. Makes the file only now: a refused download leaves nothing behind."""
        if self._file is None:
            self._target.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._part.open("ab")
        self._file.write(data)
        self._digest = digest or self._digest

    def _offset(self) -> int:
        if self._file is not None:
            return self._file.tell()
        return self._part.stat().st_size if self._part.exists() else 0

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
    return measured(to)


def opened(path: str | os.PathLike[str]) -> BufferedReader:
    """Open a file to be uploaded. Raises InvalidRequest."""
    file = Path(path)
    if file.exists() and not (
        file.is_file() or file.is_dir()
    ):  # a pipe has no size and is read once; /dev/zero has no end
        raise InvalidRequest(f"cannot upload {path}", "it is no plain file", "name a file")
    try:
        return file.open("rb")
    except OSError as error:
        raise InvalidRequest(f"cannot upload {path}", error.strerror or str(error), "name a file") from None


def measured(file: BufferedReader | BufferedRandom) -> tuple[str, int]:
    """Return the SHA-256 and the size of *file*."""
    file.seek(0)
    digest = hashlib.file_digest(file, "sha256").hexdigest()
    return digest, file.seek(0, os.SEEK_END)
