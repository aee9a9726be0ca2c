"""Running along a dimension: extremes so far, differences, integrals and numerical gradients."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import normal_dim, normal_dims
from ..registry import Array, composite, operation
from ..registry.samples import each, on, real
from ..tensors.tensor import Tensor
from .arithmetic import minus, mul, plus, quotient
from .comparison import logical_xor
from .extremes import ValuesAndIndices
from .gathering import scatter_zeros
from .reduction import cumsum, sum_over
from .shape import cat, narrow, reshape

ALONG = each(on(real(3, 4), 1), on(real(3, 4), 0), on(real(), 0))


def _running(best: Any, input: Array, dim: int) -> tuple[Array, Array]:
    """The *best* so far along *dim*, and the last place it was found at."""
    d = normal_dim(dim, input.ndim)
    if not input.ndim:
        return input.copy(), np.zeros((), np.int64)
    values = best.accumulate(input, axis=d)
    places = np.arange(input.shape[d], dtype=np.int64).reshape([-1 if i == d else 1 for i in range(input.ndim)])
    found = (input == values) | (input != input)
    return values, np.maximum.accumulate(np.where(found, places, 0), axis=d)


@operation(
    lambda g, y1, input_shape, dim: scatter_zeros(g[0], y1, input_shape, dim),
    outputs=ValuesAndIndices,
    samples=ALONG,
    refuses="c",
)
def cummax(input: Array, dim: int) -> tuple[Array, Array]:
    """The pair (values, indices) of the greatest element so far along *dim*; the last of equals, and nan stays.

    >>> import allgrad as torch
    >>> torch.cummax(torch.tensor([1., 3., 2., 3.]), 0).indices
    tensor([0, 1, 1, 3])
    """
    return _running(np.maximum, input, dim)


@operation(
    lambda g, y1, input_shape, dim: scatter_zeros(g[0], y1, input_shape, dim),
    outputs=ValuesAndIndices,
    samples=ALONG,
    refuses="c",
)
def cummin(input: Array, dim: int) -> tuple[Array, Array]:
    """The pair (values, indices) of the least element so far along *dim*; the last of equals, and nan stays."""
    return _running(np.minimum, input, dim)


def _along(x: Any, d: int, start: int | None, stop: int | None) -> Any:
    return x[(slice(None),) * d + (slice(start, stop),)]


def _decay_rule(g: Any, decay: Any, dim: int) -> Any:
    """The adjoint of a recurrence is the one that runs the other way."""
    following = np.concatenate([_along(decay, dim, 1, None), np.zeros_like(_along(decay, dim, 0, 1))], axis=dim)
    return np.flip(decayed_sum(np.flip(g, dim), np.flip(following, dim), dim), dim)


def _previous(y: Any, dim: int) -> Any:
    return np.concatenate([np.zeros_like(_along(y, dim, 0, 1)), _along(y, dim, None, -1)], axis=dim)


@operation(
    lambda g, decay, dim: _decay_rule(g, decay, dim),
    lambda g, decay, y, dim: _decay_rule(g, decay, dim) * _previous(y, dim),
    public=False,
    samples=each(on(real(3, 4), real(3, 4), 1), on(real(3, 2), real(3, 2), 0)),
)
def decayed_sum(input: Array, decay: Array, dim: int) -> Array:
    """The recurrence y_i = input_i + decay_i · y_{i-1} along *dim*, from y_{-1} = 0."""
    result = input.copy()
    along, weights = np.moveaxis(result, dim, 0), np.moveaxis(decay, dim, 0)
    for i in range(1, len(along)):
        along[i] += weights[i] * along[i - 1]
    return result


def _logcumsumexp_rule(g: Any, input: Any, y: Any, dim: int) -> Any:
    """Σ g_k exp(x_i - y_k) over k >= i: as a recurrence, in which no exponential exceeds 1."""
    shape = tuple(input.shape)
    if not shape:
        return g
    d = dim % len(shape)
    before = np.concatenate([_along(y, d, 0, 1), _along(y, d, None, -1)], axis=d)
    decay = np.exp(before - y)
    return np.exp(input - y) * _decay_rule(g, decay, d)


@operation(_logcumsumexp_rule, samples=ALONG)
def logcumsumexp(input: Array, dim: int) -> Array:
    """The logarithm of the sum of the exponentials so far, along *dim*, without overflow.

    >>> import allgrad as torch
    >>> torch.logcumsumexp(torch.tensor([0., 0.]), 0)
    tensor([0.0000, 0.6931])
    """
    d = normal_dim(dim, input.ndim)
    if input.dtype.kind == "c":
        top = np.max(np.real(input), axis=d, keepdims=True) if input.size else 0.0
        return np.log(np.cumsum(np.exp(input - top), axis=d)) + top if input.ndim else input.copy()
    if input.dtype.kind != "f":
        raise NotImplementedError(f"logcumsumexp is not implemented for {input.dtype}: convert it first")
    return np.logaddexp.accumulate(input, axis=d) if input.ndim else input.copy()


@composite(
    out=True, samples=each(on(real(5)), on(real(3, 4), 2, 0), on(real(2, 3), prepend=real(2, 1), append=real(2, 2)))
)
def diff(
    input: Tensor, n: int = 1, dim: int = -1, prepend: Tensor | None = None, append: Tensor | None = None
) -> Tensor:
    """The differences of neighbours along *dim*, taken *n* times; *prepend* and *append* are joined on first.

    >>> import allgrad as torch
    >>> torch.diff(torch.tensor([1, 4, 9]))
    tensor([3, 5])
    """
    if not input._array.ndim:
        raise RuntimeError("diff expects input to be at least one-dimensional")
    if n < 0:
        raise RuntimeError(f"order must be non-negative but got {n}")
    d = normal_dim(dim, input._array.ndim)
    if n and (prepend is not None or append is not None):
        input = cat([part for part in (prepend, input, append) if part is not None], d)
    subtract = logical_xor if input._array.dtype == bool else minus
    for _ in range(builtins.min(n, input._array.shape[d])):
        left, right = _neighbours(input, d)
        input = subtract(right, left)
    return input


def _neighbours(input: Tensor, d: int) -> tuple[Tensor, Tensor]:
    """input without its last, and without its first entry along *d*."""
    length = builtins.max(input._array.shape[d] - 1, 0)
    return narrow(input, d, 0, length), narrow(input, d, input._array.shape[d] - length, length)


def _sums_and_widths(y: Tensor, x: Any, dx: Any, d: int) -> tuple[Tensor, Any]:
    """The sums of neighbouring heights, and how far apart each two are."""
    left, right = _neighbours(y, d)
    heights = plus(left, right)
    if x is None:
        return heights, 1 if dx is None else dx
    if dx is not None:
        raise TypeError("trapezoid takes the positions x or the one step dx, not both")
    if x._array.ndim == 1:
        if x._array.shape[0] != y._array.shape[d]:
            raise RuntimeError(
                f"There must be one `x` value for each sample point: got {x._array.shape[0]} for {y._array.shape[d]}"
            )
        x = reshape(x, tuple(-1 if i == d else 1 for i in range(y._array.ndim)))
    else:
        x = reshape(x, (1,) * (y._array.ndim - x._array.ndim) + tuple(x.shape))
    return heights, minus(*reversed(_neighbours(x, d)))


def _integrable(y: Tensor, dim: int) -> int:
    if not y._array.ndim:
        raise IndexError(f"Dimension specified as {dim} but tensor has no dimensions")
    return normal_dim(dim, y._array.ndim)


@composite(
    method=False,
    aliases=("trapz",),
    samples=each(on(real(5)), on(real(3, 4), dx=0.5, dim=0), on(real(3, 4), real(4)), on(real(3, 4), real(3, 4))),
)
def trapezoid(y: Tensor, x: Any = None, *, dx: Any = None, dim: int = -1) -> Tensor:
    """The integral of *y* along *dim* by the trapezoidal rule, over the positions *x* or steps of *dx* (1).

    >>> import allgrad as torch
    >>> torch.trapezoid(torch.tensor([1., 2., 4.]))
    tensor(4.5000)
    """
    d = _integrable(y, dim)
    heights, widths = _sums_and_widths(y, x, dx, d)
    if not y._array.shape[d]:
        return sum_over(y, d).to(y.dtype)
    return quotient(sum_over(mul(heights, widths), d), 2)


@composite(method=False, samples=each(on(real(5)), on(real(3, 4), dx=0.5, dim=0), on(real(3, 4), real(4))))
def cumulative_trapezoid(y: Tensor, x: Any = None, *, dx: Any = None, dim: int = -1) -> Tensor:
    """The integrals of *y* along *dim* so far: one entry fewer than *y* has.

    >>> import allgrad as torch
    >>> torch.cumulative_trapezoid(torch.tensor([1., 2., 4.]))
    tensor([1.5000, 4.5000])
    """
    d = _integrable(y, dim)
    return quotient(cumsum(mul(*_sums_and_widths(y, x, dx, d)), d), 2)


def _slope(y: Tensor, x: Any, d: int, edge_order: int) -> Tensor:
    """The derivative of *y* along *d*; *x* is the step, or the positions."""
    n = y._array.shape[d]
    if n < edge_order + 1:
        raise RuntimeError(f"torch.gradient expected each dimension size to be at least edge_order+1, found {n}")
    positions = reshape(x, tuple(-1 if i == d else 1 for i in range(y._array.ndim))) if isinstance(x, Tensor) else None

    def gap(i: int, j: int, length: int) -> Any:
        if positions is None:
            return (j - i) * x
        return minus(narrow(positions, d, j, length), narrow(positions, d, i, length))

    def two(i: int, j: int, length: int = 1) -> Tensor:
        """The slopes of the lines through *length* pairs of points, from i and j on."""
        return quotient(minus(narrow(y, d, j, length), narrow(y, d, i, length)), gap(i, j, length))

    def three(i: int, place: int, length: int = 1) -> Tensor:
        """The slopes at *place* of the parabolas through i, i + 1 and i + 2, and *length* such."""
        first = two(i, i + 1, length)
        bend = quotient(minus(two(i + 1, i + 2, length), first), gap(i, i + 2, length))
        return plus(first, mul(bend, gap(i, place, length) + gap(i + 1, place, length)))

    edges = (two(0, 1), two(n - 2, n - 1)) if edge_order == 1 else (three(0, 0), three(n - 3, n - 1))
    return cat([edges[0], *([three(0, 1, n - 2)] if n > 2 else []), edges[1]], d)


@composite(
    method=False,
    samples=each(on(real(5)), on(real(3, 4), spacing=[2.0, 0.5], edge_order=2), on(real(3, 4), dim=1, spacing=0.5)),
)
def gradient(input: Tensor, *, spacing: Any = None, dim: Any = None, edge_order: int = 1) -> tuple[Tensor, ...]:
    """The numerical derivative along each of *dim* (all), by central differences; one-sided at the edges.

    *spacing* is one step, or a step or a vector of positions for each dimension; *edge_order* is 1 or 2.

    >>> import allgrad as torch
    >>> torch.gradient(torch.tensor([1., 2., 4., 8.]))
    (tensor([1.0000, 1.5000, 3.0000, 4.0000]),)
    """
    if edge_order not in (1, 2):
        raise RuntimeError(f"torch.gradient only supports edge_order=1 and edge_order=2, found {edge_order}")
    dims = normal_dims(dim, input._array.ndim)
    steps = spacing if isinstance(spacing, Sequence) else [1 if spacing is None else spacing] * len(dims)
    if len(steps) != len(dims):
        raise RuntimeError(
            "torch.gradient expected spacing to be unspecified, a scalar or a list of length equal to "
            f"'self.dim() - 1' or of dim: {len(dims)}, but got {len(steps)}"
        )
    return tuple(_slope(input, step, d, edge_order) for step, d in zip(steps, dims, strict=True))
