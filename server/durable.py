"""Files that outlive a crash of the machine: written beside, synced, renamed, and their folder synced."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path


def read_json(path: Path) -> Mapping[str, object] | None:
    """Return the JSON object in *path*, or None if there is no such file."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    record = json.loads(text)
    assert isinstance(record, dict)
    return record


def write_json(path: Path, record: Mapping[str, object]) -> None:
    """Write *record* to *path* atomically and durably."""
    write_atomically(path, json.dumps(record, indent=1).encode("utf-8") + b"\n")


def write_atomically(path: Path, data: bytes) -> None:
    """Replace *path* by *data* (mode 0600): after a crash the file is the old one or the new one, whole."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    beside.rename(path)
    sync(path.parent)


def sync(path: Path) -> None:
    """Wait until what *path* holds is on the disk: a file's content, or the names in a folder."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
