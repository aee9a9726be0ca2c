"""Packing a folder for upload: what belongs to it, always as the same bytes."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING

from ..errors import InvalidRequest
from ..files.archive import ENTRIES, trouble_with

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

IGNORE_FILES = (".gitignore", ".allgradignore")
"""Read from the top of the folder, in the manner of git; what the later one says goes."""
_ALWAYS = (".git/", "__pycache__/", ".venv/")
_SMALL = 1 << 18


def files_of(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield name and path of the files in *folder* that are not ignored, by name; links count as what they lead to.

    Raises InvalidRequest if there is no such folder, or too much in it, or a link to a folder outside of it or around itself.
    """
    if not folder.is_dir():
        raise InvalidRequest(f"cannot upload {folder}", "it is no folder", "name one with --workdir")
    ignored = _ignored(folder)
    count = 0
    for parent, inner, names in os.walk(folder, onerror=_refuse_unreadable, followlinks=True):
        prefix = Path(parent).relative_to(folder).as_posix() + "/" if parent != str(folder) else ""
        inner[:] = sorted(name for name in inner if not ignored.match_file(f"{prefix}{name}/"))
        for name in inner:
            if os.path.islink(os.path.join(parent, name)):
                _check_link(folder, prefix + name)
        for name in sorted(names):
            path = Path(parent, name)
            if path.is_file() and not ignored.match_file(prefix + name):
                if trouble := trouble_with(os.fsencode(prefix + name).decode("utf-8", "surrogateescape")):
                    fix = f"rename it, or leave it to {IGNORE_FILES[-1]}"
                    raise InvalidRequest(f"cannot upload {folder}", trouble, fix)
                count += 1
                if count > ENTRIES:
                    fix = f"leave what the job does not need to {IGNORE_FILES[-1]}"
                    raise InvalidRequest(f"cannot upload {folder}", f"it has more than {ENTRIES} files", fix)
                yield prefix + name, path


def _ignored(folder: Path) -> GitIgnoreSpec:
    from pathspec import GitIgnoreSpec

    lines = [*_ALWAYS]
    for name in IGNORE_FILES:
        if (folder / name).is_file():
            lines += (folder / name).read_text(encoding="utf-8", errors="replace").splitlines()
    return GitIgnoreSpec.from_lines(lines)


def _refuse_unreadable(error: OSError) -> None:
    fix = f"let yourself read it, or leave it to {IGNORE_FILES[-1]}"
    raise InvalidRequest("cannot upload all of the folder", f"{error.filename}: {error.strerror}", fix) from None


def _check_link(folder: Path, name: str) -> None:
    """Refuse a link *name* to a folder that is not within *folder*, or is one of those through which the link was reached."""
    target = Path(os.path.realpath(folder / name))
    passed = {os.path.realpath(folder / above) for above in Path(name).parents}
    found = ""
    if not target.is_relative_to(os.path.realpath(folder)):
        found = f"{name} is a link out of it, to {target}"
    elif str(target) in passed:
        found = f"{name} is a link to a folder in which it lies, {target}"
    if found:
        fix = f"put a copy in its place, or name it in {folder / IGNORE_FILES[-1]}, as in: /{name}"
        raise InvalidRequest(f"cannot upload {folder}", found, fix)


def pack(files: Iterable[tuple[str, Path]], to: IO[bytes]) -> None:
    """Write an archive of *files*, (name, path): the same files make the same bytes, so that the server knows them again."""
    with (
        gzip.GzipFile("", "wb", 6, to, mtime=0) as packed,
        tarfile.open(mode="w", fileobj=packed, format=tarfile.USTAR_FORMAT) as tar,
    ):
        for name, path in files:
            with path.open("rb") as file:
                status = os.fstat(file.fileno())
                data = io.BytesIO(file.read(status.st_size)) if status.st_size < _SMALL else file
                member = tarfile.TarInfo(name)
                member.size = len(data.getvalue()) if isinstance(data, io.BytesIO) else status.st_size
                member.mode = 0o755 if status.st_mode & 0o100 else 0o644
                try:
                    tar.addfile(member, data)
                except ValueError:
                    raise InvalidRequest(
                        f"cannot upload {name}", "its path is too long", "shorten it to 100 characters"
                    ) from None
