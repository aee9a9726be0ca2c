"""Embeddings: the rows of a table at whole numbers, one by one or summed up in bags."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..batching import as_array, completed, levels_of, sizes_of, wrap, zeros
from ..kernels.segments import segment_sums
from ..registry import Array, Index, composite, operation
from ..registry.inplace import rewrite_history
from ..registry.samples import each, on, real, whole
from ..tensors.tensor import Tensor
from .comparison import choose
from .gathering import gather

_KINDS = (np.dtype(np.int64), np.dtype(np.int32))


@operation(
    lambda g, input_shape, index: rows_added(g, index, input_shape[0]),
    public=False,
    node_name="EmbeddingBackward0",
    samples=each(on(real(4, 3), whole(2, 3, below=4)), on(real(4, 3), np.array([1, 1, 3]))),
)
def rows_at(input: Array, index: Index) -> Array:
    """The rows of the table input at *index*."""
    return np.take(input, index, 0)


@operation(
    lambda g, index: rows_at(g, index),
    public=False,
    samples=each(on(real(2, 3, 2), whole(2, 3, below=4), 4), on(real(3, 2), np.array([1, 1, 3]), 4)),
)
def rows_added(g: Array, index: Index, count: int) -> Array:
    """A table of *count* rows, zeros with the rows *g* added at *index*: what ``rows_at`` sends back."""
    places, rows = index.reshape(-1), g.reshape(-1, g.shape[-1])
    result = zeros((count, rows.shape[1]), g)
    if places.size:
        order = np.argsort(places, kind="stable")
        places = places[order]
        starts = np.flatnonzero(np.concatenate(([True], places[1:] != places[:-1])))
        counts = np.diff(np.append(starts, places.size))
        result[places[starts]] = segment_sums(rows, starts, counts, order)
    return result


def _with_each_scale(forward: Any) -> Any:
    """For batches: a result for each example, as each has its own gradient."""
    return lambda input, scale: wrap(completed(input, sizes_of((input, scale))).copy(), levels_of((input, scale)))


@operation(
    lambda g, scale: g * scale,
    public=False,
    node_name="EmbeddingBackward0",
    samples=on(real(2, 3), np.ones((2, 1))),
    batching=_with_each_scale,
)
def with_gradient_scaled(input: Array, scale: Index) -> Array:
    """A copy of input whose gradient is multiplied by *scale*: on purpose not the true derivative."""
    return input.copy()


@operation(
    lambda g, input_shape, starts: repeated(g, starts, input_shape[0]),
    public=False,
    node_name="EmbeddingBagBackward0",
    samples=on(real(5, 2), np.array([0, 2, 2, 5])),
)
def bag_sums(input: Array, starts: Index) -> Array:
    """The sums of the rows of input from each of *starts* (ascending, the last one is the end) to the next."""
    counts = np.diff(starts)
    if counts.size and (counts == counts[0]).all():
        return input[: starts[-1]].reshape(len(counts), counts[0], *input.shape[1:]).sum(1)
    return segment_sums(input, starts[:-1], counts)


@operation(
    lambda g, starts: bag_sums(g, starts),
    public=False,
    samples=on(real(3, 2), np.array([0, 2, 2, 5]), 5),
)
def repeated(g: Array, starts: Index, count: int) -> Array:
    """Each row of *g* for all the rows of its bag: what ``bag_sums`` sends back to *count* rows."""
    rows = np.repeat(g, np.diff(starts), axis=0)
    rest = np.zeros((count - len(rows), *g.shape[1:]), dtype=g.dtype)  # of no bag
    return np.concatenate((rows, rest)) if len(rest) else rows


def _check_indices(name: str, input: Tensor, weight: Tensor) -> None:
    if input._array.dtype not in _KINDS:
        raise RuntimeError(f"{name}: expected indices of type int64 or int32, found {input.dtype}")
    if weight._array.ndim != 2:
        raise RuntimeError(f"{name}: 'weight' must be 2-D, found shape {list(weight.shape)}")


def _frequency(index: Array, rows: int) -> Array:
    """For each element of *index*, how often it occurs there."""
    counts = np.bincount(index.reshape(-1), minlength=rows)
    return as_array(counts[index])


def _renormalize(index: Array, weight: Tensor, max_norm: float, norm_type: float) -> None:
    """Shorten, in place, the rows of *weight* at *index* whose norm exceeds *max_norm*."""
    used = np.unique(index)
    norms = np.linalg.norm(weight._array[used], norm_type, axis=1)
    long = norms > max_norm
    weight._array[used[long]] *= (max_norm / (norms[long] + 1e-7)).astype(weight._array.dtype)[:, None]
    rewrite_history(weight, None)


@composite(
    method=False,
    samples=each(on(whole(2, 3, below=5), real(5, 4)), on(np.array(1), real(3, 2))),
)
def embedding(
    input: Tensor,
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:
    """The rows of *weight* at the whole numbers of input.

    Args:
        input: any shape (…), int64 or int32.
        weight: the table (rows, width).
        padding_idx: a row that gets no gradient.
        max_norm: rows that are used and longer are shortened to this, in place.
        norm_type: the p of that norm.
        scale_grad_by_freq: divide the gradient of each row by how often it is used in input.
        sparse: has no effect; gradients are dense.

    Returns:
        (…, width).

    Raises:
        IndexError: a number that is no row.
        RuntimeError: input that is not of whole numbers.

    Example:
        >>> import allgrad as torch
        >>> torch.nn.functional.embedding(torch.tensor([2, 0]), torch.eye(3))
        tensor([[0., 0., 1.],
                [1., 0., 0.]])
    """
    _check_indices("embedding", input, weight)
    array, rows = input._array, weight._array.shape[0]
    if padding_idx is not None and not -rows <= padding_idx < rows:
        raise AssertionError(f"Padding_idx must be within num_embeddings, found {padding_idx} of {rows}")
    if array.size and (array.min() < 0 or array.max() >= rows):
        bad = int(array.min() if array.min() < 0 else array.max())
        raise IndexError(f"index out of range in self: embedding has {rows} rows, found index {bad}")
    if max_norm is not None:
        _renormalize(array, weight, max_norm, norm_type)
    found: Tensor = rows_at(weight, input)
    if scale_grad_by_freq:
        found = _divided_by_frequency(found, array, rows)
    if padding_idx is None:
        return found
    padding = Tensor._wrap(as_array(array == padding_idx % rows)[..., None])
    return choose(padding, found.detach(), found)


def _divided_by_frequency(found: Tensor, index: Array, rows: int) -> Tensor:
    scale = (1.0 / np.maximum(_frequency(index, rows), 1)).astype(found._array.dtype)
    return with_gradient_scaled(found, Tensor._wrap(as_array(scale)[..., None]))


def _bags(input: Tensor, offsets: Tensor | None, include_last_offset: bool) -> tuple[Array, Array]:
    """The indices in one row, and where each bag starts in it, with the end of the last one."""
    array = input._array
    if array.ndim == 2:
        if offsets is not None:
            raise ValueError(
                "if input is 2D, then offsets has to be None, as input is treated is a mini-batch of fixed length "
                f"sequences. However, found offsets of type {type(offsets).__name__}"
            )
        return array.reshape(-1), np.arange(array.shape[0] + 1) * array.shape[1]
    if array.ndim != 1:
        raise ValueError(f"input has to be 1D or 2D Tensor, but got Tensor of dimension {array.ndim}")
    if offsets is None or offsets._array.ndim != 1:
        found = None if offsets is None else f"{offsets._array.ndim} dimensions"
        raise ValueError(f"offsets has to be a 1D Tensor but got {found}")
    starts = offsets._array.astype(np.int64)
    if starts.size and starts[0] != 0:
        raise RuntimeError(
            "offsets[0] has to be 0, i.e., the first sequence in the mini-batch has to start from position 0. However, "
            f"got {starts[0]}"
        )
    if starts.size and starts[-1] > array.size:
        raise RuntimeError(
            f"offsets[-1] can not be greater than input's length {array.size} but got offsets[-1] of {starts[-1]}"
        )
    if (np.diff(starts) < 0).any():
        raise RuntimeError(f"offsets have to ascend, found {starts.tolist()}")
    if include_last_offset:
        if not starts.size:
            raise RuntimeError("include_last_offset: number of offsets should be at least 1")
        return array, starts
    return array, np.append(starts, array.size)


def _check_bag_call(
    input: Tensor, weight: Tensor, per_sample_weights: Tensor | None, mode: str, scaled: bool, padding_idx: int | None
) -> None:
    if mode not in ("sum", "mean", "max"):
        raise ValueError(f"mode has to be one of sum, mean or max, found {mode!r}")
    if mode == "max" and scaled:
        raise ValueError("max mode does not support scaling the gradient by the frequency")
    _check_indices("embedding_bag", input, weight)
    array, rows = input._array, weight._array.shape[0]
    if padding_idx is not None and not -rows <= padding_idx < rows:
        raise RuntimeError(
            f"padding_idx must be within the number of embeddings, {-rows} through {rows - 1}, but got {padding_idx}"
        )
    if array.size and (array.min() < 0 or array.max() >= rows):
        bad = int(np.flatnonzero((array < 0) | (array >= rows))[0])
        raise RuntimeError(
            f"Index {bad} of input takes value {array.reshape(-1)[bad]} which is not in the valid range [0, {rows})"
        )
    if per_sample_weights is None:
        return
    if mode != "sum":
        raise NotImplementedError(
            "embedding_bag: per_sample_weights was not None. per_sample_weights is only supported for mode='sum' (got "
            f"mode='{mode}')."
        )
    if per_sample_weights.shape != input.shape:
        raise ValueError(
            f"embedding_bag: If per_sample_weights ({per_sample_weights.shape}) is not None, then it must have the same "
            f"shape as the input ({input.shape})"
        )


def _without_padding(index: Array, starts: Array, padding: int) -> tuple[Array, Array]:
    """The places in *index* that are not *padding*, and where the bags of those start."""
    kept = index != padding
    before = np.concatenate(([0], np.cumsum(kept)))
    return np.flatnonzero(kept), before[starts]


def _bag_maxima(rows: Tensor, starts: Array) -> Tensor:
    """The greatest element of each column in each bag (the first of equals), and 0 in empty ones."""
    array = rows._array
    places = zeros((len(starts) - 1, array.shape[1]), array, np.int64)
    filled = np.diff(starts) > 0
    for bag in np.flatnonzero(filled):
        places[bag] = starts[bag] + np.argmax(array[starts[bag] : starts[bag + 1]], axis=0)
    if not array.shape[0]:
        return bag_sums(rows, Tensor._wrap(starts))
    maxima = gather(rows, 0, Tensor._wrap(places))
    return choose(Tensor._wrap(filled[:, None]), maxima, maxima.detach() * 0.0)


@composite(
    method=False,
    samples=each(
        on(whole(2, 3, below=5), real(5, 4)),
        on(np.array([0, 2, 2, 1, 3]), real(5, 2), np.array([0, 2, 2]), mode="sum"),
        on(np.array([0, 2, 2, 1, 3]), real(5, 2), np.array([0, 3, 5]), mode="max", include_last_offset=True),
        on(np.array([0, 2, 2, 1, 3]), real(5, 2), np.array([0, 3]), mode="mean", padding_idx=2),
        on(whole(2, 2, below=3), real(3, 2), mode="sum", per_sample_weights=real(2, 2)),
    ),
)
def embedding_bag(
    input: Tensor,
    weight: Tensor,
    offsets: Tensor | None = None,
    max_norm: float | None = None,
    norm_type: float = 2,
    scale_grad_by_freq: bool = False,
    mode: str = "mean",
    sparse: bool = False,
    per_sample_weights: Tensor | None = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Tensor:
    """The sums, means or maxima of bags of rows of *weight*.

    Args:
        input: whole numbers, (B, L) for B bags of L; or (N), cut into bags by *offsets*.
        weight: the table (rows, width).
        offsets: (B), where each bag starts in a one-dimensional input; the first is 0.
        max_norm: rows that are used and longer are shortened to this, in place.
        norm_type: the p of that norm.
        scale_grad_by_freq: divide the gradient of each row by how often it is used in input; not with "max".
        mode: "sum", "mean" or "max"; an empty bag gives zeros.
        sparse: has no effect; gradients are dense.
        per_sample_weights: of the shape of input: the rows are multiplied by them; with "sum" only.
        include_last_offset: *offsets* has one more number, the end of the last bag.
        padding_idx: a row that is left out of every bag.

    Returns:
        (B, width).

    Raises:
        ValueError: arguments that do not fit each other.
        RuntimeError: a number that is no row, or offsets that do not ascend from 0.

    Example:
        >>> import allgrad as torch
        >>> torch.nn.functional.embedding_bag(torch.tensor([0, 1, 1]), torch.eye(2), torch.tensor([0, 2]), mode="sum")
        tensor([[1., 1.],
                [0., 1.]])
    """
    _check_bag_call(input, weight, per_sample_weights, mode, scale_grad_by_freq, padding_idx)
    index, starts = _bags(input, offsets, include_last_offset)
    if max_norm is not None:
        _renormalize(index, weight, max_norm, norm_type)
    factors = None if per_sample_weights is None else per_sample_weights.reshape(-1)
    if padding_idx is not None:
        kept, starts = _without_padding(index, starts, padding_idx % weight._array.shape[0])
        index = index[kept]
        factors = None if factors is None else factors[Tensor._wrap(kept)]
    rows: Tensor = rows_at(weight, Tensor._wrap(index))
    if scale_grad_by_freq:
        rows = _divided_by_frequency(rows, index, weight._array.shape[0])
    if mode == "max":
        return _bag_maxima(rows, starts)
    sums: Any = bag_sums(rows if factors is None else rows * factors.unsqueeze(1), Tensor._wrap(starts))
    if mode == "sum":
        return sums
    counts = np.maximum(np.diff(starts), 1).astype(weight._array.dtype)
    return sums / Tensor._wrap(counts[:, None])
