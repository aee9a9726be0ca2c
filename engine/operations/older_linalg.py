"""Linear algebra under PyTorch's older names, in its main namespace, where they differ from those of ``linalg``."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..registry import composite
from ..registry.samples import around, each, on, real
from ..tensors.tensor import Tensor
from . import decompositions, lu_factors, products
from .comparison import choose
from .decompositions import QR, unsigned
from .determinants import slogdet
from .matrices import expect_matrices, expect_same_type, expect_square, mH, mT, positive_definite_of
from .pseudo_inverse import pinv
from .solving import solve_triangle, solve_triangular


class SVD(NamedTuple):
    """What ``svd`` returns: V, not its conjugate transpose as in ``linalg.svd``."""

    U: Any
    S: Any
    V: Any


class TriangularSolve(NamedTuple):
    """What ``triangular_solve`` returns."""

    solution: Any
    cloned_coefficient: Any


@composite(out=True, samples=around(lambda f: lambda b, a: f(b, a * 1 + 3), on(real(3, 2), real(3, 3))))
def triangular_solve(
    input: Tensor, A: Tensor, upper: bool = True, transpose: bool = False, unitriangular: bool = False
) -> TriangularSolve:
    """X with A X = input (Aᵀ X = input if *transpose*) from one triangle of A, and a copy of A."""
    expect_square("triangular_solve", A)
    expect_matrices("triangular_solve", input, "b")
    coefficients = mT(A) if transpose else A
    X = solve_triangular(coefficients, input, upper=upper != transpose, unitriangular=unitriangular)
    return TriangularSolve(X, A.clone())


@composite(samples=around(lambda f: lambda a: f(a @ a.transpose(-1, -2)), each(on(real(3, 3)), on(real(2, 3, 3)))))
def logdet(input: Tensor) -> Tensor:
    """The logarithm of the determinant of each matrix, (…, n, n): -inf if singular, nan if it is negative."""
    expect_square("logdet", input)
    sign, logarithm = slogdet(input)
    if input.is_complex():
        return logarithm + sign.log()
    return choose(sign == -1, float("nan"), logarithm)


@composite(out=True, samples=on(real(3, 3)))
def lu(A: Tensor, pivot: bool = True, get_infos: bool = False) -> tuple[Tensor, ...]:
    """The packed LU factors and the pivots of each matrix, and where its first zero pivot is if *get_infos*."""
    packed, pivots, info = lu_factors.lu_factor_ex(A, pivot=pivot, check_errors=not get_infos)
    return (packed, pivots, info) if get_infos else (packed, pivots)


@composite(out=True, samples=around(lambda f: lambda b, a: f(b, *lu_factors.lu_factor(a)), on(real(3, 2), real(3, 3))))
def lu_solve(b: Tensor, LU_data: Tensor, LU_pivots: Tensor) -> Tensor:
    """X with A X = *b*, from the packed LU factors and pivots of A."""
    return lu_factors.lu_solve(LU_data, LU_pivots, b)


def _factor_of(f: Any) -> Any:
    return lambda a, *rest, **named: f(*rest, decompositions.cholesky(positive_definite_of(a)), **named)


_POSITIVE = around(lambda f: lambda a: f(positive_definite_of(a)), each(on(real(3, 3)), on(real(2, 3, 3))))


@composite(out=True, samples=_POSITIVE)
def cholesky(input: Tensor, upper: bool = False) -> Tensor:
    """L, lower triangular, with L Lᴴ = input (Uᴴ U if *upper*); as ``linalg.cholesky``."""
    return decompositions.cholesky(input, upper=upper)


@composite(out=True,
    samples=each(
        around(lambda f: lambda b, a: _factor_of(f)(a, b), on(real(3, 2), real(3, 3))),
        around(lambda f: lambda b, a: f(b, mH(decompositions.cholesky(positive_definite_of(a))), True),
               on(real(3, 2), real(3, 3))),
    )
)  # fmt: skip
def cholesky_solve(B: Tensor, L: Tensor, upper: bool = False) -> Tensor:
    """X with A X = B (…, n, k), from the Cholesky factor of A: L with L Lᴴ = A, or with Lᴴ L = A if *upper*."""
    expect_square("cholesky_solve", L, "L")
    expect_matrices("cholesky_solve", B, "b")
    expect_same_type("cholesky_solve", L, B, ("L", "B"))
    if B.shape[-2] != L.shape[-1]:
        raise RuntimeError(
            f"cholesky_solve: Incompatible matrix sizes: each A matrix is {L.shape[-1]} by {L.shape[-1]} but each b matrix is "
            f"{B.shape[-2]} by {B.shape[-1]}"
        )
    if upper:
        return solve_triangle(L, solve_triangle(mH(L), B, False, False), True, False)
    return solve_triangle(mH(L), solve_triangle(L, B, False, False), True, False)


@composite(out=True, samples=around(lambda f: lambda a: _factor_of(f)(a), each(on(real(3, 3)), on(real(2, 3, 3)))))
def cholesky_inverse(L: Tensor, upper: bool = False) -> Tensor:
    """The inverse of A, (…, n, n), from its Cholesky factor: L with L Lᴴ = A, or with Lᴴ L = A if *upper*."""
    expect_square("cholesky_inverse", L, "L")
    one = Tensor._wrap(np.eye(L.shape[-1], dtype=L._array.dtype))
    return cholesky_solve(one.expand(tuple(L.shape)), L, upper)


@composite(out=True, samples=each(on(real(4, 3)), on(real(3, 4))))
def qr(input: Tensor, some: bool = True) -> QR:
    """Q and R with Q R = input, Q square unless *some*; as ``linalg.qr``."""
    return decompositions.qr(input, "reduced" if some else "complete")


@composite(out=True, samples=around(unsigned, each(on(real(4, 3)), on(real(3, 4)))))
def svd(input: Tensor, some: bool = True, compute_uv: bool = True) -> SVD:
    """U, S, V with U diag(S) Vᴴ = input, U and V square unless *some*, zeros unless *compute_uv*."""
    if not compute_uv:
        S = decompositions.svdvals(input)
        m, n = tuple(input.shape)[-2:]
        U, V = (np.zeros((*input.shape[:-2], size, size), input._array.dtype) for size in (m, n))
        return SVD(Tensor._wrap(U), S, Tensor._wrap(V))
    U, S, Vh = decompositions.svd(input, full_matrices=not some)
    return SVD(U, S, mH(Vh))


@composite(samples=each(on(real(4, 3)), on(real(3, 4))))
def pinverse(input: Tensor, rcond: float = 1e-15) -> Tensor:
    """The pseudo-inverse; singular values below *rcond* times the greatest count as 0. As ``linalg.pinv``."""
    return pinv(input, rcond)


@composite(out=True, samples=each(on(real(3, 2), real(3, 2)), on(real(2, 3), real(2, 3), 1)))
def cross(input: Tensor, other: Tensor, dim: int | None = None) -> Tensor:
    """The cross products of vectors along *dim* (by default the first dimension of length 3)."""
    if dim is None:
        shape = np.broadcast_shapes(tuple(input.shape), tuple(other.shape))
        if 3 not in shape:
            raise RuntimeError(f"no dimension of size 3 in input, found shape {list(shape)}")
        dim = shape.index(3)
    return products.cross(input, other, dim=dim)


@composite(method=False, samples=on(real(2, 3), real(3, 4), real(4, 2)))
def chain_matmul(*matrices: Tensor) -> Tensor:
    """The product of matrices, in the order that takes the fewest multiplications; as ``linalg.multi_dot``."""
    listed = matrices[0] if len(matrices) == 1 and isinstance(matrices[0], (list, tuple)) else matrices
    return listed[0] if len(listed) == 1 else products.multi_dot(listed)
