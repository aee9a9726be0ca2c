"""What arrives: growing files to which each byte is added once, at its place, and files that are there as a whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import stat
from collections.abc import Callable
from contextlib import suppress
from enum import Enum
from pathlib import Path

from ..durable import sync
from .channel import Message

ASK, PUT, HOLE, WHOLE, GONE = "ask", "put", "hole", "whole", "gone"
"""What the sender says."""
HAVE, BACK, DONE = "have", "back", "done"
"""What it is answered: that so many bytes are there; that it must go back to that many; that the whole file is there."""
GROWING = "-"
"""The mark of a file that grows; that of another one says by size and time which version of it is meant."""
LEFT_FREE = 4 << 20
"""Bytes of a disk that whole files do not take."""
_FOLDER, _FILE, _PROGRAM = 0o700, 0o600, 0o700


class Kind(Enum):
    """How a file may arrive."""

    GROWING = "grows"
    WHOLE = "replaces the one before"
    NEWER = "replaces one that was written earlier"
    FIRST = "stays as it came first"


class Refused(Exception):
    """A file that has no business in the folder."""


class Arrivals:
    """Puts files into *folder*. *kind_of* says how one may arrive, or None; *aside*: a folder beside them for unfinished ones.

    Nothing is remembered outside of the disk: a sender that begins anew asks, and goes on where the bytes end.
    """

    def __init__(self, folder: Path, kind_of: Callable[[str], Kind | None], aside: Path) -> None:
        self._folder, self._aside = folder, aside
        self._kind_of = kind_of
        self._touched: set[Path] = set()

    def __repr__(self) -> str:
        return f"Arrivals({self._folder})"

    def take(self, message: Message) -> Message | None:
        """Do what *message* says, and return the answer if there is one.

        Raises Refused for a name that is not allowed, and OSError for what the disk does not take.
        """
        name, mark = message.words[:2]
        kind, path = self._place(name)
        match message.verb:
            case "ask":
                return self._ask(path, name, mark)
            case "put" | "hole" if kind is Kind.GROWING:
                return self._grow(path, name, message)
            case "put":
                self._check_room(len(message.body))
                return self._put(self._part(name, mark), name, mark, int(message.words[2]), message.body)
            case "whole":
                return self._complete(path, name, mark, kind, program=message.words[2] == "program")
            case "gone" if mark != GROWING:
                self._part(name, mark).unlink(missing_ok=True)
            case "gone" if kind in (Kind.WHOLE, Kind.NEWER):
                self._remove(path, name)
        return None

    def settle(self) -> None:
        """Have the disk keep what has arrived, and remove what did not arrive as a whole."""
        for path in self._touched:
            with suppress(FileNotFoundError):
                sync(path)
        self._touched.clear()
        shutil.rmtree(self._aside, ignore_errors=True)

    def _place(self, name: str) -> tuple[Kind, Path]:
        kind = None if _is_odd(name) else self._kind_of(name)
        if kind is None:
            raise Refused(f"{name!r} may not come here")
        path = self._folder / name
        path.parent.mkdir(mode=_FOLDER, parents=True, exist_ok=True)
        if not path.parent.resolve().is_relative_to(self._folder.resolve()):
            raise Refused(f"{name!r} leads out of the folder")
        return kind, path

    def _check_room(self, size: int) -> None:
        """Raise OSError rather than take what logs, journals and records need of the disk."""
        found = os.statvfs(self._folder)
        if found.f_bavail * found.f_frsize < size + LEFT_FREE:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _part(self, name: str, mark: str) -> Path:
        self._aside.mkdir(mode=_FOLDER, parents=True, exist_ok=True)
        return self._aside / hashlib.sha256(os.fsencode(f"{mark} {name}")).hexdigest()

    def _ask(self, path: Path, name: str, mark: str) -> Message:
        if mark == GROWING:
            return Message(HAVE, (name, mark, str(_size(path))))
        if _mark(path) == mark:
            return Message(DONE, (name, mark))
        return Message(HAVE, (name, mark, str(_size(self._part(name, mark)))))

    def _grow(self, path: Path, name: str, message: Message) -> Message:
        at = int(message.words[2])
        there = _size(path)
        if message.verb == HOLE:
            if at > there:
                with path.open("ab") as file:
                    os.fchmod(file.fileno(), _FILE)
                    file.truncate(at)
            return Message(HAVE, (name, GROWING, str(max(at, there))))
        return self._put(path, name, GROWING, at, message.body)

    def _put(self, path: Path, name: str, mark: str, at: int, data: bytes) -> Message:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(path, flags, _FILE), "ab", buffering=0) as file:
            there = os.fstat(file.fileno()).st_size
            if at > there:
                return Message(BACK, (name, mark, str(there)))
            fresh = memoryview(data)[there - at :]
            while fresh:
                fresh = fresh[file.write(fresh) :]
            self._touched.add(path)
        return Message(HAVE, (name, mark, str(max(there, at + len(data)))))

    def _complete(self, path: Path, name: str, mark: str, kind: Kind, *, program: bool) -> Message:
        part = self._part(name, mark)
        size, modified = map(int, mark.split("."))
        if _mark(path) == mark or _stays(path, kind, modified):
            part.unlink(missing_ok=True)
            return Message(DONE, (name, mark))
        if size == 0:
            part.touch(_FILE)
        elif _size(part) != size:
            return Message(BACK, (name, mark, str(_size(part))))
        part.chmod(_PROGRAM if program else _FILE)
        os.utime(part, ns=(modified, modified))
        sync(part)
        part.rename(path)
        self._touched.discard(part)
        self._touched.add(path.parent)
        return Message(DONE, (name, mark))

    def _remove(self, path: Path, name: str) -> None:
        path.unlink(missing_ok=True)
        with suppress(OSError):  # the folder, or one above, has other files
            for _ in name.split("/")[2:]:
                path = path.parent
                path.rmdir()


def mark_of(found: os.stat_result) -> str:
    """Return what tells this version of a file from others."""
    return f"{found.st_size}.{found.st_mtime_ns}"


def _mark(path: Path) -> str:
    try:
        found = path.stat(follow_symlinks=False)
    except (FileNotFoundError, NotADirectoryError):
        return ""
    return mark_of(found) if stat.S_ISREG(found.st_mode) else ""


def _stays(path: Path, kind: Kind, modified: int) -> bool:
    """Return whether the file that is there stays, though one that was *modified* then has come."""
    match kind:
        case Kind.FIRST:
            return path.exists()
        case Kind.NEWER:
            return path.exists() and path.stat().st_mtime_ns > modified
        case _:
            return False


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _is_odd(name: str) -> bool:
    return "\0" in name or any(part in ("", ".", "..") for part in name.split("/"))
