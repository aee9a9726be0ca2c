"""Replacing a file in one step: whoever opens the path finds the old content or the new, whole."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO


def write_atomically(path: Path, write: Callable[[BinaryIO], None]) -> None:
    """Let ``write`` fill a temporary file beside ``path``, force it to disk and rename it into place.

    A symbolic link is followed, and what is no regular file (a pipe, ``/dev/null``) is written directly. If
    ``write`` raises, the temporary file is removed and ``path`` keeps what it held.

    Raises:
        FileNotFoundError: the folder of ``path`` does not exist.
        OSError: the disk is full, the folder is not writable, ``path`` is a folder.
    """
    target = path.resolve()
    if target.exists() and not stat.S_ISREG(target.stat().st_mode):
        with target.open("wb") as file:
            write(file)
        return
    if not target.parent.is_dir():
        raise FileNotFoundError(f"cannot save to {path}: the folder {target.parent} does not exist; make it first")
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(6)}.tmp")
    try:
        with temporary.open("xb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
    except BaseException:
        with suppress(FileNotFoundError):
            temporary.unlink()
        raise
    _force_folder(target.parent)


def _force_folder(folder: Path) -> None:
    """Write the folder's entry to disk, without which a crash could undo the renaming."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
