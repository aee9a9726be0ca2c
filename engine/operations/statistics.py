"""What is typical of many elements: extremes, means, medians and modes."""

from __future__ import annotations

import builtins
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ..batching import as_array
from ..errors import normal_dim
from ..registry import Array, composite, operation
from ..registry.samples import Samples, each, on, real
from ..tensors.tensor import Tensor
from . import reduction
from .arithmetic import quotient
from .elementwise import isnan, logical_not
from .extremes import ALONG_DIM, ValuesAndIndices, amax, amin, put_back
from .ordering import sort
from .reduction import OVER_DIMS, mean, over, spread, std, var


class MinAndMax(NamedTuple):
    """What ``aminmax`` returns."""

    min: Any
    max: Any


@composite(out=True, samples=each(on(real(3, 4)), on(real(3, 4), dim=1), on(real(2, 3), dim=0, keepdim=True)))
def aminmax(input: Tensor, *, dim: int | None = None, keepdim: builtins.bool = False) -> MinAndMax:
    """The pair (min, max) of all elements or along *dim*; ties share the gradient evenly.

    >>> import allgrad as torch
    >>> torch.aminmax(torch.tensor([3., 1., 2.])).max
    tensor(3.)
    """
    if not input._array.size and dim is None:
        raise RuntimeError(
            "aminmax(): cannot compute aminmax over an empty dimension as the operation has no identity, found shape "
            f"{list(input.shape)}"
        )
    dims = () if dim is None else dim
    return MinAndMax(amin(input, dims, keepdim), amax(input, dims, keepdim))


@composite(out=True, samples=each(on(real(3, 4)), on(real(3, 4), 1), on(real(3, 4), 0, correction=0, keepdim=True)))
def var_mean(
    input: Tensor, dim: Any = None, unbiased: builtins.bool | None = None, keepdim: builtins.bool = False,
    *, correction: Any = None,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """The pair (``var``, ``mean``) of all elements or over *dim*.

    >>> import allgrad as torch
    >>> torch.var_mean(torch.tensor([1., 3.]))
    (tensor(2.), tensor(2.))
    """
    dims = None if isinstance(dim, builtins.bool) else dim
    return var(input, dim, unbiased, keepdim, correction=correction), mean(input, dims, keepdim)


@composite(out=True, samples=each(on(real(3, 4)), on(real(3, 4), 1), on(real(3, 4), 0, correction=0, keepdim=True)))
def std_mean(
    input: Tensor, dim: Any = None, unbiased: builtins.bool | None = None, keepdim: builtins.bool = False,
    *, correction: Any = None,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """The pair (``std``, ``mean``) of all elements or over *dim*."""
    dims = None if isinstance(dim, builtins.bool) else dim
    return std(input, dim, unbiased, keepdim, correction=correction), mean(input, dims, keepdim)


@operation(
    lambda g, input, dim, keepdim: spread(g, tuple(input.shape), dim, keepdim) * (input == input),
    node_name="NansumBackward0",
    public=False,
    samples=OVER_DIMS,
)
def nansum_over(input: Array, dim: Any = None, keepdim: builtins.bool = False) -> Array:
    """The sum over *dim* of the elements that are not nan; of bools and integers as int64."""
    numbers = np.where(input == input, input, np.zeros((), input.dtype))
    accumulate = np.int64 if input.dtype.kind in "biu" else None
    return as_array(np.sum(numbers, axis=over(input, dim), keepdims=keepdim, dtype=accumulate))


@composite(out=True, samples=OVER_DIMS)
def nansum(input: Tensor, dim: Any = None, keepdim: builtins.bool = False, *, dtype: Any = None) -> Tensor:
    """The sum of the elements that are not nan, of all or over *dim*.

    >>> import allgrad as torch
    >>> torch.nansum(torch.tensor([1., float("nan")]))
    tensor(1.)
    """
    return nansum_over(input if dtype is None else input.to(dtype), dim, keepdim)


@composite(out=True, samples=OVER_DIMS)
def nanmean(input: Tensor, dim: Any = None, keepdim: builtins.bool = False, *, dtype: Any = None) -> Tensor:
    """The mean of the elements that are not nan, of all or over *dim*."""
    if input._array.dtype.kind not in "fc":
        raise RuntimeError(
            f"nanmean(): expected input to have floating point or complex dtype but got {input.dtype}: convert it first"
        )
    numbers = reduction.sum(logical_not(isnan(input)), dim, keepdim)
    return quotient(nansum(input, dim, keepdim, dtype=dtype), numbers)


def _picks(node_name: str, samples: Samples = ALONG_DIM) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register a choice of one element along ``dim``: it alone gets the gradient."""
    return operation(
        lambda g, y1, input_shape, dim, keepdim: put_back(g[0], y1, input_shape, dim, keepdim),
        node_name=node_name,
        outputs=ValuesAndIndices,
        public=False,
        refuses="c",
        samples=samples,
    )


def _picked(input: Array, indices: Array, dim: int, keepdim: builtins.bool) -> tuple[Array, Array]:
    values = np.take_along_axis(input, indices, dim)
    return (values, indices) if keepdim else (values.squeeze(dim), indices.squeeze(dim))


def _at_rank(input: Array, rank: Any, dim: int, keepdim: builtins.bool) -> tuple[Array, Array]:
    """The element that would stand at *rank* (one for each slice) if input were in order along *dim*; nan last."""
    order = np.argsort(input, axis=dim, kind="stable")
    places = np.broadcast_to(rank, [1 if i == dim else n for i, n in enumerate(input.shape)])
    return _picked(input, np.take_along_axis(order, places, dim), dim, keepdim)


def _along(name: str, input: Array, dim: int) -> int:
    d = normal_dim(dim, input.ndim)
    if input.ndim and not input.shape[d]:
        raise IndexError(f"{name}(): Expected reduction dim {dim} to have non-zero size.")
    return d


def _numbers(input: Array, dim: int | None) -> Array:
    """How many elements along *dim* are not nan."""
    return np.sum(input == input, axis=dim, keepdims=True)


@_picks("MedianBackward1")
def median_along(input: Array, dim: int, keepdim: builtins.bool = False) -> tuple[Array, Array]:
    """The lower median along *dim* and its index; the first nan where there is one."""
    d = _along("median", input, dim)
    if not input.ndim:
        return input.copy(), np.zeros((), np.int64)
    n, numbers = input.shape[d], _numbers(input, d)
    return _at_rank(input, np.where(numbers < n, numbers % n, (n - 1) // 2), d, keepdim)


@_picks("NanmedianBackward1")
def nanmedian_along(input: Array, dim: int, keepdim: builtins.bool = False) -> tuple[Array, Array]:
    """The lower median of what is not nan along *dim*, and its index."""
    d = _along("nanmedian", input, dim)
    if not input.ndim:
        return input.copy(), np.zeros((), np.int64)
    return _at_rank(input, np.maximum(_numbers(input, d) - 1, 0) // 2, d, keepdim)


@_picks("KthvalueBackward0", each(on(real(3, 4), 2, 1), on(real(3, 4), 1, 0, True), on(real(), 1, 0)))
def kth_along(input: Array, k: int, dim: int, keepdim: builtins.bool = False) -> tuple[Array, Array]:
    """The *k*-th least element along *dim*, counted from 1, and its index."""
    d = normal_dim(dim, input.ndim)
    if not 1 <= k <= (input.shape[d] if input.ndim else 1):
        raise RuntimeError(
            f"kthvalue(): selected number k out of range for dimension {dim}: {k} of {list(input.shape)}"
        )
    if not input.ndim:
        return input.copy(), np.zeros((), np.int64)
    return _at_rank(input, k - 1, d, keepdim)


@_picks("ModeBackward0")
def mode_along(input: Array, dim: int, keepdim: builtins.bool = False) -> tuple[Array, Array]:
    """The most frequent element along *dim*, the least of several, and where it comes last."""
    d = _along("mode", input, dim)
    if not input.ndim:
        return input.copy(), np.zeros((), np.int64)
    rows = np.moveaxis(input, d, -1)
    places = np.array([_last_of_most(row) for row in rows.reshape(-1, rows.shape[-1])], dtype=np.int64)
    return _picked(input, np.expand_dims(places.reshape(rows.shape[:-1]), d), d, keepdim)


def _last_of_most(row: Array) -> int:
    values, counts = np.unique(row, return_counts=True, equal_nan=False)
    return int(np.flatnonzero(row == values[counts.argmax()])[-1]) if row.size else 0


@operation(
    lambda g, input, y: _shared(g, input, y),
    node_name="MedianBackward0",
    public=False,
    refuses="c",
    samples=each(on(real(3, 4)), on(real(5)), on(real())),
)
def median_of_all(input: Array, ignore_nan: builtins.bool = False) -> Array:
    """The lower median of all elements; nan of nothing."""
    flat = input.reshape(-1)
    if not flat.size:
        return np.asarray(np.nan).astype(input.dtype)
    return (nanmedian_values if ignore_nan else median_values)(flat)


def median_values(flat: Array) -> Array:
    """The lower median of a vector, nan if it holds one."""
    ordered = np.sort(flat)
    return ordered[(flat.size - 1) // 2] if ordered[-1] == ordered[-1] else ordered[-1]


def nanmedian_values(flat: Array) -> Array:
    """The lower median of what is not nan in a vector."""
    return np.sort(flat)[max(int(_numbers(flat, 0)[0]) - 1, 0) // 2]


def _shared(g: Any, input: Any, y: Any) -> Any:
    """*g* shared evenly among the elements that are equal to *y*, nan taken as equal to nan."""
    chosen = (input == y) | ((input != input) & (y != y))
    weights = np.where(chosen, np.ones_like(input), np.zeros_like(input))
    return g * weights / np.sum(weights)


@composite(out=True, samples=each(on(real(3, 4)), ALONG_DIM))
def median(input: Tensor, dim: int | None = None, keepdim: builtins.bool = False) -> Any:
    """The median of all elements, the lower of two; along *dim*, the pair (values, indices). nan if there is one.

    >>> import allgrad as torch
    >>> torch.median(torch.tensor([3., 1., 2., 4.]))
    tensor(2.)
    """
    return median_of_all(input) if dim is None else median_along(input, dim, keepdim)


@composite(out=True, samples=each(on(real(3, 4)), ALONG_DIM))
def nanmedian(input: Tensor, dim: int | None = None, keepdim: builtins.bool = False) -> Any:
    """The median of the elements that are not nan; along *dim*, the pair (values, indices).

    >>> import allgrad as torch
    >>> torch.nanmedian(torch.tensor([1., float("nan"), 3.]))
    tensor(1.)
    """
    return median_of_all(input, True) if dim is None else nanmedian_along(input, dim, keepdim)


@composite(out=True, samples=on(real(3, 4), 2))
def kthvalue(input: Tensor, k: int, dim: int = -1, keepdim: builtins.bool = False) -> Any:
    """The pair (values, indices) of the *k*-th least elements along *dim*, counted from 1.

    >>> import allgrad as torch
    >>> torch.kthvalue(torch.tensor([3., 1., 2.]), 2).values
    tensor(2.)
    """
    return kth_along(input, k, dim, keepdim)


@composite(out=True, samples=on(real(3, 4)))
def mode(input: Tensor, dim: int = -1, keepdim: builtins.bool = False) -> Any:
    """The pair (values, indices) of the most frequent elements along *dim*, the least of equally frequent ones.

    >>> import allgrad as torch
    >>> torch.mode(torch.tensor([3, 1, 1, 3, 2])).values
    tensor(1)
    """
    return mode_along(input, dim, keepdim)


@composite(out=True, samples=each(on(real(3, 4)), on(real(5))))
def msort(input: Tensor) -> Tensor:
    """input with its elements in order along the first dimension."""
    return sort(input, 0).values
