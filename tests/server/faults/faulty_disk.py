"""A server whose databases lie on a disk that fails on demand: a program, and the hold that a test has on it.

While the file named by its first argument holds `full`, nothing new can be written; while it holds `sync`, what was
written cannot be made durable.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import apsw

FULL, SYNC = "full", "sync"


def fault(switch: Path) -> str:
    """What is wrong with the disk at this moment."""
    try:
        return switch.read_text()
    except FileNotFoundError:
        return ""


class FaultyFile(apsw.VFSFile):
    """A database, or the log beside it."""

    def __init__(self, switch: Path, base: str, name: Any, flags: list[int]) -> None:
        self._switch = switch
        super().__init__(base, name, flags)

    def xWrite(self, data: Any, offset: int) -> None:
        if fault(self._switch) == FULL:
            raise apsw.FullError("no space left on the device, as asked for")
        super().xWrite(data, offset)

    def xSync(self, flags: int) -> None:
        if fault(self._switch) == SYNC:
            raise apsw.IOError("input/output error, as asked for")
        super().xSync(flags)


class FaultyDisk(apsw.VFS):
    """Where SQLite opens its files by default, in this process."""

    def __init__(self, switch: Path) -> None:
        self._switch = switch
        self._base = apsw.vfs_names()[0]
        super().__init__("faulty", self._base, makedefault=True)

    def xOpen(self, name: Any, flags: list[int]) -> FaultyFile:
        return FaultyFile(self._switch, self._base, name, flags)


def main() -> None:
    """Serve with the settings in the second argument."""
    from allgrad.server import serve

    disk = FaultyDisk(Path(sys.argv[1]))
    serve(**json.loads(sys.argv[2]))
    disk.unregister()


if __name__ == "__main__":
    main()
