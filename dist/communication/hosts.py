"""Which ranks are on one host and share its memory, and how a rank waits for its neighbours without taking their core."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..elastic.survival import require_all_alive
from ..world import mpi

if TYPE_CHECKING:
    from mpi4py import MPI

RANKS_PER_WINDOW = "ALLGRAD_RANKS_PER_WINDOW"

_SECONDS_OF_YIELDING = 2e-3
_SECONDS_BETWEEN_LOOKS = 50e-6


def ranks_of_host(comm: MPI.Intracomm) -> MPI.Intracomm:
    """Return a communicator of those ranks of *comm* that are on this one's host; all of *comm* call it.

    A host is what one kernel gives one name: two containers are two hosts. MPI is not asked (``Split_type``), for MPICH
    takes each rank for a host of its own where MPIR_CVAR_NOLOCAL has it send everything through the network.
    """
    hosts = comm.allgather((_boot_id(), socket.gethostname()))
    return _split(comm, hosts.index(hosts[comm.rank]))


def neighbours(comm: MPI.Intracomm) -> MPI.Intracomm:
    """Return a communicator of those ranks of *comm* that share memory with this one; all of *comm* call it.

    They are the ranks of a host, or as many of them, one after the other, as ALLGRAD_RANKS_PER_WINDOW says: those of a
    socket, say, whose memory is nearer. With 1 every rank is on its own. Raises ValueError unless it is a number above 0.
    """
    together = _ranks_per_window()
    host = ranks_of_host(comm)
    if together is None:
        return host
    few = _split(host, host.rank // together)
    host.Free()
    return few


def first_of_each(comm: MPI.Intracomm, neighbourhood: MPI.Intracomm | None) -> MPI.Intracomm | None:
    """Return a communicator of the first rank of each neighbourhood of *comm*, None on the others; all of *comm* call it.

    *neighbourhood* None is that of a rank on its own.
    """
    is_first = neighbourhood is None or neighbourhood.rank == 0
    firsts: Any = comm.Split(0 if is_first else mpi().UNDEFINED, comm.rank)
    return firsts if is_first else None


def wait_until(ready: Callable[[], bool], comm: MPI.Intracomm) -> None:
    """Return once *ready* says so; what ranks do over MPI meanwhile goes on, and so do ranks that share this core.

    Raises RankLostError where a rank dies meanwhile and this one outlives it: no message would tell.
    """
    yielding_until = time.monotonic() + _SECONDS_OF_YIELDING
    while not ready():
        # MPI moves on only when it is called, and another rank may need that before it comes here.
        comm.Iprobe()
        if time.monotonic() < yielding_until:
            os.sched_yield()
        else:
            time.sleep(_SECONDS_BETWEEN_LOOKS)
            require_all_alive()


def _split(comm: MPI.Intracomm, part: int) -> MPI.Intracomm:
    ranks: Any = comm.Split(part, comm.rank)
    found: MPI.Intracomm = ranks
    return found


def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")
    except OSError:
        return ""  # the name alone has to do


def _ranks_per_window() -> int | None:
    given = os.environ.get(RANKS_PER_WINDOW, "")
    if not given:
        return None
    if not given.isdecimal() or int(given) == 0:
        raise ValueError(f"{RANKS_PER_WINDOW}={given}: expected a number of ranks above 0; 1 turns shared memory off")
    return int(given)
