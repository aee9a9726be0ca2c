"""Where the rows of gradients lie, and who sums them: in memory that a host's ranks share, or by MPI alone."""

from __future__ import annotations

import socket
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ..communication.hosts import RANKS_PER_WINDOW, first_of_each, neighbours
from .allreduce import Allreduce
from .host_sum import HostSum
from .window import Array, Window

if TYPE_CHECKING:
    from mpi4py import MPI


# Bytes of a row on all ranks together up to which each adds up all of it: that waits for the others only once.
_SMALL = 256 << 10


class Reduction(Protocol):
    """What turns rows into means; every rank starts and finishes rows 0, 1, ... in this order, again and again."""

    def start(self, k: int) -> None:
        """Begin: what this rank brings to row *k* is there."""

    def is_done(self, k: int) -> bool:
        """Go on with what has begun, and return whether row *k*, the next to finish, has its mean; never waits."""

    def finish(self, k: int) -> None:
        """Wait for the mean of row *k*."""


Between = Callable[[Sequence[Array], "MPI.Intracomm", float], Reduction]
"""Makes what adds up rows, times a factor, over the ranks of a communicator that share no memory."""


@dataclass(frozen=True)
class Rows:
    """Where a rank writes what it brings to each row, where it then finds the mean, and what turns one into the other."""

    brought: Sequence[Array]
    means: Sequence[Array]
    reduction: Reduction


def lay_out(
    comm: MPI.Intracomm,
    sizes: Sequence[int],
    dtypes: Sequence[np.dtype[Any]],
    *,
    between: Between = Allreduce,
    apart: bool = False,
) -> Rows:
    """Return rows of *sizes* elements of *dtypes* over the ranks of *comm*, which all call this.

    The ranks of a host share their rows where they can, unless *apart*; those on their own, and the first of each host,
    add up by what *between* makes.
    """
    host = neighbours(comm)
    own = [
        np.zeros(size, dtype) if host.size == comm.size and size * dtype.itemsize * host.size <= _SMALL else None
        for size, dtype in zip(sizes, dtypes, strict=True)
    ]
    places = [size if row is None else 2 * size for size, row in zip(sizes, own, strict=True)]
    window = _window(host, places, dtypes) if host.size > 1 and not apart else None
    # Of its own: when a row starts depends on the moment, so that on the script's communicator it could be taken for
    # something that the script does.
    leaders = first_of_each(comm, host if window else None)
    scale = 1 / comm.size
    if window is None:
        assert leaders is not None
        alone = [np.zeros(size, dtype) for size, dtype in zip(sizes, dtypes, strict=True)]
        return Rows(alone, alone, between(alone, leaders, scale))
    hosts = host.bcast(leaders.size if leaders is not None else None)
    further = between(window.sums, leaders, 1.0) if leaders is not None and hosts > 1 else None
    reduction = HostSum(window, host, scale, further, hosts=hosts, own=own)
    brought = [row[host.rank] if mine is None else mine for row, mine in zip(window.brought, own, strict=True)]
    means = [row if mine is None else mine for row, mine in zip(window.own_sums, own, strict=True)]
    return Rows(brought, means, reduction)


def _window(host: MPI.Intracomm, sizes: Sequence[int], dtypes: Sequence[np.dtype[Any]]) -> Window | None:
    try:
        return Window(host, sizes, dtypes)
    except OSError as error:
        if host.rank == 0:
            warnings.warn(
                f"the {host.size} ranks on {socket.gethostname()} cannot share memory ({error}): MPI adds up their gradients "
                f"instead, which takes several times as long; {RANKS_PER_WINDOW}=1 asks for that and ends this warning",
                stacklevel=2,
            )
        return None
