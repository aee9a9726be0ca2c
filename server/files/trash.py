"""Deleting the files of a job so that a crash in between leaves all of them or none."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from ..home import Home

_PREFIX = ".deleted-"
log = logging.getLogger(__name__)


def set_aside(home: Home, job_id: str) -> None:
    """Move the job's folder out of sight."""
    folder = home.job_dir(job_id)
    if folder.exists():
        folder.rename(folder.with_name(_PREFIX + job_id))


def put_back(home: Home, job_id: str) -> None:
    """Undo set_aside()."""
    folder = home.job_dir(job_id)
    aside = folder.with_name(_PREFIX + job_id)
    if aside.exists():
        aside.rename(folder)


def remove(home: Home, job_id: str) -> None:
    """Remove what was set aside, also folders that the job has made read-only."""
    aside = home.job_dir(job_id).with_name(_PREFIX + job_id)
    shutil.rmtree(aside, ignore_errors=True)
    if aside.exists():
        _open_up(aside)
        shutil.rmtree(aside, ignore_errors=True)
    if aside.exists():
        log.warning("job %s is deleted, but %s cannot be removed", job_id, aside)


def _open_up(folder: Path) -> None:
    """Let the owner do everything in *folder* and all that are in it."""
    for path, inside, _ in os.walk(folder):
        for name in ("", *inside):
            each = Path(path, name)
            if not each.is_symlink():
                with suppress(OSError):
                    each.chmod(0o700)


def finish(home: Home, known: Callable[[str], bool]) -> None:
    """Complete deletions that a crash interrupted, and undo those of jobs that are still *known*."""
    for aside in home.job_dir("").glob(_PREFIX + "*"):
        job_id = aside.name.removeprefix(_PREFIX)
        (put_back if known(job_id) else remove)(home, job_id)
