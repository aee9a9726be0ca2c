"""Memory that the ranks of one host share: a file without a name, which its first owner hands to the others.

There is nothing to clean up, however the ranks end, and no limit on /dev/shm counts.
"""

from __future__ import annotations

import mmap
import os
import platform
from collections.abc import Callable
from typing import TYPE_CHECKING

from ..world import mpi

if TYPE_CHECKING:
    from mpi4py import MPI

LINE = 64
"""Bytes of a cache line: what two ranks write must not share one."""
_TOKEN_BYTES = 16
# Processors on which stores become visible in the order in which they were made.
_ORDERED = frozenset({"x86_64", "AMD64"})


def shared_file(host: MPI.Intracomm, total: int, name: str) -> tuple[int, str]:
    """Return a file of *total* bytes that the ranks of *host* share, and what went wrong on this one, or "".

    All of them call it. The first cache line is taken; the rest is zero.
    """
    file, problem = -1, ""
    token = os.urandom(_TOKEN_BYTES)
    if host.rank == 0:
        try:
            file = os.memfd_create(name)
            os.ftruncate(file, total)
            os.pwrite(file, token, 0)
        except (OSError, AttributeError) as error:
            problem = str(error)
    owner, owners_file, expected = host.bcast((os.getpid(), file, token))
    if host.rank == 0:
        return file, problem
    if owners_file < 0:
        return file, "the first rank of the host has made no file"
    try:
        file = os.open(f"/proc/{owner}/fd/{owners_file}", os.O_RDWR)
        # In another namespace of processes the number is another's.
        if os.pread(file, _TOKEN_BYTES, 0) != expected:
            problem = f"process {owner} is not the one that is meant, but of another container"
    except OSError as error:
        problem = str(error)
    return file, problem


def map_together(host: MPI.Intracomm, total: int, name: str, use: Callable[[int], None]) -> None:
    """Let *use* map a file of *total* bytes that the ranks of *host* share, and that is closed after it.

    All of them call it; *name* is what the system shows. Raises OSError on each of them, saying what went wrong on which,
    unless all could.
    """
    file, problem = shared_file(host, total, name)
    try:
        if not problem:
            try:
                use(file)
            except OSError as error:
                problem = str(error)
        problems = [f"rank {rank} of the host: {text}" for rank, text in enumerate(host.allgather(problem)) if text]
    finally:
        if file >= 0:
            os.close(file)
    if problems:
        raise OSError("; ".join(problems))


def fence() -> Callable[[], None]:
    """Return what keeps reads and writes on its two sides apart, for the other ranks too."""
    if platform.machine() in _ORDERED:
        return _nothing
    # MPI's own, by the one call that is nothing else.
    window = mpi().Win.Create(None, comm=mpi().COMM_SELF)
    window.Lock_all()
    sync: Callable[[], None] = window.Sync
    return sync


def whole_pages(length: int) -> int:
    """Return *length* rounded up to what can be mapped."""
    return -(-length // mmap.ALLOCATIONGRANULARITY) * mmap.ALLOCATIONGRANULARITY


def _nothing() -> None:
    """Such a processor needs no more than the order of the calls."""
