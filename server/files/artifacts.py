"""What a job keeps in its output folder, as others may see it: plain files inside it, and no link out of it."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ..errors import InvalidRequest

LISTED = 10_000


@dataclass(frozen=True, slots=True)
class Artifact:
    """A file; *path* within the output folder, *modified* in seconds since the epoch."""

    path: str
    size: int
    modified: float


def listed(folder: Path) -> tuple[list[Artifact], bool]:
    """Return the files of *folder* by path, and whether there are more than are returned."""
    found: list[Artifact] = []
    for artifact in _walk(folder, ""):
        if len(found) == LISTED:
            return found, True
        found.append(artifact)
    return found, False


def open_file(folder: Path, path: str) -> BinaryIO:
    """Open the file at *path* in *folder*, following no link on the way. Raises InvalidRequest if there is none."""
    parts = path.split("/")
    missing = InvalidRequest(
        f"no artifact {path!r}", "the job has no such file in its output folder", "see: allgrad artifacts", field="path"
    )
    if not path or "\0" in path or any(part in ("", ".", "..") for part in parts):
        raise missing
    try:
        at = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        raise missing from None
    for part in parts:
        last = part is parts[-1]
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | (0 if last else os.O_DIRECTORY)  # a pipe must not block
        try:
            inner = os.open(part, flags, dir_fd=at)
        except OSError:
            raise missing from None
        finally:
            os.close(at)
        at = inner
    if not stat.S_ISREG(os.fstat(at).st_mode):
        os.close(at)
        raise missing
    return os.fdopen(at, "rb")


def _walk(folder: Path, prefix: str) -> Iterator[Artifact]:
    try:
        inside = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:
        return
    for entry in inside:
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(Path(entry.path), f"{prefix}{entry.name}/")
        elif entry.is_file(follow_symlinks=False) and entry.name.isprintable():
            found = entry.stat(follow_symlinks=False)
            yield Artifact(prefix + entry.name, found.st_size, found.st_mtime)
