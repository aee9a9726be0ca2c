"""What is wrong with the place that ranks were started in: a hostfile nobody read, too few cores, a small /dev/shm."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .threads import OPEN_MP

HOSTFILE = "OMPI_MCA_orte_default_hostfile"
"""Set by the Kubernetes MPI Operator for Open MPI 4; Open MPI 5 does not read it."""
READ_HOSTFILE = "PRTE_MCA_prte_default_hostfile"
MEANT = "ALLGRAD_OVERSUBSCRIBE"
"""The variable by which somebody says that few cores are meant."""
SHM = Path("/dev/shm")  # noqa: S108 -- looked at, never written to
SMALL_SHM = 128 << 20


@dataclass(frozen=True)
class Seat:
    """What one rank found for itself: the cores that it may use, and the threads that it will start."""

    cores: frozenset[int]
    threads: int


def own_seat() -> Seat:
    """Return what this process found."""
    told = os.environ.get(OPEN_MP, "").partition(",")[0]
    return Seat(frozenset(os.sched_getaffinity(0)), int(told) if told.isdigit() else 1)


def ignored_hostfile(size: int, local_size: int, environ: Mapping[str, str]) -> str:
    """Return why *size* ranks, *local_size* of them on this host, must not go on: a hostfile names others, or "".

    >>> ignored_hostfile(4, 2, {"OMPI_MCA_orte_default_hostfile": "/etc/mpi/hostfile"})
    ''
    """
    path = environ.get(HOSTFILE)
    if not path or local_size < size or READ_HOSTFILE in environ:
        return ""
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    words = [line.partition("#")[0].split() for line in lines]
    names = [word[0].partition(":")[0] for word in words if word]
    here = socket.gethostname()
    others = [name for name in names if name not in (here, "localhost") and name.partition(".")[0] != here]
    if not others or (size > 1 and len(others) < len(names)):
        return ""
    found = "this process runs alone" if size == 1 else f"all {size} ranks run"
    return (
        f"{found} on {here}, but the hostfile {path} names {', '.join(others[:3])}{' …' if len(others) > 3 else ''}: "
        f"Open MPI 5 does not read {HOSTFILE}. Start with allgrad run, with mpirun --hostfile {path}, or set "
        f"{READ_HOSTFILE}={path}; to use this host alone, unset {HOSTFILE}"
    )


def complaints(seats: Sequence[Seat], shm: int, environ: Mapping[str, str]) -> list[str]:
    """Return what to warn of on a host whose ranks found *seats*, with *shm* bytes of /dev/shm.

    >>> seat = Seat(frozenset({0}), 4)
    >>> complaints([seat, seat], 1 << 30, {})[0]
    '2 ranks share 1 core, and will be slow: start fewer, or set ALLGRAD_OVERSUBSCRIBE=1 if you mean it'
    """
    found = []
    cores = frozenset[int]().union(*(seat.cores for seat in seats))
    meant = f"set {MEANT}=1 if you mean it"
    if not environ.get(MEANT):
        narrow = [seat for seat in seats if seat.threads > len(seat.cores)]
        wanted = sum(seat.threads for seat in seats)
        if len(seats) > len(cores):
            found.append(f"{len(seats)} ranks share {_cores(len(cores))}, and will be slow: start fewer, or {meant}")
        elif narrow:
            found.append(
                f"each of {narrow[0].threads} threads of a rank has a part of {_cores(len(narrow[0].cores))}: bind ranks to more "
                f"(mpirun --bind-to none, srun --cpus-per-task={narrow[0].threads}), lower {OPEN_MP}, or {meant}"
            )
        elif wanted > len(cores):
            found.append(
                f"{len(seats)} ranks with {wanted} threads share {_cores(len(cores))}: set {OPEN_MP}="
                f"{max(1, len(cores) // len(seats))}, or {meant}"
            )
    if len(seats) > 1 and shm < SMALL_SHM:
        found.append(
            f"{SHM} has {shm >> 20} MB, and MPI puts what ranks send each other there: give it more, as in docker run "
            "--shm-size=1g, or in Kubernetes an emptyDir of medium Memory there"
        )
    return found


def warn(seats: Sequence[Seat]) -> None:
    """Tell what is wrong on this host, whose ranks found *seats*; one of them calls it."""
    for complaint in complaints(seats, _shm(), os.environ):
        sys.stderr.write(f"allgrad: warning: on {socket.gethostname()} {complaint}\n")


def _cores(count: int) -> str:
    return "1 core" if count == 1 else f"{count} cores"


def _shm() -> int:
    try:
        found = os.statvfs(SHM)
    except OSError:
        return SMALL_SHM
    return found.f_blocks * found.f_frsize
