"""Deleting the files of a job so that a crash in between leaves all of them or none."""

from __future__ import annotations

import shutil
from collections.abc import Callable

from ..home import Home

_PREFIX = ".deleted-"


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
    """Remove what was set aside."""
    shutil.rmtree(home.job_dir(job_id).with_name(_PREFIX + job_id), ignore_errors=True)


def finish(home: Home, known: Callable[[str], bool]) -> None:
    """Complete deletions that a crash interrupted, and undo those of jobs that are still *known*."""
    for aside in home.job_dir("").glob(_PREFIX + "*"):
        job_id = aside.name.removeprefix(_PREFIX)
        (put_back if known(job_id) else remove)(home, job_id)
