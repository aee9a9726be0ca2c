"""What every launcher offers, and the command that it makes of a script."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ..jobs.hosts import Host
from .hosts import forwarded

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

    @property
    def hosts(self) -> tuple[Host, ...]:
        """How many ranks each host gets; empty: all are on this machine, or where Slurm says."""

    @property
    def slurm(self) -> bool:
        """Whether the ranks are started on the nodes of the Slurm allocation that this is in."""

    def argv(self, program: Sequence[str], ranks: int, forward: Sequence[str] = ()) -> list[str]:
        """Return the argv that starts *ranks* times *program*, with the variables *forward* on other hosts too."""

    def env(self, scratch: Path | None) -> Mapping[str, str]:
        """Return the environment that it needs; what the user set takes precedence.

        *scratch*: an empty folder for its own files, which nothing else uses and which is removed afterwards; with None
        they go where it puts them by itself.
        """

    def ending(self, returncode: int, output: str) -> Ending:
        """Return how the ranks ended, from its own *returncode* (negative: a signal) and last *output*."""

    def told(self, line: bytes) -> tuple[int | None, bytes]:
        """Return which rank printed *line*, which reached us through the launcher, and what; None: the launcher itself."""


def elsewhere(launcher: Launcher) -> bool:
    """Return whether ranks may run on other machines than this one, where its files and processes are not seen."""
    return bool(launcher.hosts) or launcher.slurm


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
    forward: Sequence[str] = (),
) -> Command:
    """Return the command by which *launcher* runs the script *argv* on *ranks* ranks.

    *scratch*: an empty folder for the launcher's own files, if it has any. *environ*: the environment to start from
    (default: this process's). *threads*: how many a rank may use, unless the environment says it (default: the cores
    divided among the ranks, at least 1; on other hosts each rank counts those that it finds). *forward*: names of
    variables that ranks on other hosts get too, beside those that concern Python, threads, MPI and allgrad.
    """
    given = dict(os.environ if environ is None else environ)
    if not threads and not elsewhere(launcher):
        threads = max(1, len(os.sched_getaffinity(0)) // ranks)
    settings = dict.fromkeys(_THREAD_SETTINGS, str(threads)) if threads else {}
    meant = {"ALLGRAD_OVERSUBSCRIBE": "1"}  # whoever starts ranks by us has been told of few cores already
    defaults = settings | meant | dict(launcher.env(scratch))
    env = given | {name: value for name, value in defaults.items() if name not in given}
    names = forwarded(env, forward) if elsewhere(launcher) else ()
    return Command(tuple(launcher.argv(rank_program(argv, as_torch), ranks, names)), env)


def plain_ending(returncode: int) -> Ending:
    """Return what a *returncode* alone tells."""
    return by_signal(-returncode) if returncode < 0 else Ending(returncode)


def by_signal(number: int, rank: int | None = None) -> Ending:
    """Return the ending of a rank that signal *number* ended."""
    return Ending(128 + number, number, rank)
