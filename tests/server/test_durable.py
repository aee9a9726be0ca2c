"""Files that outlive a crash of the machine."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from allgrad.server.durable import read_json, sync, write_atomically, write_json


def test_content_is_on_the_disk_before_it_bears_the_name_and_the_name_after(tmp_path: Path, synced: list[str]) -> None:
    path = tmp_path / "record"
    write_atomically(path, b"new")
    assert synced == [f".record.{os.getpid()}", tmp_path.name]
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_what_cannot_be_synced_takes_the_place_of_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "record"
    write_json(path, {"is": "old"})

    def fsync(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(OSError, match="No space left"):
        write_json(path, {"is": "new"})
    assert read_json(path) == {"is": "old"}


def test_a_record_that_is_not_there_is_none(tmp_path: Path) -> None:
    assert read_json(tmp_path / "record") is None


def test_a_folder_is_synced_as_a_file_is(tmp_path: Path, synced: list[str]) -> None:
    sync(tmp_path)
    assert synced == [tmp_path.name]
