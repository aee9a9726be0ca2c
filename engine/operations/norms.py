"""Norms of vectors and matrices, and condition numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..batching import as_array
from ..errors import normal_dims
from ..registry import Array, composite, operation
from ..registry.samples import each, on, real
from ..tensors.tensor import Tensor
from .arithmetic import pow_number
from .comparison import choose
from .decompositions import svdvals
from .matrices import conjugate, expect_floating, expect_matrices, expect_square, well_conditioned
from .reduction import spread
from .solving import inverse_and_info

Dims = int | Sequence[int] | None


def _direction(x: Any) -> Any:
    """-1, 0 or 1, or the complex number of that direction; 0 for 0."""
    return x / np.where(x == 0, 1.0, np.absolute(x)) if np.iscomplexobj(x) else np.sign(x)


def _norm_rule(g: Any, x: Any, y: Any, ord: float, dim: Dims, keepdim: bool) -> Any:
    shape = tuple(x.shape)
    g, norm = spread(g, shape, dim, keepdim), spread(y, shape, dim, keepdim)
    if ord == 0:
        return np.zeros_like(x)
    if ord == 1:
        return g * conjugate(_direction(x))
    size = np.absolute(x)
    if abs(ord) == math.inf:
        won = (size == norm) | ((size != size) & (norm != norm))  # where the norm is nan, what is nan made it so
        count = np.sum(won * np.ones_like(size), axis=normal_dims(dim, len(shape)), keepdims=True)
        return g / count * won * conjugate(_direction(x))
    zero = norm == 0
    safe = np.where(zero, 1.0, norm)
    if ord == 2:
        return np.where(zero, 0.0, g * conjugate(x) / safe)
    if ord < 1:
        held = np.where(x == 0, 1.0, size)
        return np.where(
            x == 0,
            0.0,
            g * conjugate(_direction(x)) * pow_number(held, ord - 1) * np.where(zero, 0.0, pow_number(safe, 1 - ord)),
        )
    if ord < 2:
        return np.where(zero, 0.0, g * conjugate(_direction(x)) * pow_number(size, ord - 1) / pow_number(safe, ord - 1))
    return np.where(zero, 0.0, g * conjugate(x) * pow_number(size, ord - 2) / pow_number(safe, ord - 1))


_ORDERS = each(
    on(real(3, 4), 2.0, None, False), on(real(3, 4), 1.0, (1,), False), on(real(3, 4), 3.0, (0,), True),
    on(real(5), math.inf, None, False), on(real(5), -math.inf, None, False), on(real(2, 3), 0.5, None, False),
    on(real(2, 3), 1.5, (0, 1), False), on(real(3), -2.0, None, False), on(real(3), 0.0, None, False), on(real(), 2.0, None, False),
)  # fmt: skip


@operation(_norm_rule, public=False, node_name="LinalgVectorNormBackward0", samples=_ORDERS)
def norm_over(x: Array, ord: float, dim: Dims, keepdim: bool) -> Array:
    """The *ord*-norm of the elements over *dim*; real."""
    working = x.astype(np.float32) if x.dtype == np.float16 else x
    return as_array(_norm_of(np.absolute(working), ord, normal_dims(dim, x.ndim), keepdim)).astype(
        np.absolute(x[:0] if x.ndim else x).dtype, copy=False
    )


def _norm_of(size: Array, ord: float, axes: tuple[int, ...], keepdim: bool) -> Array:
    if ord == math.inf:
        return np.max(size, axis=axes, keepdims=keepdim)
    if ord == -math.inf:
        return np.min(size, axis=axes, keepdims=keepdim)
    if ord == 0:
        return np.sum(size != 0, axis=axes, keepdims=keepdim)
    if ord == 1:
        return np.sum(size, axis=axes, keepdims=keepdim)
    if ord == 2:
        return np.sqrt(np.sum(size * size, axis=axes, keepdims=keepdim))
    with np.errstate(all="ignore"):
        return np.sum(size**ord, axis=axes, keepdims=keepdim) ** (1.0 / ord)


@composite(
    out=True,
    namespace="linalg",
    method=False,
    samples=each(on(real(3, 4)), on(real(3, 4), 1, 1), on(real(2, 3, 4), math.inf, (0, 2), True), on(real(0, 3), 2, 0)),
)
def vector_norm(x: Tensor, ord: float = 2, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """The norm (Σ |x|^ord)^(1/ord) of the elements over *dim* (all: None); *ord* inf and -inf: the extremes, 0: the count.

    *dtype* is converted to first. At 0 the gradient is 0.

    >>> import allgrad as torch
    >>> torch.linalg.vector_norm(torch.tensor([3., 4.]))
    tensor(5.)
    """
    expect_floating("linalg.vector_norm", x, low_precision=True)
    dims = (dim,) if isinstance(dim, int) else None if dim is None or not tuple(dim) else tuple(dim)
    axes = normal_dims(dims, x.ndim)
    if (ord < 0 or ord == math.inf) and any(x.shape[d] == 0 for d in (axes if x.ndim else ())):
        raise RuntimeError(
            f"linalg.vector_norm cannot compute the {ord} norm on an empty tensor because the operation does not have an "
            f"identity; found shape {list(x.shape)}"
        )
    return norm_over(x if dtype is None else x.to(dtype), float(ord), dims, keepdim)


def _extreme(x: Tensor, dim: int, ord: float) -> Tensor:
    """The greatest (least for a negative *ord*) along *dim*, kept with length 1; 0 is the greatest of nothing."""
    if x.shape[dim]:
        return x.amax(dim, True) if ord > 0 else x.amin(dim, True)
    if ord > 0:
        return x.sum(dim, True)
    raise IndexError(f"amin(): Expected reduction dim {dim} to have non-zero size, found shape {list(x.shape)}")


_MATRIX_ORDERS = ("fro", "nuc", math.inf, -math.inf, 1, -1, 2, -2)


@composite(
    out=True,
    namespace="linalg",
    method=False,
    samples=each(
        *(on(real(3, 4), ord) for ord in _MATRIX_ORDERS),
        on(real(3, 2, 4), "nuc", (0, 2), True),
        on(real(3, 2, 4), 1, (2, 0)),
    ),
)
def matrix_norm(
    A: Tensor, ord: Any = "fro", dim: Any = (-2, -1), keepdim: bool = False, *, dtype: Any = None
) -> Tensor:
    """The norm of the matrices in the two dimensions *dim*: "fro", "nuc", inf, -inf, 1, -1, 2 or -2.

    "nuc" is the sum, 2 the greatest and -2 the least of the singular values; ±inf and ±1 the extreme sum of absolute
    values over rows and columns.
    """
    expect_matrices("linalg.matrix_norm", A)
    expect_floating("linalg.matrix_norm", A, low_precision=True)
    if isinstance(dim, int) or len(tuple(dim)) != 2:
        raise RuntimeError(f"linalg.matrix_norm: dim must be a 2-tuple. Got {dim}")
    if ord not in _MATRIX_ORDERS:
        raise RuntimeError(f"linalg.matrix_norm: Order {ord} not supported.")
    rows, columns = normal_dims(tuple(dim), A.ndim)
    A = A if dtype is None else A.to(dtype)
    if ord == "fro":
        return vector_norm(A, 2, (rows, columns), keepdim)
    if ord in (1, -1, math.inf, -math.inf):
        summed, over = (rows, columns) if abs(ord) == 1 else (columns, rows)
        sums = vector_norm(A, 1, summed, True)
        result = _extreme(sums, over, ord)
        return result if keepdim else result.squeeze((rows, columns))
    values = svdvals(A.movedim((rows, columns), (-2, -1)))
    result = values.sum(-1) if ord == "nuc" else _extreme(values, -1, ord).squeeze(-1)
    if not keepdim:
        return result
    shape = tuple(1 if d in (rows, columns) else n for d, n in enumerate(A.shape))
    return result.reshape(shape)


@composite(
    out=True,
    namespace="linalg",
    method=False,
    samples=each(
        on(real(3, 4)),
        on(real(3, 4), "fro"),
        on(real(3, 4), 2),
        on(real(5), 3),
        on(real(2, 3, 4), 1, (0, 1)),
        on(real(2, 3), 1, 0),
    ),
)
def norm(A: Tensor, ord: Any = None, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """The 2-norm of all elements, or the vector or matrix norm *ord* over one or two dimensions *dim*.

    With *ord* and no *dim*, A must have one or two dimensions: ``vector_norm`` or ``matrix_norm`` of it.
    """
    dims = (dim,) if isinstance(dim, int) else None if dim is None else tuple(dim)
    if dims is not None and len(dims) not in (1, 2):
        raise RuntimeError(f"linalg.norm: If dim is specified, it must be of length 1 or 2. Got {list(dims)}")
    if ord is None:
        return vector_norm(A, 2, dims, keepdim, dtype=dtype)
    if dims is None and A.ndim not in (1, 2):
        raise RuntimeError(
            f"linalg.norm: If dim is not specified but ord is, the input must be 1D or 2D. Got {A.ndim}D."
        )
    if len(dims) == 2 if dims is not None else A.ndim == 2:
        return matrix_norm(A, ord, dims or (0, 1), keepdim, dtype=dtype)
    if isinstance(ord, str):
        raise RuntimeError(f"linalg.norm: Order {ord} is one of matrices: give two dimensions, found {dims or A.ndim}")
    return vector_norm(A, ord, dims or (0,), keepdim, dtype=dtype)


@composite(
    out=True,
    namespace="linalg",
    method=False,
    samples=each(
        on(real(4, 3)), *(well_conditioned(on(real(3, 3), p)) for p in (2, -2, "fro", "nuc", 1, -1, math.inf))
    ),
)
def cond(A: Tensor, p: Any = None) -> Tensor:
    """The condition number of each matrix in the norm *p*: norm(A) · norm(A⁻¹), inf if singular.

    For *p* None or 2 the greatest singular value by the least, of matrices (…, m, n), for -2 the least by the greatest;
    otherwise "fro", "nuc", ±inf or ±1 of square ones.
    """
    expect_matrices("linalg.cond", A)
    expect_floating("linalg.cond", A)
    if p in (None, 2, -2):
        values = svdvals(A)
        if not values.shape[-1]:
            return values.sum(-1)
        return values[..., -1] / values[..., 0] if p == -2 else values[..., 0] / values[..., -1]
    if p not in _MATRIX_ORDERS:
        raise RuntimeError(f"linalg.cond got an invalid norm type: {p}")
    expect_square(f"linalg.cond(ord={p})", A)
    inverse, info = inverse_and_info(A)
    product = matrix_norm(A, p) * matrix_norm(inverse, p)
    return choose(info != 0, math.inf, product) if np.any(info._array) else product
