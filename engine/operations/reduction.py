"""Reductions over dimensions, and running sums."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import dtypes
from ..batching import as_array
from ..errors import normal_dim, normal_dims
from ..registry import Array, composite, operation
from ..registry.operation import Promotion
from ..registry.samples import each, on, positive, real
from ..tensors.tensor import Tensor

Dims = int | Sequence[int] | None

OVER_DIMS = each(
    on(real(3, 4)), on(real(3, 4), 1), on(real(2, 3, 4), (0, -1), True), on(real()), on(real(5), 0, True)
)  # fmt: skip


def conjugate(x: Any) -> Any:
    """The complex conjugate; real numbers (and None) as they are."""
    return np.conjugate(x) if x is not None and np.iscomplexobj(x) else x


def spread(g: Any, shape: tuple[int, ...], dim: Dims, keepdim: builtins.bool) -> Any:
    """The gradient *g* of a reduction over *dim*, spread back over *shape* (a view)."""
    if not shape:
        return np.reshape(g, ())
    if not keepdim:
        g = np.reshape(g, kept_shape(shape, dim))
    return np.broadcast_to(g, shape)


def kept_shape(shape: tuple[int, ...], dim: Dims) -> tuple[int, ...]:
    """*shape* with length 1 along the reduced *dim* (all, for None or an empty list)."""
    dims = dims_of(dim, len(shape))
    return tuple(1 if i in dims else n for i, n in enumerate(shape))


def dims_of(dim: Dims, ndim: int) -> tuple[int, ...]:
    """The dimensions a reduction goes over; PyTorch takes an empty list as all."""
    return normal_dims(None if isinstance(dim, (tuple, list)) and not dim else dim, ndim) if ndim else ()


def over(input: Array, dim: Dims) -> tuple[int, ...]:
    """The axes that a reduction of *input* over *dim* goes over."""
    if not input.ndim and dim is not None:
        for d in (dim,) if isinstance(dim, int) else dim:
            normal_dim(d, 0)
    return dims_of(dim, input.ndim)


def count_true(won: Any, axes: tuple[int, ...], like: Any) -> Any:
    """How many of *won* are true over *axes*, as numbers of the type of *like*."""
    return np.sum(won * np.ones_like(np.sum(like)), axis=axes, keepdims=True)


def _count(shape: tuple[int, ...], dim: Dims) -> int:
    count = 1
    for d in dims_of(dim, len(shape)):
        count *= shape[d]
    return count


@operation(
    lambda g, input_shape, dim, keepdim: spread(g, input_shape, dim, keepdim),
    node_name="SumBackward0",
    public=False,
    samples=OVER_DIMS,
)
def sum_over(input: Array, dim: Dims = None, keepdim: builtins.bool = False) -> Array:
    """The sum over *dim*; of bools and integers as int64."""
    kind = input.dtype.kind
    accumulate = np.int64 if kind in "biu" else np.float32 if kind == "V" else None
    total = as_array(np.sum(input, axis=over(input, dim), keepdims=keepdim, dtype=accumulate))
    return total.astype(input.dtype) if kind == "V" else total


@composite(out=True, samples=OVER_DIMS)
def sum(input: Tensor, dim: Any = None, keepdim: builtins.bool = False, *, dtype: Any = None) -> Tensor:
    """The sum of all elements, or over the dimensions *dim*; *dtype* is converted to first.

    >>> import allgrad as torch
    >>> torch.tensor([[1, 2], [3, 4]]).sum(dim=0)
    tensor([4, 6])
    """
    return sum_over(input if dtype is None else input.to(dtype), dim, keepdim)


def _mean_rule(g: Any, input_shape: tuple[int, ...], dim: Dims, keepdim: builtins.bool) -> Any:
    return spread(g / builtins.max(_count(input_shape, dim), 1), input_shape, dim, keepdim)


@operation(_mean_rule, node_name="MeanBackward0", public=False, samples=OVER_DIMS)
def mean_over(input: Array, dim: Dims = None, keepdim: builtins.bool = False) -> Array:
    """The mean over *dim* of floating-point or complex elements."""
    if input.dtype.kind not in "fc":
        found = dtypes.from_numpy_dtype(input.dtype)
        raise RuntimeError(
            "mean(): could not infer output dtype. Input dtype must be either a floating point or complex dtype. "
            f"Got: {found}: convert it first, for instance with .float()"
        )
    axes = over(input, dim)
    return np.sum(input, axis=axes, keepdims=keepdim) / input.dtype.type(_count(input.shape, dim))


@composite(out=True, samples=OVER_DIMS)
def mean(input: Tensor, dim: Any = None, keepdim: builtins.bool = False, *, dtype: Any = None) -> Tensor:
    """The mean of all elements, or over the dimensions *dim*; nan of nothing.

    >>> import allgrad as torch
    >>> torch.tensor([1., 2., 6.]).mean()
    tensor(3.)
    """
    return mean_over(input if dtype is None else input.to(dtype), dim, keepdim)


def _variance_rule(g: Any, input: Any, dim: Dims, correction: Any, keepdim: builtins.bool) -> Any:
    shape = tuple(input.shape)
    degrees = _count(shape, dim) - correction
    centred = input - np.mean(input, axis=dims_of(dim, len(shape)), keepdims=True)
    return spread(g, shape, dim, keepdim) * conjugate(centred) * (2.0 / degrees if degrees > 0 else float("nan"))


@operation(
    _variance_rule,
    node_name="VarBackward0",
    public=False,
    samples=each(on(real(3, 4)), on(real(3, 4), 1), on(real(2, 3, 4), (0, 2), 0, True)),
)
def var_over(input: Array, dim: Dims = None, correction: Any = 1, keepdim: builtins.bool = False) -> Array:
    """The variance over *dim*: squared deviations, divided by the count less *correction*."""
    return _variance(input, dim, correction, keepdim)


def _variance(input: Array, dim: Dims, correction: Any, keepdim: builtins.bool) -> Array:
    axes = over(input, dim)
    degrees = builtins.max(_count(input.shape, dim) - correction, 0)
    centred = input - np.sum(input, axis=axes, keepdims=True) / input.dtype.type(_count(input.shape, dim))
    squares = np.square(np.absolute(centred)) if input.dtype.kind == "c" else np.square(centred)
    return np.sum(squares, axis=axes, keepdims=keepdim) / squares.dtype.type(degrees)


def _correction(dim: Any, unbiased: builtins.bool | None, correction: Any) -> tuple[Any, Any]:
    """PyTorch's two spellings: ``var(unbiased)``, ``var(dim, unbiased)`` and ``correction=``."""
    if isinstance(dim, builtins.bool):
        dim, unbiased = None, dim
    if unbiased is not None:
        correction = int(unbiased)
    return dim, 1 if correction is None else correction


@composite(
    out=True, samples=each(on(real(3, 4)), on(real(3, 4), 1), on(real(2, 3, 4), (0, 2), correction=0, keepdim=True))
)
def var(
    input: Tensor,
    dim: Any = None,
    unbiased: builtins.bool | None = None,
    keepdim: builtins.bool = False,
    *,
    correction: Any = None,
) -> Tensor:
    """The variance of all elements or over *dim*, divided by their number less *correction* (default 1)."""
    dim, correction = _correction(dim, unbiased, correction)
    return var_over(input, dim, correction, keepdim)


@operation(
    lambda g, input, y, dim, correction, keepdim: _variance_rule(
        np.where(y == 0, 0.0, g / (2 * y)), input, dim, correction, keepdim
    ),
    node_name="StdBackward0",
    public=False,
    samples=each(on(real(3, 4)), on(real(3, 4), 1), on(real(2, 3, 4), (0, 2), 0, True)),
)
def std_over(input: Array, dim: Dims = None, correction: Any = 1, keepdim: builtins.bool = False) -> Array:
    """The square root of the variance over *dim*; its derivative is 0 where it is 0."""
    return np.sqrt(_variance(input, dim, correction, keepdim))


@composite(out=True, samples=each(on(real(3, 4)), on(real(3, 4), 1)))
def std(
    input: Tensor,
    dim: Any = None,
    unbiased: builtins.bool | None = None,
    keepdim: builtins.bool = False,
    *,
    correction: Any = None,
) -> Tensor:
    """The standard deviation: the square root of ``var``."""
    dim, correction = _correction(dim, unbiased, correction)
    return std_over(input, dim, correction, keepdim)


@operation(
    lambda g, input, dim, keepdim: spread(g, tuple(input.shape), dim, keepdim) * _others(input, dim),
    node_name="ProdBackward0",
    public=False,
    samples=each(on(positive(3, 4)), on(real(3, 4), 1), on(real(2, 3), 0, True)),
)
def prod_over(input: Array, dim: int | None = None, keepdim: builtins.bool = False) -> Array:
    """The product over *dim*."""
    accumulate = np.int64 if input.dtype.kind in "biu" else None
    return np.prod(input, axis=over(input, dim), keepdims=keepdim, dtype=accumulate)


def _others(input: Any, dim: int | None) -> Any:
    """For each element, the product of all others along *dim*: exact also where some are zero."""
    if not input.shape:
        return np.ones_like(input)
    shape = tuple(input.shape)
    flat = np.reshape(input, (-1, 1)) if dim is None else np.moveaxis(input, dim, 0)
    ones = np.ones_like(flat[:1])
    before = np.cumprod(np.concatenate([ones, flat[:-1]]), axis=0)
    after = np.flip(np.cumprod(np.concatenate([ones, np.flip(flat[1:], 0)]), axis=0), 0)
    product = before * after
    return np.reshape(product, shape) if dim is None else np.moveaxis(product, 0, dim)


@composite(out=True, samples=each(on(positive(3, 4)), on(real(3, 4), 1)))
def prod(input: Tensor, dim: Any = None, keepdim: builtins.bool = False, *, dtype: Any = None) -> Tensor:
    """The product of all elements, or over one dimension."""
    return prod_over(input if dtype is None else input.to(dtype), dim, keepdim)


@operation()
def all(input: Array, dim: Dims = None, keepdim: builtins.bool = False) -> Array:
    """Whether all elements are true (not zero), over all dimensions or *dim*."""
    return np.all(input, axis=over(input, dim), keepdims=keepdim)


@operation()
def any(input: Array, dim: Dims = None, keepdim: builtins.bool = False) -> Array:
    """Whether any element is true (not zero), over all dimensions or *dim*."""
    return np.any(input, axis=over(input, dim), keepdims=keepdim)


@operation()
def count_nonzero(input: Array, dim: Dims = None) -> Array:
    """How many elements are not zero, over all dimensions or *dim*."""
    return as_array(np.count_nonzero(input, axis=over(input, dim)), dtype=np.int64)


@operation(
    lambda g, input, y, dim, keepdim: (
        spread(g, tuple(input.shape), dim, keepdim) * np.exp(input - spread(y, tuple(input.shape), dim, keepdim))
    ),
    promotion=Promotion.FLOATING,
    samples=each(on(real(3, 4), 1), on(real(2, 3, 4), (0, 2), True)),
)
def logsumexp(input: Array, dim: Dims, keepdim: builtins.bool = False) -> Array:
    """The logarithm of the sum of exponentials over *dim*, without overflow."""
    axes = over(input, dim)
    top = np.max(np.real(input), axis=axes, keepdims=True)
    top = np.where(np.isfinite(top), top, 0).astype(input.dtype)
    total = np.log(np.sum(np.exp(input - top), axis=axes, keepdims=True)) + top
    return total if keepdim else np.squeeze(total, axes)


@operation(
    lambda g, dim: np.flip(np.cumsum(np.flip(g, dim), axis=dim), dim) if tuple(g.shape) else g,
    node_name="CumsumBackward0",
    public=False,
    samples=each(on(real(3, 4), 1), on(real(3, 4), 0), on(real(), 0)),
)
def cumsum_along(input: Array, dim: int) -> Array:
    """The sum of the elements so far, along *dim*."""
    if not input.ndim:
        return input.astype(np.int64 if input.dtype.kind in "biu" else input.dtype)
    if input.dtype.kind == "V":  # of bfloat16, a sum in which 256 + 1 is 256
        return np.cumsum(input, axis=dim, dtype=np.float32).astype(input.dtype)
    return np.cumsum(input, axis=dim, dtype=np.int64 if input.dtype.kind in "biu" else None)


@composite(out=True, inplace=True, samples=each(on(real(3, 4), 1), on(real(3, 4), 0)))
def cumsum(input: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    """The sum of the elements so far, along *dim*, after a conversion to *dtype*; whole numbers become int64.

    >>> import allgrad as torch
    >>> torch.cumsum(torch.tensor([1, 2, 3]), 0)
    tensor([1, 3, 6])
    """
    return cumsum_along(input if dtype is None else input.to(dtype), dim)


@composite(out=True, inplace=True, samples=on(real(3, 4), 1))
def cumprod(input: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    """The product of the elements so far, along *dim*, after a conversion to *dtype*; whole numbers become int64."""
    return cumprod_along(input if dtype is None else input.to(dtype), dim)


def _cumprod_rule(g: Any, input: Any, dim: int) -> Any:
    """d y_k / d x_i is the product of x_0..x_k without x_i, for k >= i: summed pair by pair, exact at zeros."""
    if not tuple(input.shape):
        return g
    x, h = np.moveaxis(input, dim, 0), np.moveaxis(g, dim, 0)
    n = x.shape[0]
    rows = []
    for i in range(n):
        factors = np.concatenate([x[:i], np.ones_like(x[i : i + 1]), x[i + 1 :]])
        rows.append(np.sum((h * np.cumprod(factors, axis=0))[i:], axis=0))
    return np.moveaxis(np.stack(rows), 0, dim) if n else np.zeros_like(g)


@operation(
    _cumprod_rule,
    node_name="CumprodBackward0",
    public=False,
    samples=each(on(real(3, 4), 1), on(real(4), 0), on(real(), 0)),
)
def cumprod_along(input: Array, dim: int) -> Array:
    """The product of the elements so far, along *dim*."""
    product = np.cumprod(input, axis=dim, dtype=np.int64 if input.dtype.kind in "biu" else None)
    return product.reshape(input.shape)


def _norm_rule(g: Any, input: Any, y: Any, p: float, dim: Dims, keepdim: builtins.bool) -> Any:
    shape = tuple(input.shape)
    g, norm = spread(g, shape, dim, keepdim), spread(y, shape, dim, keepdim)
    safe = np.where(norm == 0, 1.0, norm)
    if p == 2:
        return np.where(norm == 0, 0.0, g * conjugate(input) / safe)
    if p == 0:
        return np.zeros_like(input)
    if p == 1:
        return g * conjugate(np.sign(input))
    if abs(p) == float("inf"):
        return _evenly_absolute(g, input, norm, dim)
    scaled = np.absolute(input) / safe
    flat = (norm == 0) | (input == 0) if p < 1 else norm == 0
    return np.where(flat, 0.0, g * conjugate(np.sign(input)) * scaled ** (p - 1))


def _evenly_absolute(g: Any, input: Any, norm: Any, dim: Dims) -> Any:
    won = np.absolute(input) == norm
    return g * conjugate(np.sign(input)) * won / count_true(won, dims_of(dim, len(tuple(input.shape))), g)


@operation(
    _norm_rule,
    node_name="LinalgVectorNormBackward0",
    public=False,
    samples=each(
        on(real(3, 4)),
        on(real(3, 4), 1.0, 1),
        on(real(3, 4), 3.0, 0, True),
        on(real(5), 0.0),
        on(real(5), float("inf")),
        on(real(5), float("-inf")),
    ),
)
def vector_norm(input: Array, p: float = 2, dim: Dims = None, keepdim: builtins.bool = False) -> Array:
    """The *p*-norm of the elements over *dim*."""
    if input.dtype.kind not in "fc":
        found = dtypes.from_numpy_dtype(input.dtype)
        raise RuntimeError(
            f"norm(): input dtype should be either floating point or complex. Got {found} instead: convert it first"
        )
    axes = over(input, dim)
    size = np.absolute(input)
    if abs(p) == float("inf"):
        return (np.max if p > 0 else np.min)(size, axis=axes, keepdims=keepdim)
    if p == 0:
        return np.sum(size != 0, axis=axes, keepdims=keepdim).astype(size.dtype)
    if p == 1:
        return np.sum(size, axis=axes, keepdims=keepdim)
    return np.sum(size**p, axis=axes, keepdims=keepdim) ** (1.0 / p)


@composite(out=True, samples=each(on(real(3, 4)), on(real(3, 4), 1, 1), on(real(3, 2), "nuc")))
def norm(
    input: Tensor, p: Any = "fro", dim: Any = None, keepdim: builtins.bool = False, *, dtype: Any = None
) -> Tensor:
    """The *p*-norm ("fro" is 2, "nuc" the nuclear norm of a matrix) of all elements or over *dim*."""
    if p == "nuc":
        from .norms import matrix_norm

        dims = tuple(range(input.ndim)) if dim is None else dim
        return matrix_norm(input, "nuc", dims, keepdim, dtype=dtype)
    if isinstance(p, str) and p != "fro":
        raise RuntimeError(f"norm expected p to be 'fro', 'nuc' or a number, found {p!r}")
    order = 2.0 if p == "fro" else float(p)
    return vector_norm(input if dtype is None else input.to(dtype), order, dim, keepdim)
