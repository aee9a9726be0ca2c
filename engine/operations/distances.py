"""How far apart tensors are, and keeping their slices short."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..errors import normal_dim
from ..registry import Array, composite, operation
from ..registry.operation import Promotion
from ..registry.samples import each, on, real
from ..tape.mode import no_grad
from ..tensors.tensor import Tensor
from .arithmetic import minus, mul, quotient
from .comparison import where
from .indexing import index_select
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


def _pull(g: Any, y: Any, mine: Any, other: Any) -> Any:
    """What *g*, the gradient of the distances *y* (…, n, k), does to *mine* (…, n, m), as seen from *other* (…, k, m)."""
    zero = y == 0
    share = np.where(zero, 0.0, g / np.where(zero, 1.0, y))
    return np.sum(share, axis=-1, keepdims=True) * mine - np.matmul(share, other)


def _turned(x: Any) -> Any:
    return np.swapaxes(x, -1, -2)


@operation(
    lambda g, x1, x2, y: _pull(g, y, x1, x2),
    lambda g, x1, x2, y: _pull(_turned(g), _turned(y), x2, x1),
    promotion=Promotion.ARITHMETIC,
    broadcasts=True,
    node_name="EuclideanDistBackward0",
    public=False,
    samples=each(on(real(3, 2), real(4, 2, high=1.7)), on(real(2, 3, 2), real(1, 4, 2, high=1.7))),
)
def euclidean_distances(x1: Array, x2: Array) -> Array:
    """The distances of all rows of x1 (…, n, m) and x2 (…, k, m) by one matrix product: no array has n · k · m elements."""
    squares = np.matmul(x1, _turned(x2))
    squares *= -2
    squares += np.sum(x1 * x1, axis=-1, keepdims=True)
    squares += _turned(np.sum(x2 * x2, axis=-1, keepdims=True))
    return np.sqrt(np.maximum(squares, 0, out=squares), out=squares)


# Up to so many rows on both sides the differences themselves, which are more exact, cost little.
_MOST_ROWS = 25
_BY_PRODUCT: dict[str, Callable[[int], bool]] = {
    "use_mm_for_euclid_dist_if_necessary": lambda rows: rows > _MOST_ROWS,
    "use_mm_for_euclid_dist": lambda rows: True,
    "donot_use_mm_for_euclid_dist": lambda rows: False,
}


@composite(method=False, samples=each(on(real(3, 2), real(4, 2)), on(real(2, 3, 2), real(1, 4, 2, high=1.7), 1.0)))
def cdist(
    x1: Tensor, x2: Tensor, p: float = 2.0, compute_mode: str | None = "use_mm_for_euclid_dist_if_necessary"
) -> Tensor:
    """The *p*-norm distance of every row of *x1* (…, n, m) to every row of *x2* (…, k, m): (…, n, k).

    *compute_mode* says when Euclidean distances come from a matrix product, which takes less memory and time and is a
    little less exact: "use_mm_for_euclid_dist", "donot_use_mm_for_euclid_dist" or, with more than 25 rows,
    "use_mm_for_euclid_dist_if_necessary".

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
    mode = compute_mode or "use_mm_for_euclid_dist_if_necessary"
    if mode not in _BY_PRODUCT:
        raise ValueError(f"{mode} is not a valid value for compute_mode: expected one of {', '.join(_BY_PRODUCT)}")
    if p == 2 and _BY_PRODUCT[mode](max(x1._array.shape[-2], x2._array.shape[-2])):
        return euclidean_distances(x1, x2)
    return length_along_last(minus(unsqueeze(x1, -2), unsqueeze(x2, -3)), float(p))


@composite(method=False, samples=each(on(real(4, 3)), on(real(4, 3), 1.0), on(real(3, 2), 0.0)))
def pdist(input: Tensor, p: float = 2) -> Tensor:
    """The *p*-norm distances of all pairs of rows of input (n, m): (n · (n - 1) / 2), row 0 with 1, 2 …, row 1 with 2 …

    >>> import allgrad as torch
    >>> torch.pdist(torch.tensor([[0., 0.], [3., 4.], [0., 1.]]))
    tensor([5.0000, 1.0000, 4.2426])
    """
    if input._array.ndim != 2:
        raise RuntimeError(f"pdist only supports 2D tensors, got: {input._array.ndim}D")
    if input._array.dtype.kind != "f":
        raise RuntimeError(f"pdist only supports floating-point dtypes, found {input.dtype}")
    if p < 0:
        raise RuntimeError(f"pdist only supports non-negative p values, found {p}")
    first, second = np.triu_indices(input._array.shape[0], 1)
    rows = [index_select(input, 0, Tensor._wrap(i.astype(np.int64))) for i in (first, second)]
    return length_along_last(minus(*rows), float(p))


@composite(
    method=False,
    samples=each(
        on(real(4, 3), real(4, 3, high=1.7)), on(real(4, 3), real(3, high=1.7), 1.0, keepdim=True), on(real(3), real(3)),
    ),
)  # fmt: skip
def pairwise_distance(x1: Tensor, x2: Tensor, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> Tensor:
    """The *p*-norm of x1 - x2 + eps along the last dimension: (…, D) give (…), or (…, 1) if *keepdim*."""
    return vector_norm(minus(x1, x2) + eps, float(p), -1, keepdim)


@composite(
    method=False,
    samples=each(
        on(real(4, 3), real(4, 3, high=1.7)), on(real(2, 3), real(3, high=1.7), dim=-1), on(real(3), real(3), 0)
    ),
)
def cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """The cosine of the angle between vectors along *dim*: x1 · x2 / (‖x1‖ ‖x2‖), lengths held above *eps*.

    The shapes broadcast; *dim* counts in the broadcast shape.

    >>> import allgrad as torch
    >>> torch.cosine_similarity(torch.tensor([1., 0.]), torch.tensor([1., 1.]), dim=0)
    tensor(0.7071)
    """
    if "f" not in (x1._array.dtype.kind, x2._array.dtype.kind):
        raise RuntimeError(f"expected common dtype to be floating point, yet common dtype is {x1.dtype}")
    shape = broadcast_shape(x1, x2)
    dim = normal_dim(dim, len(shape))
    first, second = (_unit(x.expand(shape), dim, eps) for x in (x1, x2))
    return mul(first, second).sum(dim)


def _unit(x: Tensor, dim: int, eps: float) -> Tensor:
    """*x* divided by its length along *dim*, or by *eps* where that is shorter; holding it there has no gradient."""
    floating = x if x.is_floating_point() else x.float()
    length = vector_norm(floating, 2.0, dim, True).clone()
    with no_grad():
        length.clamp_(min=eps)
    return quotient(floating, length)


def broadcast_shape(x1: Tensor, x2: Tensor) -> tuple[int, ...]:
    """The shape to which both broadcast; RuntimeError if there is none."""
    try:
        return np.broadcast_shapes(x1._array.shape, x2._array.shape)
    except ValueError:
        raise RuntimeError(
            f"The shapes {list(x1.shape)} and {list(x2.shape)} do not broadcast: sizes must match or be 1"
        ) from None


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
