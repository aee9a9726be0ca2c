"""How far apart tensors are, and keeping their slices short."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import normal_dim
from ..registry import Array, composite, operation
from ..registry.samples import each, on, real
from ..tensors.tensor import Tensor
from .arithmetic import minus, mul, quotient
from .comparison import where
from .reduction import vector_norm
from .shape import unsqueeze

INFINITY = float("inf")


def _steepness(difference: Any, y: Any, p: float) -> Any:
    """The derivative of the *p*-norm *y* along the last dimension by *difference*, 0 where that has none."""
    sign = np.sign(difference)
    if p == 1:
        return sign
    if p == INFINITY:
        return sign * (np.absolute(difference) == y)
    zero = (y == 0) | (difference == 0) if p < 1 else y == 0 * difference
    length = np.where(zero, 1.0, y)
    if p == 2:
        return np.where(zero, 0.0, difference / length)
    ratio = np.where(zero, 1.0, np.absolute(difference)) / length
    return np.where(zero, 0.0, sign * ratio ** (p - 1))


@operation(
    lambda g, difference, y, p: (
        np.expand_dims(g, -1) * _steepness(difference, np.expand_dims(y, -1), p) if p else np.zeros_like(difference)
    ),
    node_name="CdistBackward0",
    public=False,
    samples=each(*(on(real(2, 3, 4), p) for p in (2.0, 1.0, 3.0, 0.5, INFINITY, 0.0))),
)
def length_along_last(difference: Array, p: float) -> Array:
    """The *p*-norm of the vectors in the last dimension."""
    size = np.absolute(difference)
    if p == INFINITY:
        return np.max(size, axis=-1, initial=0)
    if p == 0:
        return np.sum(size != 0, axis=-1).astype(size.dtype)
    if p == 1:
        return np.sum(size, axis=-1)
    if p == 2:
        return np.sqrt(np.sum(size * size, axis=-1))
    return np.sum(size**p, axis=-1) ** (1.0 / p)


@composite(method=False, samples=each(on(real(3, 2), real(4, 2)), on(real(2, 3, 2), real(1, 4, 2, high=1.7), 1.0)))
def cdist(x1: Tensor, x2: Tensor, p: float = 2.0, compute_mode: str | None = None) -> Tensor:
    """The *p*-norm distance of every row of *x1* (…, n, m) to every row of *x2* (…, k, m): (…, n, k).

    >>> import allgrad as torch
    >>> torch.cdist(torch.tensor([[0., 0.]]), torch.tensor([[3., 4.], [0., 1.]]))
    tensor([[5., 1.]])
    """
    for name, x in (("X1", x1), ("X2", x2)):
        if x._array.dtype.kind != "f":
            raise RuntimeError(f"cdist only supports floating-point dtypes, {name} got: {x.dtype}")
        if x._array.ndim < 2:
            raise RuntimeError(f"cdist only supports at least 2D tensors, {name} got: {x._array.ndim}D")
    if x1._array.shape[-1] != x2._array.shape[-1]:
        raise RuntimeError(
            f"X1 and X2 must have the same number of columns. X1: {x1._array.shape[-1]} X2: {x2._array.shape[-1]}"
        )
    if p < 0:
        raise RuntimeError(f"cdist only supports non-negative p values, found {p}")
    return length_along_last(minus(unsqueeze(x1, -2), unsqueeze(x2, -3)), float(p))


@composite(samples=each(on(real(3), real(3, high=1.7)), on(real(2, 3), real(3, high=1.7), 3)))
def dist(input: Tensor, other: Tensor, p: Any = 2) -> Tensor:
    """The *p*-norm of input - other. A method only: the name ``allgrad.dist`` is that of the ranks' package.

    >>> import allgrad as torch
    >>> torch.tensor([0., 3.]).dist(torch.tensor([4., 0.]))
    tensor(5.)
    """
    return vector_norm(minus(input, other), float(p))


@composite(out=True, inplace=True, samples=each(on(real(3, 4), 2, 0, 1.0), on(real(3, 4), 1, 1, 2.5)))
def renorm(input: Tensor, p: Any, dim: int, maxnorm: Any) -> Tensor:
    """input with its slices along *dim* scaled down to a *p*-norm of *maxnorm* where theirs is greater.

    >>> import allgrad as torch
    >>> torch.renorm(torch.tensor([[3., 4.], [0.3, 0.4]]), 2, 0, 1.)
    tensor([[0.6000, 0.8000],
            [0.3000, 0.4000]])
    """
    if input._array.ndim < 2:
        raise RuntimeError(f"renorm: input needs at least 2 dimensions, got {input._array.ndim} dimensions")
    if p <= 0:
        raise RuntimeError("renorm: non-positive-norm not supported")
    if maxnorm < 0:
        raise RuntimeError(f"renorm: expected maxnorm to be >= 0 but got {maxnorm}")
    d = normal_dim(dim, input._array.ndim)
    others = tuple(i for i in range(input._array.ndim) if i != d)
    length = vector_norm(input, float(p), others, True)
    factor = quotient(maxnorm, length + 1e-7)
    return mul(input, where(length > maxnorm, factor, 1.0))
