"""What hosts without the server's folder get before their ranks start: the job's files, and the checkpoint to go on from."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

from ..home import Home
from .attempt import Order, RunDir
from .cargo import Cargo

ARCHIVE = "workdir.tar.gz"
_CHECKPOINT = "resume"


def provide(order: Order, run: RunDir) -> tuple[Order, Cargo]:
    """Lay what ranks elsewhere are to get into the job's folder; return the order with the paths that hold there, and the cargo."""
    folder, names, archive = run.path.parent, [], ""
    if order.archive:
        archive = f"{run.path.name}/{ARCHIVE}"
        _link(Path(order.archive), folder / archive)
        names.append(archive)
    if order.resume and Path(order.resume).is_relative_to(Home(Path(order.home)).uploads):
        _link(Path(order.resume), run.path / _CHECKPOINT)
        order = replace(order, resume=str(run.path / _CHECKPOINT))
    resume = Path(order.resume)
    if order.resume and resume.is_relative_to(folder):
        files = [path for path in resume.rglob("*") if path.is_file()] if resume.is_dir() else [resume]
        names += [str(path.relative_to(folder)) for path in files]
    return order.there(folder), Cargo.of(order, run, archive, names)


def _link(source: Path, target: Path) -> None:
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without links
        shutil.copyfile(source, target)
