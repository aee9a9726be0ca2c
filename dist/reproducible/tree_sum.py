"""The sum of all ranks' rows along the fixed tree: each rank adds up one slice, whose parts all others send it."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .rows import Row, Rows
from .shards import Span, cut, fold, owned, subtrees

if TYPE_CHECKING:
    from mpi4py import MPI

Array = NDArray[Any]


def sum_over_ranks(comm: MPI.Intracomm, shards: int, rows: Rows, roots: Mapping[Span, Row]) -> Row:
    """Return the sum of all *shards*, of which *roots* holds the nodes of the tree that this rank has formed.

    Which numbers are added in which order follows from the tree alone: ranks, slices and MPI have no part in it.
    The rows of *roots* are given back.
    """
    nodes = [subtrees(owned(rank, comm.size, shards), (0, shards)) for rank in range(comm.size)]
    total = rows.take()
    for number, flat in enumerate(total.flats):
        sizes = cut(flat.size, comm.size)
        mine: dict[Span, Array] = {}
        for turn in range(max(map(len, nodes))):
            own = nodes[comm.rank][turn : turn + 1]
            sent = roots[own[0]].flats[number] if own else flat[:0]
            senders = [rank for rank in range(comm.size) if turn < len(nodes[rank])]
            parts = _exchange(comm, sent, sizes, senders)
            mine.update(zip([nodes[rank][turn] for rank in senders], parts, strict=True))
        _gather(comm, fold((0, shards), mine.get, _add_in_place), flat, sizes)
    for root in roots.values():
        rows.give_back(root)
    return total


def _add_in_place(left: Array, right: Array) -> Array:
    return np.add(left, right, out=left)


def _exchange(comm: MPI.Intracomm, sent: Array, sizes: list[int], senders: list[int]) -> list[Array]:
    """Send every rank its slice of *sent*, if this rank is among *senders*; return what those sent to this one."""
    width = sent.itemsize
    counts = [size * width for size in sizes] if comm.rank in senders else [0] * comm.size
    mine = sizes[comm.rank]
    received = np.empty((len(senders), mine), sent.dtype)
    arriving = [mine * width if rank in senders else 0 for rank in range(comm.size)]
    comm.Alltoallv(
        [_bytes(sent), (counts, _starts(counts))],
        [_bytes(received), (arriving, _starts(arriving))],
    )
    return list(received)


def _gather(comm: MPI.Intracomm, part: Array, whole: Array, sizes: list[int]) -> None:
    """Fill *whole* on every rank with each rank's *part*, its slice of it."""
    counts = [size * whole.itemsize for size in sizes]
    comm.Allgatherv(_bytes(part), [_bytes(whole), (counts, _starts(counts))])


def _starts(counts: list[int]) -> list[int]:
    return [0, *accumulate(counts)][:-1]


def _bytes(array: Array) -> NDArray[np.uint8]:
    return array.reshape(-1).view(np.uint8)
