"""Puts small_slurm.py in the place of Slurm's commands."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_COMMANDS = Path(__file__).with_name("small_slurm.py")


@contextmanager
def on_path(programs: Path) -> Iterator[Path]:
    """Have the commands on PATH while the block runs; gives where they look for their cluster's folder."""
    for name in ("sbatch", "squeue", "sinfo", "srun", "scontrol", "scancel"):
        (programs / name).write_text(f'#!/bin/sh\nexec {sys.executable} -S {_COMMANDS} "$0" "$@"\n')
        (programs / name).chmod(0o755)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SMALL_SLURM", str(programs / "cluster"))
        patch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
        yield programs / "cluster"
