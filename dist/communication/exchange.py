"""Collective operations in which every rank gives or gets a part of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from ..world import Group, mpi
from .buffers import Array, as_bytes, contiguous, memories_of, memory_of, numbers_of, put_back, require_n_times, shown
from .groups import member_number, members
from .reduction import ReduceOp, into_mean, reduction
from .work import Collective, Work, carry_out


def gather(
    tensor: Any,
    gather_list: Sequence[Any] | None = None,
    dst: int = 0,
    group: Group | None = None,
    async_op: bool = False,
) -> Work | None:
    """Fill *gather_list* of rank *dst*, one Tensor or array for each rank, with every rank's *tensor*.

    The other ranks leave *gather_list* out. Raises ValueError where it is missing, or has another length than the
    group, and RuntimeError on every rank when they disagree about the shape or dtype of *tensor*.
    """
    array = memory_of(tensor, "gather", changes=False)
    ranks = members(group, "gather")
    if ranks is None:
        return None
    root = member_number(ranks, dst, "gather", "dst")
    here = ranks.rank == root
    _require_only_there(gather_list, here, "gather", "gather_list", "dst", dst)
    places = memories_of(gather_list or (), array, ranks.size if here else 0, "gather", "gather_list", changes=True)
    every = np.empty((len(places), *array.shape), array.dtype)
    if here:
        every[root] = array

    def finish() -> None:
        for place, found in zip(places, every, strict=True):
            place[...] = found

    piece = contiguous(array)
    calls = [("Gather", (mpi().IN_PLACE if here else as_bytes(piece), as_bytes(every), root))] if ranks.comm else []
    return carry_out(ranks, Collective(f"gather to rank {dst} of {shown(array)}", calls, finish), async_op)


def scatter(
    tensor: Any,
    scatter_list: Sequence[Any] | None = None,
    src: int = 0,
    group: Group | None = None,
    async_op: bool = False,
) -> Work | None:
    """Fill *tensor* with this rank's entry of *scatter_list* of rank *src*, which has one for each rank.

    The other ranks leave *scatter_list* out. Raises as `gather`.
    """
    array = memory_of(tensor, "scatter")
    ranks = members(group, "scatter")
    if ranks is None:
        return None
    root = member_number(ranks, src, "scatter", "src")
    here = ranks.rank == root
    _require_only_there(scatter_list, here, "scatter", "scatter_list", "src", src)
    given = memories_of(scatter_list or (), array, ranks.size if here else 0, "scatter", "scatter_list", changes=False)
    mine = given[root].copy() if here else np.empty(array.shape, array.dtype)
    sent = as_bytes(np.stack(given)) if here else None
    calls = [("Scatter", (sent, mpi().IN_PLACE if here else as_bytes(mine), root))] if ranks.comm else []
    what = f"scatter from rank {src} of {shown(array)}"
    return carry_out(ranks, Collective(what, calls, lambda: put_back(mine, array)), async_op)


def reduce_scatter(
    output: Any,
    input_list: Sequence[Any],
    op: ReduceOp | str = ReduceOp.SUM,
    group: Group | None = None,
    async_op: bool = False,
) -> Work | None:
    """Write into *output* the reduction over all ranks of the entry of their *input_list* that is this rank's.

    *input_list* has one Tensor or array for each rank, all like *output*; *op* as for `all_reduce`.
    """
    place = memory_of(output, "reduce_scatter")
    ranks = members(group, "reduce_scatter")
    if ranks is None:
        return None
    given = memories_of(input_list, place, ranks.size, "reduce_scatter", "input_list", changes=False)
    return _reduce_scatter(ranks, place, np.stack(given), op, "reduce_scatter", async_op)


def reduce_scatter_tensor(
    output: Any, input: Any, op: ReduceOp | str = ReduceOp.SUM, group: Group | None = None, async_op: bool = False
) -> Work | None:
    """Write into *output* this rank's share of the reduction over all ranks of *input*.

    With n ranks *input* has n times the first dimension of *output* (or one dimension of n before it); *op* as for
    `all_reduce`.
    """
    place, array = memory_of(output, "reduce_scatter_tensor"), memory_of(input, "reduce_scatter_tensor", changes=False)
    ranks = members(group, "reduce_scatter_tensor")
    if ranks is None:
        return None
    require_n_times(array, place, ranks.size, "reduce_scatter_tensor")
    return _reduce_scatter(ranks, place, array, op, "reduce_scatter_tensor", async_op)


def all_to_all(
    output_tensor_list: Sequence[Any],
    input_tensor_list: Sequence[Any],
    group: Group | None = None,
    async_op: bool = False,
) -> Work | None:
    """Send the k-th of *input_tensor_list* to rank k, and fill *output_tensor_list* with what comes from each rank.

    Entries may differ in shape; what rank i sends to rank k must have as many elements as what k expects from i,
    which RuntimeError on the rank that got something else tells.
    """
    given = [memory_of(tensor, "all_to_all", changes=False) for tensor in input_tensor_list]
    places = [memory_of(tensor, "all_to_all") for tensor in output_tensor_list]
    ranks = members(group, "all_to_all")
    if ranks is None:
        return None
    for word, arrays in (("input_tensor_list", given), ("output_tensor_list", places)):
        if len(arrays) != ranks.size:
            raise ValueError(
                f"all_to_all: {word} has {len(arrays)} entries, but there are {ranks.size} ranks: one for each"
            )
    types = {array.dtype for array in (*given, *places)}
    if len(types) > 1:
        raise ValueError(f"all_to_all: all entries must have one dtype, not {', '.join(sorted(map(str, types)))}")
    row = np.concatenate([array.reshape(-1) for array in given])
    received = np.empty(sum(place.size for place in places), row.dtype)
    ends = np.cumsum([place.size for place in places])

    def finish() -> None:
        for place, found in zip(places, np.split(received, ends[:-1]), strict=True):
            place[...] = found.reshape(place.shape)

    sent_sizes, expected_sizes = [array.size for array in given], [place.size for place in places]
    return _all_to_all(ranks, row, received, sent_sizes, expected_sizes, finish, "all_to_all", async_op)


def all_to_all_single(
    output: Any,
    input: Any,
    output_split_sizes: Sequence[int] | None = None,
    input_split_sizes: Sequence[int] | None = None,
    group: Group | None = None,
    async_op: bool = False,
) -> Work | None:
    """Cut *input* along its first dimension, send part k to rank k, and join what comes from all ranks in *output*.

    The parts have *input_split_sizes* rows (default: all the same), those that come *output_split_sizes*. Raises
    ValueError when the sizes do not add up to the first dimension.
    """
    name = "all_to_all_single"
    place, array = memory_of(output, name), memory_of(input, name, changes=False)
    ranks = members(group, name)
    if ranks is None:
        return None
    if place.dtype != array.dtype or place.shape[1:] != array.shape[1:] or not array.ndim:
        raise ValueError(f"{name}: the output {shown(place)} must be like the input {shown(array)} but for its length")
    inner = int(np.prod(array.shape[1:]))
    sent_sizes = _parts(input_split_sizes, array, ranks.size, name, "input")
    expected_sizes = _parts(output_split_sizes, place, ranks.size, name, "output")
    received = contiguous(place)
    return _all_to_all(
        ranks,
        contiguous(array).reshape(-1),
        received.reshape(-1),
        [size * inner for size in sent_sizes],
        [size * inner for size in expected_sizes],
        lambda: put_back(received, place),
        name,
        async_op,
    )


def _reduce_scatter(
    ranks: Group, place: Array, given: Array, op: ReduceOp | str, name: str, async_op: bool
) -> Work | None:
    chosen = reduction(op, place, name)
    sent = numbers_of(given)
    size = sent.size // ranks.size
    mine = sent[ranks.rank * size : (ranks.rank + 1) * size].copy()

    def finish() -> None:
        into_mean(mine, ranks.size, chosen)
        put_back(mine, place)

    calls = [("Reduce_scatter_block", (sent, mine, chosen.in_mpi))] if ranks.comm else []
    return carry_out(ranks, Collective(f"{name}({chosen}) of {shown(place)}", calls, finish), async_op)


def _all_to_all(
    ranks: Group,
    sent: Array,
    received: Array,
    sent_sizes: Sequence[int],
    expected_sizes: Sequence[int],
    keep: Callable[[], None],
    name: str,
    async_op: bool,
) -> Work | None:
    if ranks.comm is None:
        if sent.size != received.size:
            raise RuntimeError(f"{name}: rank 0 sends itself {sent.size} elements, but expects {received.size}")
        received[...] = sent
    width, expected, coming = sent.itemsize, np.array(expected_sizes), np.array(expected_sizes)

    def check() -> None:
        for rank, here, there in zip(ranks.ranks, expected, coming, strict=True):
            if here != there:
                raise RuntimeError(f"{name}: rank {rank} sent {there} elements, but this rank expects {here} from it")

    def calls() -> Iterator[tuple[str, tuple[Any, ...]]]:
        yield "Alltoall", (np.array(sent_sizes), coming)
        check()
        outgoing = as_bytes(sent), [size * width for size in sent_sizes]
        yield "Alltoallv", (outgoing, (as_bytes(received), [size * width for size in expected_sizes]))

    def finish() -> None:
        check()  # for an asynchronous operation, whose calls have all begun at once
        keep()

    return carry_out(ranks, Collective(f"{name} of {sent.dtype}", calls(), finish), async_op)


def _require_only_there(tensors: Sequence[Any] | None, here: bool, name: str, word: str, end: str, rank: int) -> None:
    if here and tensors is None:
        raise ValueError(f"{name}: rank {rank} is {end} and must give {word}, one Tensor for each rank")
    if not here and tensors:
        raise ValueError(f"{name}: {word} belongs to rank {rank} alone, which is {end}: leave it out elsewhere")


def _parts(sizes: Sequence[int] | None, array: Array, n: int, name: str, word: str) -> Sequence[int]:
    if sizes is None:
        if len(array) % n:
            raise ValueError(
                f"{name}: {len(array)} rows of the {word} cannot be cut in {n} equal parts: give {word}_split_sizes"
            )
        return [len(array) // n] * n
    if len(sizes) != n or sum(sizes) != len(array) or min(sizes) < 0:
        raise ValueError(
            f"{name}: {word}_split_sizes={list(sizes)} must be {n} sizes, one for each rank, "
            f"that add up to {len(array)}, the length of the {word}"
        )
    return sizes
