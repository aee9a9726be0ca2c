"""What every launcher offers, and the command that it makes of a script."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

_THREAD_SETTINGS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


@dataclass(frozen=True, slots=True)
class Command:
    """What to execute: an argv, never a shell line, and the whole environment."""

    argv: tuple[str, ...]
    env: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Ending:
    """How the ranks ended. *exit_code* is 128 + *signal* if a signal ended the first of them that failed."""

    exit_code: int
    signal: int | None = None
    rank: int | None = None
    """The rank that failed first, if the launcher tells."""


class Launcher(Protocol):
    """Starts the ranks of one attempt."""

    @property
    def name(self) -> str:
        """What it is, for people: implementation and version."""

    @property
    def helpers(self) -> frozenset[str]:
        """Names (as in /proc/PID/stat) of its own processes: they end by themselves once the ranks have."""

    def argv(self, program: Sequence[str], ranks: int) -> list[str]:
        """Return the argv that starts *ranks* times *program*."""

    def env(self, scratch: Path | None) -> Mapping[str, str]:
        """Return the environment that it needs; what the user set takes precedence.

        *scratch*: an empty folder for its own files, which nothing else uses and which is removed afterwards; with None
        they go where it puts them by itself.
        """

    def ending(self, returncode: int, output: str) -> Ending:
        """Return how the ranks ended, from its own *returncode* (negative: a signal) and last *output*."""


def rank_program(argv: Sequence[str], as_torch: bool = False) -> list[str]:
    """Return the argv of one rank that runs *argv*: a script and its arguments."""
    entry = [sys.executable, "-u", "-m", "allgrad.dist.rank"]
    return entry + (["--as-torch"] if as_torch else []) + list(argv)


def command(
    launcher: Launcher,
    argv: Sequence[str],
    ranks: int,
    *,
    scratch: Path | None = None,
    as_torch: bool = False,
    threads: int | None = None,
    environ: Mapping[str, str] | None = None,
) -> Command:
    """Return the command by which *launcher* runs the script *argv* on *ranks* ranks.

    *scratch*: an empty folder for the launcher's own files, if it has any. *environ*: the environment to start from
    (default: this process's). *threads*: how many a rank may use (default: the cores divided among
    the ranks, at least 1), unless the environment says it.
    """
    given = dict(os.environ if environ is None else environ)
    share = threads or max(1, len(os.sched_getaffinity(0)) // ranks)
    env = {setting: str(share) for setting in _THREAD_SETTINGS} | dict(launcher.env(scratch)) | given
    return Command(tuple(launcher.argv(rank_program(argv, as_torch), ranks)), env)
