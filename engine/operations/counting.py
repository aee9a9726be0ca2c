"""Counting and looking up: histograms, bins, sets."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ..batching import as_array
from ..errors import normal_dim, refused
from ..registry import Array, composite
from ..tensors.tensor import Tensor


class Histogram(NamedTuple):
    """What ``histogram`` and ``histogramdd`` return."""

    hist: Any
    bin_edges: Any


def _plain(value: Any) -> Array:
    return value._array if isinstance(value, Tensor) else np.asarray(value)


def _floating(name: str, input: Tensor) -> Array:
    if input._array.dtype.kind != "f":
        raise NotImplementedError(f'"{name}" not implemented for {input.dtype}: convert it first, e.g. with .float()')
    return input._array


def _outer_edges(name: str, array: Array, low: Any, high: Any, margin: float) -> tuple[float, float]:
    """Where the first bin starts and the last ends: *low* and *high*, or the extremes where those are equal."""
    if low == high and array.size:
        low, high = float(array.min()), float(array.max())
    if not np.isfinite(low) or not np.isfinite(high):
        raise RuntimeError(f"{name}: range of [{low}, {high}] is not finite")
    if low > high:
        raise RuntimeError(f"{name}: max must be larger than min, found [{low}, {high}]")
    return (low - margin, high + margin) if low == high else (low, high)


def _count(columns: Sequence[Array], edges: Sequence[Array], weights: Array | None) -> Array:
    """How many points fall into each bin; the last bin of each dimension contains its upper edge."""
    shape = tuple(e.size - 1 for e in edges)
    inside = np.ones(columns[0].shape, bool)
    bins = []
    for column, e in zip(columns, edges, strict=True):
        inside &= (column >= e[0]) & (column <= e[-1])
        bins.append(np.minimum(np.searchsorted(e, column, side="right") - 1, e.size - 2))
    flat = np.ravel_multi_index([b[inside] for b in bins], shape)
    counted = np.bincount(flat, None if weights is None else weights[inside], int(np.prod(shape)))
    return counted.reshape(shape)


@composite(out=True)
def histc(input: Tensor, bins: int = 100, min: Any = 0, max: Any = 0) -> Tensor:
    """How many elements fall into each of *bins* equal parts of [*min*, *max*]; of all that occur if both are equal.

    Elements outside, and nan, are not counted. The result has the type of input.

    >>> import allgrad as torch
    >>> torch.histc(torch.tensor([1., 2., 1.]), bins=4, min=0, max=3)
    tensor([0., 2., 1., 0.])
    """
    array = _floating("histogram_cpu", input).reshape(-1)
    if bins <= 0:
        raise RuntimeError(f"bins must be > 0, found {bins}")
    low, high = _outer_edges("torch.histc", array, min, max, 1.0)
    edges = np.linspace(low, high, bins + 1, dtype=array.dtype)
    return Tensor._wrap(_count([array], [edges], None).astype(array.dtype))


def _edges_of(bins: Any, array: Array, outer: tuple[float, float] | None) -> Array:
    if isinstance(bins, Tensor):
        return bins._array
    if bins <= 0:
        raise RuntimeError(f"torch.histogramdd(): bins must be > 0, but got {bins}")
    low, high = outer if outer is not None else (0.0, 0.0)
    first, last = _outer_edges("torch.histogramdd", array, low, high, 0.5)
    return np.linspace(first, last, bins + 1, dtype=array.dtype)


def _histogram(
    array: Array, bins: Sequence[Any], outer: Sequence[float] | None, weight: Tensor | None, density: builtins.bool
) -> tuple[Array, list[Array]]:  # fmt: skip
    """The histogram of the rows of *array* over *bins* for each column, and the edges."""
    if outer is not None and len(outer) != 2 * len(bins):
        raise RuntimeError(f"torch.histogramdd: for a {len(bins)}-dimensional histogram range should have "
                           f"{2 * len(bins)} elements, but got {len(outer)}")  # fmt: skip
    columns = [array[:, i] for i in range(array.shape[1])]
    limits = [None if outer is None else (outer[2 * i], outer[2 * i + 1]) for i in range(len(bins))]
    edges = [_edges_of(b, c, limit) for b, c, limit in zip(bins, columns, limits, strict=True)]
    weights = None if weight is None else weight._array.reshape(-1)
    counted = _count(columns, edges, weights).astype(array.dtype)
    if density:
        volume = np.ones((), array.dtype)
        for e in edges:
            volume = volume[..., None] * np.diff(e)
        counted = counted / (counted.sum() * volume)
    return counted, edges


@composite(out=True)
def histogram(
    input: Tensor,
    bins: Any,
    *,
    range: Sequence[float] | None = None,
    weight: Tensor | None = None,
    density: builtins.bool = False,
) -> Histogram:
    """The pair (hist, bin_edges): how many elements, each counting *weight*, fall into each of *bins*.

    *bins* is a number of equal parts of *range* (of all that occurs), or the edges in a vector. With *density*, hist
    is divided so that it integrates to 1.

    >>> import allgrad as torch
    >>> torch.histogram(torch.tensor([1., 2., 1.]), bins=2).hist
    tensor([2., 1.])
    """
    array = _floating("histogram_cpu", input).reshape(-1, 1)
    counted, edges = _histogram(array, [bins], range, weight, density)
    return Histogram(Tensor._wrap(counted), Tensor._wrap(edges[0]))


@composite(out=True, method=False)
def histogramdd(
    input: Tensor,
    bins: Any,
    range: Sequence[float] | None = None,
    weight: Tensor | None = None,
    density: builtins.bool = False,
) -> Histogram:
    """Like ``histogram``, for points: input (…, d) holds their coordinates, *bins* a number or the edges for each.

    *range* is flat: the least and greatest value of the first coordinate, of the second, and so on.

    >>> import allgrad as torch
    >>> torch.histogramdd(torch.tensor([[0., 1.], [1., 0.], [2., 2.]]), bins=[2, 2]).hist
    tensor([[0., 1.],
            [1., 1.]])
    """
    array = _floating("histogramdd_cpu", input)
    if array.ndim < 2:
        raise RuntimeError(f"torch.histogramdd: input tensor should have at least 2 dimensions, but got {array.ndim}")
    rows = array.reshape(-1, array.shape[-1])
    each = [bins] * rows.shape[1] if isinstance(bins, (int, Tensor)) else list(bins)
    if len(each) != rows.shape[1]:
        raise RuntimeError(f"torch.histogramdd: expected {rows.shape[1]} sequences of bins, but got {len(each)}")
    counted, edges = _histogram(rows, each, range, weight, density)
    return Histogram(Tensor._wrap(counted), tuple(Tensor._wrap(e) for e in edges))


def _find(ordered: Array, values: Array, right: builtins.bool) -> Array:
    """Where *values* would go in the vector *ordered*; nan behind everything."""
    for operand in (ordered, values):
        if operand.dtype.kind == "c":
            raise refused("searchsorted", "c")
    found = np.searchsorted(ordered, values, side="right" if right else "left")
    return np.where(values == values, found, ordered.size)


@composite(out=True)
def searchsorted(
    sorted_sequence: Tensor,
    input: Any,
    *,
    out_int32: builtins.bool = False,
    right: builtins.bool = False,
    side: str | None = None,
    sorter: Tensor | None = None,
) -> Tensor:
    """The first places where the values of input can go into the ordered rows of *sorted_sequence* (the last if *right*).

    A vector serves for values of any shape; otherwise all dimensions but the last agree. *sorter* holds the order of
    rows that are not in order.

    >>> import allgrad as torch
    >>> torch.searchsorted(torch.tensor([1, 3, 5]), torch.tensor([3, 6]))
    tensor([1, 3])
    """
    if side not in (None, "left", "right"):
        raise RuntimeError(f"torch.searchsorted(): side can only be 'left' or 'right' but got {side}")
    if right and side == "left":
        raise RuntimeError("torch.searchsorted(): side and right can't be set to opposites")
    rows, values = sorted_sequence._array, _plain(input)
    if sorter is not None:
        rows = np.take_along_axis(rows, sorter._array, -1)
    last = right or side == "right"
    if rows.ndim == 1:
        found = _find(rows, values, last)
    elif rows.shape[:-1] != values.shape[:-1]:
        raise RuntimeError(
            "torch.searchsorted(): boundaries tensor should be 1 dimension or the first N-1 dimensions of boundaries "
            f"tensor and input value tensor must match, but got {list(rows.shape)} and {list(values.shape)}"
        )
    else:
        found = np.empty(values.shape, np.int64)
        for i in np.ndindex(*rows.shape[:-1]):
            found[i] = _find(rows[i], values[i], last)
    return Tensor._wrap(np.asarray(found).astype(np.int32 if out_int32 else np.int64))


@composite(out=True, method=False)
def bucketize(
    input: Any, boundaries: Tensor, *, out_int32: builtins.bool = False, right: builtins.bool = False
) -> Tensor:
    """The number of the bin between *boundaries*, an ordered vector, that each element falls into.

    >>> import allgrad as torch
    >>> torch.bucketize(torch.tensor([3, 6, 9]), torch.tensor([1, 3, 5, 7, 9]), right=True)
    tensor([2, 3, 5])
    """
    if boundaries._array.ndim != 1:
        raise RuntimeError(f"boundaries tensor must be 1 dimension, but got dim({boundaries._array.ndim})")
    found = _find(boundaries._array, _plain(input), right)
    return Tensor._wrap(np.asarray(found).astype(np.int32 if out_int32 else np.int64))


def _chosen(values: Array, inverse: Array, counts: Array, return_inverse: Any, return_counts: Any) -> Any:
    found = [values]
    if return_inverse:
        found.append(inverse.astype(np.int64))
    if return_counts:
        found.append(counts.astype(np.int64))
    made = tuple(map(Tensor._wrap, found))
    return made[0] if len(made) == 1 else made


@composite()
def unique(
    input: Tensor,
    sorted: builtins.bool = True,
    return_inverse: builtins.bool = False,
    return_counts: builtins.bool = False,
    dim: int | None = None,
) -> Any:
    """The different elements of input in order (or slices along *dim*).

    With *return_inverse* also where each element of input stands among them, with *return_counts* also how often each
    occurs, in a tuple.

    >>> import allgrad as torch
    >>> torch.unique(torch.tensor([3, 1, 1]), return_counts=True)
    (tensor([1, 3]), tensor([2, 1]))
    """
    array = input._array
    axis = None if dim is None else normal_dim(dim, array.ndim)
    values, inverse, counts = np.unique(array, False, True, True, axis, equal_nan=False)
    inverse = inverse.reshape(array.shape) if axis is None else inverse.reshape(-1)
    return _chosen(values, inverse, counts, return_inverse, return_counts)


@composite()
def unique_consecutive(
    input: Tensor, return_inverse: builtins.bool = False, return_counts: builtins.bool = False, dim: int | None = None
) -> Any:
    """input without the elements (or slices along *dim*) that are equal to the one before; flattened without *dim*.

    >>> import allgrad as torch
    >>> torch.unique_consecutive(torch.tensor([1, 1, 2, 1]))
    tensor([1, 2, 1])
    """
    array = input._array.reshape(-1) if dim is None else input._array
    axis = 0 if dim is None else normal_dim(dim, array.ndim)
    rows = np.moveaxis(array, axis, 0)
    changes = (rows[1:] != rows[:-1]).any(tuple(range(1, rows.ndim)))
    first = np.concatenate([np.ones(builtins.min(len(rows), 1), bool), changes])
    starts = np.flatnonzero(first)
    inverse = np.cumsum(first) - 1
    counts = np.diff(np.append(starts, len(rows)))
    values = np.moveaxis(rows[starts], 0, axis)
    return _chosen(values, inverse.reshape(input._array.shape) if dim is None else inverse, counts,
                   return_inverse, return_counts)  # fmt: skip


@composite(out=True, method=False)
def isin(
    elements: Any, test_elements: Any, *, assume_unique: builtins.bool = False, invert: builtins.bool = False
) -> Tensor:
    """Whether each of *elements* is among *test_elements*; either may be a number, not both.

    >>> import allgrad as torch
    >>> torch.isin(torch.tensor([1, 2]), torch.tensor([2, 3]))
    tensor([False,  True])
    """
    found = np.isin(_plain(elements), _plain(test_elements), assume_unique, invert)
    return Tensor._wrap(as_array(found))
