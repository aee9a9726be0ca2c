"""Archives and checkpoints that clients have uploaded, each under its hash, and those that are on their way."""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Collection
from pathlib import Path

from ..durable import sync
from ..errors import InvalidRequest
from ..home import Home
from . import archive

CHUNK_LIMIT = 1 << 20
FILE_BYTES = 16 << 30
"""Bytes of the longest plain file."""
ABANDONED = 24 * 3600.0
"""Seconds after which an upload that nobody continues is forgotten."""
_DIGEST = re.compile(r"[0-9a-f]{64}")


class Uploads:
    """The folder of the archives. Methods may wait for the disk."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._folder = home.uploads

    def __repr__(self) -> str:
        return f"Uploads({self._folder})"

    def path(self, digest: str, plain: bool = False) -> Path:
        """Return where an archive (*plain*: a file) lies once it is complete. Raises InvalidRequest if *digest* is none."""
        if not _DIGEST.fullmatch(digest):
            raise InvalidRequest(
                f"{digest[:80]!r} is no hash of an upload", "", "give its SHA-256 in hexadecimal", field="digest"
            )
        return self._home.uploaded_file(digest) if plain else self._home.archive(digest)

    def progress(self, digest: str, plain: bool = False) -> tuple[int, bool]:
        """Return how many bytes there are of an upload, and whether that is all of it; if so, it counts as used now."""
        whole = self.path(digest, plain)
        if whole.exists():
            os.utime(whole)
            return whole.stat().st_size, True
        part = self.part(digest)
        return (part.stat().st_size if part.exists() else 0), False

    def append(self, digest: str, size: int, offset: int, data: bytes, plain: bool = False) -> None:
        """Write *data* at the end of what there is. Raises InvalidRequest if *offset* is elsewhere, or it is too much."""
        most = FILE_BYTES if plain else archive.ARCHIVE_BYTES
        if not 0 < size <= most:
            fix = "" if plain else "leave what the job does not need to .allgradignore"
            noun = "a file" if plain else "an archive"
            raise InvalidRequest(f"{noun} cannot have {size} bytes", f"1 to {most >> 20} MiB are allowed", fix, "size")
        if len(data) > CHUNK_LIMIT or offset + len(data) > size:
            raise InvalidRequest("a chunk is too long", f"{len(data)} bytes at {offset} of {size}", "", field="data")
        self._folder.mkdir(mode=0o700, exist_ok=True)
        fd = os.open(self.part(digest), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(fd, "wb") as file:
            there = os.fstat(file.fileno()).st_size
            if offset != there:
                raise InvalidRequest(f"the upload does not go on at {offset}", f"{there} bytes are there", "ask again")
            file.write(data)

    def complete(self, digest: str, plain: bool = False) -> int:
        """Check what has arrived and keep it; return its size. Raises InvalidRequest, and forgets it, if it is not right."""
        part, whole = self.part(digest), self.path(digest, plain)
        if whole.exists():
            return whole.stat().st_size
        try:
            _check_hash(part, digest)
            if not plain:
                self._names(digest).write_text("\n".join(archive.names(part)), encoding="utf-8")
        except InvalidRequest:
            part.unlink(missing_ok=True)
            raise
        part.chmod(0o400)  # no script may change by accident what others find by its hash
        sync(part)
        part.rename(whole)
        sync(whole.parent)
        return whole.stat().st_size

    def check(self, digest: str, program: str, folder: str) -> None:
        """Raise InvalidRequest unless the archive is there, and holds *program*, a path as seen from *folder* in it."""
        self._check_there(digest, False, "archive")
        if folder and (os.path.isabs(folder) or ".." in folder.split("/")):
            raise InvalidRequest(
                f"the job cannot start in {folder}", "it is not in the archive", "", "spec.working_directory"
            )
        if program.endswith(".py") or "/" in program:
            inside = os.path.normpath(os.path.join(folder, program))
            held = self._names(digest).read_text(encoding="utf-8").split("\n")
            if inside not in held and not (os.path.isabs(program) and os.path.isfile(program)):
                raise InvalidRequest(
                    f"cannot run {program}",
                    f"it is not among the {len(held)} files of the archive",
                    "name it as seen from the folder that is uploaded, and see .allgradignore and .gitignore",
                    "spec.argv",
                )

    def check_file(self, digest: str) -> None:
        """Raise InvalidRequest unless the plain file is there."""
        self._check_there(digest, True, "resume_from")

    def forget(self, unused_since: float, needed: Collection[str]) -> list[str]:
        """Delete what was last used before a time and is not *needed*; return the hashes."""
        gone = []
        for path in [*self._folder.glob("*.tar.gz"), *self._folder.glob("*.file")]:
            digest = path.name.partition(".")[0]
            if digest not in needed and path.stat().st_mtime < unused_since:
                path.unlink()
                if path.suffix == ".gz":
                    self._names(digest).unlink(missing_ok=True)
                gone.append(digest)
        return gone

    def clean(self) -> None:
        """Forget uploads that nobody continues."""
        for part in self._folder.glob("*.part"):
            if time.time() - part.stat().st_mtime > ABANDONED:
                part.unlink(missing_ok=True)

    def _check_there(self, digest: str, plain: bool, field: str) -> None:
        if not self.progress(digest, plain)[1]:
            noun = "checkpoint" if plain else "archive"
            found = f"no upload has the hash {digest}"
            raise InvalidRequest(f"the job's {noun} is not here", found, "upload it first", f"spec.{field}")

    def part(self, digest: str) -> Path:
        """Return where an upload lies until it is complete."""
        return self.path(digest).with_name(f"{digest}.part")

    def _names(self, digest: str) -> Path:
        return self.path(digest).with_name(f"{digest}.names")


def _check_hash(path: Path, digest: str) -> None:
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != digest:
        raise InvalidRequest("the upload is not what was announced", f"its hash is {found}", "send it again")
