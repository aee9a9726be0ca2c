"""Collective operations on Tensors and arrays, called by all ranks of a group in the same order.

Every call first makes sure that all ranks make the same one; a difference raises RuntimeError on all of them. Where
the ranks of a *group* are named (*src*, *dst*), it is by their numbers in the world, as in torch.distributed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..world import Group, mpi
from .agreement import agree
from .buffers import Array, as_bytes, contiguous, memories_of, memory_of, numbers_of, put_back, require_n_times, shown
from .groups import member_number, members
from .reduction import ReduceOp, into_mean, reduction
from .work import Collective, Work, carry_out

if TYPE_CHECKING:
    from mpi4py import MPI

# Open MPI and MPICH both take longer for one call of 25 MB than for 25 of one (7.1 against 4.9 ms on a host).
CHUNK_BYTES = 1 << 20


def barrier(group: Group | None = None, async_op: bool = False) -> Work | None:
    """Wait until every rank of *group* (default: all) has come here."""
    ranks = members(group, "barrier")
    return None if ranks is None else carry_out(ranks, Collective("barrier", (), _nothing), async_op)


def all_reduce(
    tensor: Any, op: ReduceOp | str = ReduceOp.SUM, group: Group | None = None, async_op: bool = False
) -> Work | None:
    """Replace the values of *tensor* on every rank by their reduction over all ranks, element by element.

    *tensor* is a Tensor or a NumPy array of any shape and number type, the same on every rank; *op* one of "sum"
    (the default), "avg" or "mean" (floating point only), "min", "max", "product", and of integers "band", "bor", "bxor".
    float16 is added in float32.
    With *async_op* the result is there after ``wait()`` of the Work returned.
    Raises RuntimeError on every rank when they disagree about shape, dtype or operation.

    >>> import numpy as np
    >>> from allgrad import dist
    >>> losses = np.array([0.5, 0.25])
    >>> dist.all_reduce(losses, "mean")
    >>> losses
    array([0.5 , 0.25])
    """
    array = memory_of(tensor, "all_reduce")
    chosen = reduction(op, array, "all_reduce")
    ranks = members(group, "all_reduce")
    if ranks is None:
        return None
    row = numbers_of(array)
    step = row.size or 1 if async_op else CHUNK_BYTES // row.itemsize
    pieces = [row[start : start + step] for start in range(0, row.size, step)] if ranks.comm else []

    def finish() -> None:
        into_mean(row, ranks.size, chosen)
        put_back(row, array)

    calls = [("Allreduce", (mpi().IN_PLACE, piece, chosen.in_mpi)) for piece in pieces]
    return carry_out(ranks, Collective(f"all_reduce({chosen}) of {shown(array)}", calls, finish, [tensor]), async_op)


def reduce(
    tensor: Any,
    dst: int = 0,
    op: ReduceOp | str = ReduceOp.SUM,
    group: Group | None = None,
    async_op: bool = False,
) -> Work | None:
    """Replace the values of *tensor* on rank *dst* by their reduction over all ranks; elsewhere they stay.

    As `all_reduce`, of which only one rank wants the result.
    """
    array = memory_of(tensor, "reduce")
    chosen = reduction(op, array, "reduce")
    ranks = members(group, "reduce")
    if ranks is None:
        return None
    root = member_number(ranks, dst, "reduce", "dst")
    row = numbers_of(array)

    def finish() -> None:
        if ranks.rank == root:
            into_mean(row, ranks.size, chosen)
            put_back(row, array)

    sent, received = (mpi().IN_PLACE, row) if ranks.comm and ranks.rank == root else (row, None)
    calls = [("Reduce", (sent, received, chosen.in_mpi, root))] if ranks.comm else []
    return carry_out(ranks, Collective(f"reduce({chosen}) to rank {dst} of {shown(array)}", calls, finish), async_op)


def broadcast(tensor: Any, src: int = 0, group: Group | None = None, async_op: bool = False) -> Work | None:
    """Replace the values of *tensor*, a Tensor or array, on every rank by those of rank *src*.

    Raises RuntimeError on every rank when they disagree about shape, dtype or source.
    """
    array = memory_of(tensor, "broadcast")
    ranks = members(group, "broadcast")
    if ranks is None:
        return None
    root = member_number(ranks, src, "broadcast", "src")
    piece = contiguous(array)
    calls = [("Bcast", (as_bytes(piece), root))]
    what = f"broadcast from rank {src} of {shown(array)}"
    return carry_out(ranks, Collective(what, calls, lambda: put_back(piece, array)), async_op)


def send_from(comm: MPI.Intracomm, array: Array, src: int) -> None:
    """Send the values of *array*, of one shape and dtype on all ranks of *comm*, from rank *src* to the others."""
    piece = contiguous(array)
    comm.Bcast(as_bytes(piece), root=src)
    put_back(piece, array)


def all_gather(
    tensor_list: Sequence[Any], tensor: Any, group: Group | None = None, async_op: bool = False
) -> Work | None:
    """Fill *tensor_list*, one Tensor or array for each rank, with every rank's *tensor*.

    Raises RuntimeError on every rank when they disagree about the shape or dtype of *tensor*, and ValueError when
    *tensor_list* has another length than the group or holds another shape or dtype.
    """
    array = memory_of(tensor, "all_gather", changes=False)
    ranks = members(group, "all_gather")
    if ranks is None:
        return None
    places = memories_of(tensor_list, array, ranks.size, "all_gather", "tensor_list", changes=True)

    def keep(every: Array) -> None:
        for place, found in zip(places, every, strict=True):
            place[...] = found

    return carry_out(ranks, _gathering(ranks, array, "all_gather", keep), async_op)


def all_gather_into_tensor(
    output_tensor: Any, input_tensor: Any, group: Group | None = None, async_op: bool = False
) -> Work | None:
    """Write every rank's *input_tensor*, in order of rank, one after the other into *output_tensor*.

    For *input_tensor* of shape (d, ...) *output_tensor* has shape (n·d, ...) or (n, d, ...) with n ranks.
    """
    name = "all_gather_into_tensor"
    array = memory_of(input_tensor, name, changes=False)
    output = memory_of(output_tensor, name)
    ranks = members(group, name)
    if ranks is None:
        return None
    require_n_times(output, array, ranks.size, name)

    def keep(every: Array) -> None:
        output[...] = every.reshape(output.shape)

    return carry_out(ranks, _gathering(ranks, array, name, keep), async_op)


def mean(value: Any, weight: float = 1.0, group: Group | None = None) -> float:
    """Return the mean over all ranks of *value*, a number or a one-element Tensor, such as a loss.

    *weight* is the say this rank has, in any unit: where batches differ in size, the number of samples. The weights
    of all ranks must not add up to zero. A rank outside of *group* gets its own value back.

    >>> from allgrad import dist
    >>> dist.mean(0.25, weight=32)
    0.25
    """
    number = float(value.item() if hasattr(value, "item") else value)
    ranks = members(group, "mean")
    if ranks is None:
        return number
    agree(ranks, "mean")
    if ranks.comm is None:
        return number
    sums = np.array([number * weight, weight])
    ranks.comm.Allreduce(mpi().IN_PLACE, sums)
    return float(sums[0] / sums[1])


def _gathering(ranks: Group, array: Array, name: str, keep: Callable[[Array], None]) -> Collective:
    every = np.empty((ranks.size, *array.shape), array.dtype)
    every[ranks.rank] = array
    calls = [("Allgather", (mpi().IN_PLACE, as_bytes(every)))] if ranks.comm else []
    return Collective(f"{name} of {shown(array)}", calls, lambda: keep(every))


def _nothing() -> None:
    """Nothing is left to do."""
