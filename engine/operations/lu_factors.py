"""LU factors with row exchanges, LDL factors, and the systems they solve."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..batching import as_array, broadcasting
from ..kernels import factorization
from ..kernels.scipy_functions import required
from ..registry import Array, composite, operation
from ..registry.samples import Samples, around, each, on, real
from ..tensors.tensor import Tensor
from .matrices import (
    batch_shape,
    expect_floating,
    expect_matrices,
    expect_same_type,
    expect_square,
    mH,
    mT,
    raise_at_first,
)
from .solving import solve_triangle

_SHAPES: Samples = each(on(real(3, 3)), on(real(4, 3)), on(real(3, 4)), on(real(2, 3, 3)))


class LUFactorsAndInfo(NamedTuple):
    """What ``linalg.lu_factor_ex`` returns."""

    LU: Any
    pivots: Any
    info: Any


class LUFactors(NamedTuple):
    """What ``linalg.lu_factor`` returns."""

    LU: Any
    pivots: Any


class PLU(NamedTuple):
    """What ``linalg.lu`` returns."""

    P: Any
    L: Any
    U: Any


def _unit_lower(packed: Any) -> Any:
    """L, (…, m, k) with ones on its diagonal, of the packed factors (…, m, n)."""
    m, n = tuple(packed.shape)[-2:]
    strict = np.tril(packed[..., : min(m, n)], -1)
    return np.where(np.eye(m, min(m, n), dtype=bool), 1.0, strict)


def _upper(packed: Any) -> Any:
    """U, (…, k, n), of the packed factors (…, m, n)."""
    m, n = tuple(packed.shape)[-2:]
    return np.triu(packed[..., : min(m, n), :])


def _lu_rule(g: Any, y0: Any, y1: Any) -> Any:
    """L⁻ᵀ (tril(Lᵀ gL, -1) + triu(gU Uᵀ)) U⁻ᵀ of the leading square, to which rows or columns beyond it contribute."""
    m, n = tuple(y0.shape)[-2:]
    k = min(m, n)
    L, U = _unit_lower(y0)[..., :k, :], _upper(y0)[..., :k]
    gL, gU = np.tril(g[0][..., :k], -1), np.triu(g[0][..., :k, :])
    rows = columns = None
    if m > n:
        rows = mT(solve_triangle(U, mT(gL[..., k:, :]), True, False))
        gU = np.triu(gU - np.matmul(mT(y0[..., k:, :]), rows))
    elif n > m:
        columns = solve_triangle(mT(L), gU[..., k:], True, True)
        gL = np.tril(gL - np.matmul(columns, mT(y0[..., k:])), -1)
    inner = np.tril(np.matmul(mT(L), gL[..., :k, :]), -1) + np.triu(np.matmul(gU[..., :k], mT(U)))
    square = solve_triangle(mT(L), mT(solve_triangle(U, mT(inner), True, False)), True, True)
    parts = [p for p in (square, rows, columns) if p is not None]
    whole = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=-2 if m > n else -1)
    return _unordered(whole, y1)


def _unordered(rows: Any, pivots: Any) -> Any:
    """*rows* put back to where they stood before the exchanges *pivots*."""
    order = factorization.row_order(as_array(getattr(pivots, "_array", pivots)), tuple(rows.shape)[-2])
    back = np.broadcast_to(np.argsort(order, axis=-1)[..., None], tuple(rows.shape))
    return rows_taken(rows, back.copy())


@operation(
    lambda g, order: rows_taken(g, np.argsort(order, axis=-2)),
    public=False,
    node_name="IndexBackward0",
    samples=on(real(3, 2), np.array([[2, 0], [0, 1], [1, 2]])),
)
def rows_taken(x: Array, order: Any) -> Array:
    """The rows of each matrix in the *order* given for each element: an array of indices, a permutation."""
    return np.take_along_axis(x, order, -2)


@operation(
    _lu_rule,
    outputs=LUFactorsAndInfo,
    public=False,
    node_name="LinalgLuFactorExBackward0",
    samples=_SHAPES,
    batching=broadcasting,
)
def lu_packed(A: Array) -> tuple[Array, Array, Array]:
    """L and U packed in one, the pivots, and 0 or where the first zero pivot is."""
    return factorization.lu(A)


def _expect_for_lu(name: str, A: Tensor, pivot: bool) -> None:
    expect_matrices(name, A)
    expect_floating(name, A)
    if not pivot:
        raise RuntimeError(f"{name}: LU without pivoting is not implemented on the CPU")


@composite(out=True, namespace="linalg", method=False, samples=_SHAPES)
def lu_factor_ex(A: Tensor, *, pivot: bool = True, check_errors: bool = False) -> LUFactorsAndInfo:
    """Like ``lu_factor``, with *info* (…, int32): 0, or the place of the first zero on the diagonal of U."""
    _expect_for_lu("linalg.lu_factor_ex", A, pivot)
    result: LUFactorsAndInfo = lu_packed(A)
    if check_errors:
        _raise_for_zero_pivot("linalg.lu_factor_ex", result.info._array)
    return result


def _raise_for_zero_pivot(name: str, info: Array) -> None:
    raise_at_first(
        info,
        f"torch.{name}: {{batch}}U[{{info}},{{info}}] is zero and using it on lu_solve would result in a division by zero. If "
        "you still want to perform the factorization, consider calling linalg.lu(A, pivot) or linalg.lu_factor_ex(A, pivot)",
    )


@composite(out=True, namespace="linalg", method=False, samples=_SHAPES)
def lu_factor(A: Tensor, *, pivot: bool = True) -> LUFactors:
    """L and U with P L U = A (…, m, n), packed in one tensor, and *pivots* (…, k, int32), the rows exchanged, from 1.

    The diagonal of L is ones and not stored. RuntimeError if U has a zero on its diagonal.
    """
    _expect_for_lu("linalg.lu_factor", A, pivot)
    packed, pivots, info = lu_packed(A)
    _raise_for_zero_pivot("linalg.lu_factor", info._array)
    return LUFactors(packed, pivots)


@composite(out=True, samples=around(lambda f: lambda a: f(lu_packed(a)[0], lu_packed(a)[1]), _SHAPES), method=False)
def lu_unpack(LU_data: Tensor, LU_pivots: Tensor, unpack_data: bool = True, unpack_pivots: bool = True) -> PLU:
    """P, L and U of the packed factors and pivots that ``lu_factor`` gives; empty where *unpack* says no."""
    m = LU_data.shape[-2]
    empty = Tensor._wrap(np.empty(0, LU_data._array.dtype))
    P = L = U = empty
    if unpack_pivots:
        if LU_pivots._array.dtype != np.int32:
            raise RuntimeError(
                "torch.lu_unpack: LU_pivots is expected to be a contiguous tensor of torch.int32 dtype, as returned by "
                f"lu_factor; found {LU_pivots.dtype}"
            )
        order = factorization.row_order(LU_pivots._array, m)
        P = Tensor._wrap((np.arange(m)[:, None] == order[..., None, :]).astype(LU_data._array.dtype))
    if unpack_data:
        L, U = _unit_lower(LU_data), _upper(LU_data)
    return PLU(P, L, U)


@composite(out=True, namespace="linalg", method=False, samples=_SHAPES)
def lu(A: Tensor, *, pivot: bool = True) -> PLU:
    """P (…, m, m), L (…, m, k) and U (…, k, n) with P L U = A, (…, m, n), k = min(m, n)."""
    _expect_for_lu("linalg.lu", A, pivot)
    packed, pivots, _ = lu_packed(A)
    return lu_unpack(packed, pivots)


def _solve_packed(packed: Tensor, pivots: Tensor, B: Tensor, adjoint: bool) -> Tensor:
    """X with A X = B (Aᴴ X = B) from the packed factors of A."""
    n = packed.shape[-1]
    order = factorization.row_order(pivots._array, n)
    batch = np.broadcast_shapes(order.shape[:-1], B.shape[:-2])
    B = B.expand((*batch, *B.shape[-2:])) if tuple(B.shape[:-2]) != batch else B
    indices = np.broadcast_to(order[..., None], tuple(B.shape)).copy()
    if not adjoint:
        rows = rows_taken(B, indices)
        return solve_triangle(packed, solve_triangle(packed, rows, False, True), True, False)
    inner = solve_triangle(mH(packed), solve_triangle(mH(packed), B, False, False), True, True)
    return rows_taken(inner, np.argsort(indices, axis=-2))


def _factored(f: Any) -> Any:
    return lambda a, b, **named: f(*lu_packed(a)[:2], b, **named)


@composite(out=True,
    namespace="linalg",
    method=False,
    samples=around(
        _factored,
        each(
            on(real(3, 3), real(3, 2)), on(real(2, 3, 3), real(3, 2)), on(real(3, 3), real(3, 2), adjoint=True),
            on(real(3, 3), real(2, 3), left=False), on(real(3, 3), real(2, 3), left=False, adjoint=True),
        ),
    ),
)  # fmt: skip
def lu_solve(LU: Tensor, pivots: Tensor, B: Tensor, *, left: bool = True, adjoint: bool = False) -> Tensor:
    """X with A X = B (X A = B if not *left*; Aᴴ for A if *adjoint*), from what ``lu_factor`` gives of A, (…, n, n)."""
    expect_square("linalg.lu_solve", LU, "LU")
    expect_matrices("linalg.lu_solve", B, "B")
    expect_same_type("linalg.lu_solve", LU, B, ("LU", "B"))
    if pivots._array.dtype != np.int32:
        raise RuntimeError(
            f"linalg.lu_solve: pivots should be a Tensor of scalar type torch.int32. Got {pivots.dtype}: take what lu_factor gives"
        )
    if B.shape[-2 if left else -1] != LU.shape[-1]:
        raise RuntimeError(
            f"linalg.lu_solve: Incompatible shapes of A and B for the equation {'AX = B' if left else 'XA = B'} "
            f"({LU.shape[-2]}x{LU.shape[-1]} and {B.shape[-2]}x{B.shape[-1]})"
        )
    batch_shape("linalg.lu_solve", LU, B)
    if left:
        return _solve_packed(LU, pivots, B, adjoint)
    return mH(_solve_packed(LU, pivots, mH(B), not adjoint))


class LDLFactors(NamedTuple):
    """What ``linalg.ldl_factor`` returns."""

    LD: Any
    pivots: Any


class LDLFactorsAndInfo(NamedTuple):
    """What ``linalg.ldl_factor_ex`` returns."""

    LD: Any
    pivots: Any
    info: Any


def _symmetric_routine(name: str, hermitian: bool, A: Array, asked_by: str) -> Any:
    """LAPACK's routine for symmetric matrices (for Hermitian ones where they are complex and *hermitian*)."""
    prefix = "he" if hermitian and A.dtype.kind == "c" else "sy"
    return required("linalg", asked_by).get_lapack_funcs((prefix + name,), (A,))[0]


@composite(out=True, namespace="linalg", method=False)
def ldl_factor_ex(A: Tensor, *, hermitian: bool = False, check_errors: bool = False) -> LDLFactorsAndInfo:
    """Like ``ldl_factor``, with *info* (…, int32): 0, or the place of a zero on the diagonal of D. Needs SciPy."""
    expect_square("linalg.ldl_factor_ex", A)
    array = A._array
    factorize = _symmetric_routine("trf", hermitian, array, "linalg.ldl_factor_ex")
    packed, info = np.empty_like(array), np.zeros(array.shape[:-2], np.int32)
    pivots = np.empty(array.shape[:-1], np.int32)
    for where in np.ndindex(info.shape) if array.size else ():
        factors, pivots[where], info[where] = factorize(array[where], lower=1)
        packed[where] = np.tril(factors)
    if check_errors:
        raise_at_first(info, "torch.linalg.ldl_factor_ex: {batch}D[{info},{info}] is zero: it cannot be solved with.")
    return LDLFactorsAndInfo(*map(Tensor._wrap, (packed, pivots, info)))


@composite(out=True, namespace="linalg", method=False)
def ldl_factor(A: Tensor, *, hermitian: bool = False) -> LDLFactors:
    """L and D with L D Lᵀ = A (Lᴴ if *hermitian*) packed in one, and pivots: A is symmetric, (…, n, n). Needs SciPy."""
    expect_square("linalg.ldl_factor", A)
    packed, pivots, info = ldl_factor_ex(A, hermitian=hermitian)
    raise_at_first(info._array, "torch.linalg.ldl_factor: {batch}D[{info},{info}] is zero: it cannot be solved with.")
    return LDLFactors(packed, pivots)


@composite(out=True, namespace="linalg", method=False)
def ldl_solve(LD: Tensor, pivots: Tensor, B: Tensor, *, hermitian: bool = False) -> Tensor:
    """X (…, n, k) with A X = B from what ``ldl_factor`` gives of A. Needs SciPy."""
    expect_square("torch.linalg.ldl_solve", LD, "LD")
    expect_matrices("torch.linalg.ldl_solve", B, "B")
    expect_same_type("torch.linalg.ldl_solve", LD, B, ("LD", "B"))
    batch = batch_shape("torch.linalg.ldl_solve", LD, B)
    solve = _symmetric_routine("trs", hermitian, LD._array, "linalg.ldl_solve")
    result = np.empty((*batch, *B.shape[-2:]), B._array.dtype)
    factors = np.broadcast_to(LD._array, (*batch, *LD.shape[-2:]))
    exchanged = np.broadcast_to(pivots._array, (*batch, LD.shape[-1]))
    right = np.broadcast_to(B._array, result.shape)
    for where in np.ndindex(batch) if result.size else ():
        result[where], _ = solve(factors[where], exchanged[where], right[where], lower=1)
    return Tensor._wrap(result)
