"""Archives of working folders: gzipped POSIX tars of plain files and folders, made the same way each time and unpacked with care.

A reader of our own understands nothing but what the maker makes: Python's tarfile knows links, devices, sparse files and
extended headers, and has let archives out of their folder more than once.
"""

from __future__ import annotations

import os
import shutil
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ..errors import InvalidRequest

ARCHIVE_BYTES = 1 << 30
UNPACKED_BYTES = 4 << 30
ENTRIES = 100_000
DEPTH = 64
_BLOCK = 512
_CHUNK = 1 << 18
_FILES, _FOLDER = (b"0", b"\0"), b"5"


@dataclass(frozen=True, slots=True)
class Entry:
    """A file or a folder in an archive; *name* is one that is safe to use under a folder."""

    name: str
    size: int
    folder: bool
    executable: bool


class Archive:
    """Reads an archive from its beginning to its end, once. Raises InvalidRequest for whatever is not as it should be."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._gzip = zlib.decompressobj(16 + zlib.MAX_WBITS)
        self._waiting = b""
        self._total = 0
        self._left = 0
        """Of the present entry, with its padding."""

    def entries(self) -> Iterator[Entry]:
        """Yield the entries, in order; read() gives the data of the last one."""
        kinds: dict[str, bool] = {}
        while True:
            while self._left:
                self._take(min(self._left, _CHUNK))
            header = self._exactly(_BLOCK)
            if not any(header):
                self._finish()
                return
            entry = _entry(header)
            _check_place(entry, kinds)
            if len(kinds) > ENTRIES:
                raise _bad(f"it has more than {ENTRIES} entries")
            self._left = entry.size + -entry.size % _BLOCK
            yield entry

    def read(self, entry: Entry) -> Iterator[bytes]:
        """Yield the data of *entry*, the one that came last."""
        left = entry.size
        while left:
            data = self._take(min(left, _CHUNK))
            left -= len(data)
            yield data

    def _take(self, count: int) -> bytes:
        data = self._exactly(count)
        self._left -= count
        return data

    def _exactly(self, count: int) -> bytes:
        parts, missing = [], count
        while missing:
            part = self._some(missing)
            if not part:
                raise _bad("it ends too early")
            parts.append(part)
            missing -= len(part)
        return b"".join(parts)

    def _some(self, limit: int) -> bytes:
        """Return up to *limit* bytes more; none at the end. Never is more unpacked than that."""
        while not self._gzip.eof:
            source = self._gzip.unconsumed_tail or self._file.read(_CHUNK)
            try:
                data = self._gzip.decompress(source, limit)
            except zlib.error:
                raise _bad("it is no gzip file, or is damaged") from None
            if data:
                self._total += len(data)
                if self._total > UNPACKED_BYTES:
                    raise _bad(f"it holds more than {UNPACKED_BYTES >> 20} MiB")
                return data
            if not source:
                raise _bad("it ends too early")
        return b""

    def _finish(self) -> None:
        """Let nothing but zeros follow the end: what two readers understand differently hides there."""
        while data := self._some(_CHUNK):
            if data.count(0) != len(data):
                raise _bad("something follows its end")
        if self._gzip.unused_data or self._file.read(1):
            raise _bad("something follows its end")


def names(path: Path) -> list[str]:
    """Return the files in the archive at *path*, which is checked as a whole. Raises InvalidRequest."""
    with path.open("rb") as file:
        return [entry.name for entry in Archive(file).entries() if not entry.folder]


def unpack(path: Path, folder: Path) -> None:
    """Make *folder* hold what the archive at *path* holds: all of it, or it is not there. Raises InvalidRequest."""
    beside = folder.with_name(f".{folder.name}.new")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(mode=0o700)
    try:
        with path.open("rb") as file:
            archive = Archive(file)
            for entry in archive.entries():
                _place(archive, entry, beside)
        beside.rename(folder)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise


def _place(archive: Archive, entry: Entry, folder: Path) -> None:
    target = folder / entry.name
    if entry.folder:
        target.mkdir(mode=0o700, parents=True, exist_ok=True)
        return
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    mode = 0o700 if entry.executable else 0o600
    fd = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    with os.fdopen(fd, "wb") as file:
        for data in archive.read(entry):
            file.write(data)


def _entry(header: bytes) -> Entry:
    """Return what a header tells."""
    summed = sum(header[:148]) + 8 * 32 + sum(header[156:])
    if header[257:263] != b"ustar\0" or _octal(header[148:156]) != summed:
        raise _bad("a header in it is not one of a POSIX tar")
    kind = header[156:157]
    if kind not in (*_FILES, _FOLDER):
        raise _bad("there is more in it than plain files and folders: links and devices are not taken")
    prefix, name = _text(header[345:500]), _text(header[:100])
    folder = kind == _FOLDER
    whole = f"{prefix}/{name}" if prefix else name
    whole = whole.removesuffix("/") if folder else whole
    if trouble := trouble_with(whole):
        raise _bad(trouble)
    size = _octal(header[124:136])
    if folder and size:
        raise _bad(f"the folder {whole} has data")
    return Entry(whole, size, folder, bool(_octal(header[100:108]) & 0o100))


def _text(field: bytes) -> str:
    text, _, rest = field.partition(b"\0")
    if any(rest):
        raise _bad("a name in it has a NUL character")
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError:
        raise _bad(f"the name {text!r} is not UTF-8") from None


def _octal(field: bytes) -> int:
    digits = field.rstrip(b"\0 ").lstrip(b" ")
    if not digits or any(digit not in b"01234567" for digit in digits):
        raise _bad("a number in a header is none")
    return int(digits, 8)


def trouble_with(name: str) -> str:
    """Return why nothing in an archive may be called *name*, or nothing if it may.

    >>> trouble_with("src/train.py"), trouble_with("../token")
    ('', "'../token' leads out of the folder")
    """
    parts = name.split("/")
    if name.startswith("/"):
        return f"{name!r} is absolute"
    if ".." in parts:
        return f"{name!r} leads out of the folder"
    if "" in parts or "." in parts or not name.isprintable() or "\\" in name:
        return f"{name!a} is an odd name"
    return f"{parts[0]!r} is deeper than {DEPTH} folders" if len(parts) > DEPTH else ""


def _check_place(entry: Entry, kinds: dict[str, bool]) -> None:
    """Note in *kinds* which names are folders, and let none be two things."""
    above = entry.name
    while "/" in above:
        above = above.rpartition("/")[0]
        if not kinds.setdefault(above, True):
            raise _bad(f"{above!r} is a file and a folder")
    if entry.name in kinds and not (entry.folder and kinds[entry.name]):
        raise _bad(f"{entry.name!r} is in it twice")
    kinds[entry.name] = entry.folder


def _bad(found: str) -> InvalidRequest:
    return InvalidRequest("the archive cannot be used", found, "make it with: allgrad submit --workdir", "archive")
