"""What is deleted is gone, whatever a job has left there."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from allgrad.server.files import trash
from allgrad.server.home import Home

NOBODY = 65534


@pytest.fixture
def plain_home() -> Iterator[Home]:
    """A server's folder, and no rights beyond those of its owner: root's would go past what is tried here."""
    folder = Path(tempfile.mkdtemp(prefix="allgrad-"))
    root = os.geteuid() == 0
    if root:
        os.chown(folder, NOBODY, NOBODY)
        os.seteuid(NOBODY)
    try:
        yield Home(folder)
    finally:
        if root:
            os.seteuid(0)
        shutil.rmtree(folder)


def test_folders_that_a_job_has_made_read_only_are_removed_and_what_its_links_name_is_left_as_it_is(
    plain_home: Home,
) -> None:
    elsewhere = plain_home.path / "elsewhere"
    elsewhere.mkdir(mode=0o500)
    closed = plain_home.output_dir("job") / "closed" / "and more"
    closed.mkdir(parents=True)
    (closed / "file").touch()
    (closed / "link").symlink_to(elsewhere)
    for folder in (closed, closed.parent):
        folder.chmod(0o500)
    (plain_home.output_dir("job") / "shut").mkdir(mode=0)
    trash.set_aside(plain_home, "job")
    trash.remove(plain_home, "job")
    assert list((plain_home.path / "jobs").iterdir()) == []
    assert elsewhere.stat().st_mode & 0o777 == 0o500
