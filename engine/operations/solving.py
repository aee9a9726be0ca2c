"""Inverses and systems of linear equations."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..batching import broadcasting
from ..kernels import factorization
from ..registry import Array, composite, operation
from ..registry.samples import around, each, on, real
from ..tensors.tensor import Tensor
from .matrices import (
    SQUARES,
    batch_shape,
    expect_floating,
    expect_matrices,
    expect_same_type,
    expect_square,
    mT,
    raise_at_first,
    well_conditioned,
)

_SINGULAR = (
    "{name}: {{batch}}The diagonal element {{info}} is zero, the inversion could not be completed because the input "
    "matrix is singular."
)


class InverseAndInfo(NamedTuple):
    """What ``linalg.inv_ex`` returns."""

    inverse: Any
    info: Any


def solved_each(a: Array, b: Array) -> tuple[Array, Array]:
    """``np.linalg.solve`` of matrices, with nan where a matrix is singular, and where its first zero pivot is."""
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    try:
        return np.linalg.solve(a, b), np.zeros(a.shape[:-2], np.int32)
    except np.linalg.LinAlgError:
        info = factorization.lu(a)[2]
        safe = np.where((info != 0)[..., None, None], np.eye(a.shape[-1], dtype=a.dtype), a)
        lost = np.broadcast_to(info != 0, batch)
        return np.where(lost[..., None, None], np.nan, np.linalg.solve(safe, b)).astype(b.dtype, copy=False), info


def _inverse_rule(g: Any, y0: Any) -> Any:
    transposed = mT(y0)
    return -np.matmul(np.matmul(transposed, g[0]), transposed)


@operation(
    _inverse_rule,
    outputs=InverseAndInfo,
    public=False,
    node_name="LinalgInvExBackward0",
    samples=well_conditioned(SQUARES),
)
def inverse_and_info(A: Array) -> tuple[Array, Array]:
    """The inverse of each matrix, and 0 or where the first zero pivot was met (from 1)."""
    return solved_each(A, np.broadcast_to(np.eye(A.shape[-1], dtype=A.dtype), A.shape))


@composite(out=True, namespace="linalg", method=False, samples=well_conditioned(SQUARES))
def inv_ex(A: Tensor, *, check_errors: bool = False) -> InverseAndInfo:
    """The inverses of A (…, n, n) and *info* (…, int32): 0, or the place of the zero pivot of a singular matrix.

    Its inverse is then nan; with *check_errors* it raises LinAlgError.
    """
    expect_square("linalg.inv_ex", A)
    result: InverseAndInfo = inverse_and_info(A)
    if check_errors:
        raise_at_first(result.info._array, _SINGULAR.format(name="linalg.inv_ex"))
    return result


@composite(out=True, namespace="linalg", aliases=("inverse",), samples=well_conditioned(SQUARES))
def inv(A: Tensor) -> Tensor:
    """The inverse of each matrix of A, (…, n, n). LinAlgError for a singular one.

    >>> import allgrad as torch
    >>> torch.linalg.inv(torch.tensor([[2., 0.], [0., 4.]]))
    tensor([[0.5000, 0.0000],
            [0.0000, 0.2500]])
    """
    expect_square("linalg.inv", A)
    inverse, info = inverse_and_info(A)
    raise_at_first(info._array, _SINGULAR.format(name="linalg.inv"))
    return inverse


class SolutionAndInfo(NamedTuple):
    """What ``linalg.solve_ex`` returns."""

    result: Any
    info: Any


@operation(
    lambda g, A, y0: -np.matmul(solve_matrices(mT(A), g[0])[0], mT(y0)),
    lambda g, A: solve_matrices(mT(A), g[0])[0],
    outputs=SolutionAndInfo,
    broadcasts=True,
    public=False,
    node_name="LinalgSolveExBackward0",
    samples=well_conditioned(
        each(on(real(3, 3), real(3, 2)), on(real(2, 3, 3), real(3, 1)), on(real(3, 3), real(2, 3, 2)))
    ),
)
def solve_matrices(A: Array, B: Array) -> tuple[Array, Array]:
    """X with A X = B for matrices with broadcast batches, and where the first zero pivot of each A was met."""
    return solved_each(A, B)


def _is_vectors(A: Tensor, B: Tensor) -> bool:
    """Whether B is one right side for each matrix of A, as PyTorch decides it."""
    return B.ndim == 1 or (A.ndim - 1 == B.ndim and tuple(B.shape) == tuple(A.shape[:-1]))


def _check_system(name: str, A: Tensor, B: Tensor, left: bool) -> Tensor:
    """B with its vectors made matrices of one column; RuntimeError where A X = B (or X A = B) cannot be."""
    expect_square(name, A)
    expect_same_type(name, A, B)
    if not B.ndim:
        raise RuntimeError(
            f"{name}: The input tensor B must have at least 2 dimensions, or be a vector; found a number"
        )
    vectors = _is_vectors(A, B)
    if vectors and not left:
        raise RuntimeError(f"{name}: Vector broadcasting of the left hand side is not supported for left=False")
    columns: Tensor = B.unsqueeze(-1) if vectors else B
    if columns.shape[-2 if left else -1] != A.shape[-1]:
        equation = "AX = B" if left else "XA = B"
        raise RuntimeError(
            f"{name}: Incompatible shapes of A and B for the equation {equation} "
            f"({A.shape[-2]}x{A.shape[-1]} and {columns.shape[-2]}x{columns.shape[-1]})"
        )
    batch_shape(name, A, columns)
    return columns


def _solve(name: str, A: Tensor, B: Tensor, left: bool, check: bool) -> SolutionAndInfo:
    columns = _check_system(name, A, B, left)
    if left:
        result, info = solve_matrices(A, columns)
    else:
        result, info = solve_matrices(mT(A), mT(columns))
        result = mT(result)
    if check:
        raise_at_first(info._array, f"{name}: {{batch}}The solver failed because the input matrix is singular.")
    return SolutionAndInfo(result.squeeze(-1) if _is_vectors(A, B) else result, info)


SYSTEMS = well_conditioned(
    each(
        on(real(3, 3), real(3)), on(real(3, 3), real(3, 2)), on(real(2, 3, 3), real(2, 3)), on(real(2, 3, 3), real(3, 2)),
        on(real(3, 3), real(2, 3), left=False), on(real(0, 0), real(0, 2)),
    )
)  # fmt: skip


@composite(out=True, namespace="linalg", method=False, samples=SYSTEMS)
def solve(A: Tensor, B: Tensor, *, left: bool = True) -> Tensor:
    """X with A X = B (X A = B if not *left*): A (…, n, n), B (…, n, k), (…, n) or (n). LinAlgError if A is singular.

    >>> import allgrad as torch
    >>> torch.linalg.solve(torch.tensor([[2., 0.], [0., 4.]]), torch.tensor([1., 2.]))
    tensor([0.5000, 0.5000])
    """
    return _solve("linalg.solve", A, B, left, True).result


@composite(out=True, namespace="linalg", method=False, samples=SYSTEMS)
def solve_ex(A: Tensor, B: Tensor, *, left: bool = True, check_errors: bool = False) -> SolutionAndInfo:
    """Like ``solve``, with *info* in place of the error: 0, or the place of the first zero pivot of a singular A."""
    return _solve("linalg.solve_ex", A, B, left, check_errors)


def _triangle(x: Any, upper: bool, unit: bool) -> Any:
    """What of the gradient *x* belongs to the triangle that was read."""
    return np.triu(x, int(unit)) if upper else np.tril(x, -int(unit))


@operation(
    lambda g, A, y, upper, unit: _triangle(-np.matmul(solve_triangle(mT(A), g, not upper, unit), mT(y)), upper, unit),
    lambda g, A, upper, unit: solve_triangle(mT(A), g, not upper, unit),
    broadcasts=True,
    public=False,
    node_name="LinalgSolveTriangularBackward0",
    samples=well_conditioned(
        each(on(real(3, 3), real(3, 2), True, False), on(real(2, 3, 3), real(3, 2), False, False),
             on(real(3, 3), real(2, 3, 2), False, True))
    ),
    batching=broadcasting,
)  # fmt: skip
def solve_triangle(A: Array, B: Array, upper: bool, unit: bool) -> Array:
    """X with A X = B, from one triangle of A alone; *unit*: its diagonal is taken as ones."""
    return factorization.solve_triangular(A, B, upper, unit)


@composite(out=True,
    namespace="linalg",
    method=False,
    samples=well_conditioned(
        each(
            on(real(3, 3), real(3, 2), upper=True), on(real(2, 3, 3), real(3, 2), upper=False, unitriangular=True),
            on(real(3, 3), real(2, 3), upper=False, left=False), on(real(3, 3), real(2, 3), upper=True, left=False),
        )
    ),
)  # fmt: skip
def solve_triangular(A: Tensor, B: Tensor, *, upper: bool, left: bool = True, unitriangular: bool = False) -> Tensor:
    """X with A X = B (X A = B if not *left*) from the upper or lower triangle of A alone, (…, n, n) and (…, n, k).

    With *unitriangular* its diagonal is taken as ones. A zero on the diagonal gives inf and nan.
    """
    expect_square("linalg.solve_triangular", A)
    expect_matrices("linalg.solve_triangular", B, "B")
    if B.shape[-2 if left else -1] != A.shape[-1]:
        equation = "AX = B" if left else "XA = B"
        raise RuntimeError(
            f"linalg.solve_triangular: Incompatible shapes of A and B for the equation {equation} "
            f"({A.shape[-2]}x{A.shape[-1]} and {B.shape[-2]}x{B.shape[-1]})"
        )
    expect_same_type("linalg.solve_triangular", A, B)
    batch_shape("linalg.solve_triangular", A, B)
    if left:
        return solve_triangle(A, B, upper, unitriangular)
    return mT(solve_triangle(mT(A), mT(B), not upper, unitriangular))


@composite(out=True, namespace="linalg", method=False, samples=around(lambda f: lambda a: f(a, ind=1), on(real(3, 3))))
def tensorinv(A: Tensor, ind: int = 2) -> Tensor:
    """The inverse of A as a map from its last dimensions to its first *ind*: tensordot(result, A, ind) is an identity."""
    if ind <= 0:
        raise RuntimeError(f"Expected a strictly positive integer for 'ind', found {ind}")
    to, of = tuple(A.shape[:ind]), tuple(A.shape[ind:])
    rows, columns = int(np.prod(to)), int(np.prod(of))
    if rows != columns:
        raise RuntimeError(
            "Expected self to satisfy the requirement prod(self.shape[ind:]) == prod(self.shape[:ind]), but got "
            f"{columns} != {rows}"
        )
    return inv(A.reshape(rows, columns)).reshape(of + to)


@composite(out=True, namespace="linalg", method=False, samples=on(real(3, 2, 6), real(3, 2)))
def tensorsolve(A: Tensor, B: Tensor, dims: Any = None) -> Tensor:
    """X with tensordot(A, X, X.ndim) = B; the dimensions *dims* of A are moved to its end first."""
    expect_floating("linalg.tensorsolve", A)
    if dims is not None:
        A = A.movedim(tuple(dims), tuple(range(A.ndim - len(dims), A.ndim)))
    shape = tuple(A.shape[B.ndim :])
    rows, columns = int(np.prod(A.shape[: B.ndim])), int(np.prod(shape))
    if rows != columns:
        raise RuntimeError(
            "Expected self to satisfy the requirement prod(self.shape[other.ndim:]) == prod(self.shape[:other.ndim]), "
            f"but got {columns} != {rows}"
        )
    return solve(A.reshape(columns, columns), B.reshape(-1)).reshape(shape)
