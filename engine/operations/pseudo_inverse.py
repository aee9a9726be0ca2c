"""The pseudo-inverse, least squares and the numerical rank, which all ask which singular values count as zero."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..batching import as_array
from ..registry import Array, composite, operation
from ..registry.samples import around, each, on, real
from ..tensors.tensor import Tensor
from .decompositions import svdvals
from .eigenvalues import eigvalsh
from .matrices import (
    batch_shape,
    conjugate,
    expect_floating,
    expect_matrices,
    expect_same_type,
    expect_square,
    hermitian_of,
    mH,
    mT,
)

_SHAPES = each(on(real(4, 3)), on(real(3, 4)), on(real(2, 3, 3)))


def _tolerances(A: Array, atol: Any, rtol: Any) -> tuple[Any, Any]:
    """The absolute and the relative tolerance, per matrix, as arrays or numbers."""
    default = float(np.finfo(A.dtype).eps) * max(A.shape[-2:])
    given = [t._array[..., None] if isinstance(t, Tensor) else t for t in (atol, rtol)]
    absolute = 0.0 if given[0] is None else given[0]
    if given[1] is not None:
        return absolute, given[1]
    return absolute, default if given[0] is None else np.where(as_array(absolute) > 0, 0.0, default)


def _counting(values: Array, atol: Any, rtol: Any) -> Array:
    """Which of the singular values *values*, (…, k), count as more than zero."""
    size = np.absolute(values)
    greatest = np.max(size, axis=-1, keepdims=True, initial=0.0)
    return size > np.maximum(atol, rtol * greatest)


def _pinv_rule(g: Any, A: Any, y: Any) -> Any:
    """G. H. Golub and V. Pereyra, SIAM J. Numer. Anal. 10 (1973)."""
    m, n = tuple(A.shape)[-2:]
    adjoint, incoming = mH(y), mT(g)  # g is the conjugate of the formula's gradient
    if m <= n:
        K = np.matmul(incoming, y)
        beyond = np.matmul(K, adjoint)
        result = beyond - mH(np.matmul(y, K)) - np.matmul(np.matmul(A, y), beyond)
        return conjugate(result + np.matmul(np.matmul(adjoint, y), incoming - np.matmul(K, A)))
    K = np.matmul(y, incoming)
    beyond = np.matmul(adjoint, K)
    result = beyond - mH(np.matmul(K, y)) - np.matmul(np.matmul(beyond, y), A)
    return conjugate(result + np.matmul(np.matmul(incoming - np.matmul(A, K), y), adjoint))


@operation(
    _pinv_rule,
    public=False,
    node_name="LinalgPinvBackward0",
    samples=around(lambda f: lambda a: f(a, 0.0, 1e-12, False), _SHAPES),
)
def pseudo_inverse(A: Array, atol: Any, rtol: Any, hermitian: bool) -> Array:
    """The pseudo-inverse of each matrix; singular values up to *atol* and *rtol* times the greatest count as zero."""
    if hermitian:
        values, vectors = np.linalg.eigh(A)
        left, right = vectors, mH(vectors)
    else:
        U, values, Vh = np.linalg.svd(A, full_matrices=False)
        left, right = mH(Vh), mH(U)
    counts = _counting(values, atol, rtol)
    inverted = np.where(counts, 1.0 / np.where(counts, values, 1.0), 0.0).astype(values.dtype, copy=False)
    return np.matmul(left * inverted[..., None, :], right)


@composite(
    out=True,
    namespace="linalg",
    method=False,
    samples=each(_SHAPES, around(lambda f: lambda a: f(hermitian_of(a), hermitian=True), on(real(3, 3)))),
)
def pinv(A: Tensor, rcond: Any = None, hermitian: bool = False, *, atol: Any = None, rtol: Any = None) -> Tensor:
    """The Moore-Penrose pseudo-inverse, (…, n, m) of A (…, m, n).

    Singular values up to max(*atol*, *rtol* · the greatest) count as 0; numbers or tensors (…), by default *rtol* is
    max(m, n) · eps (0 with an *atol*). *rcond* is an older name of *rtol*. *hermitian*: A is, and only its lower triangle is
    read.

    >>> import allgrad as torch
    >>> torch.linalg.pinv(torch.tensor([[2., 0.], [0., 0.]]))
    tensor([[0.5000, 0.0000],
            [0.0000, 0.0000]])
    """
    if A.ndim < 2 or A._array.dtype.kind not in "fc":
        raise RuntimeError(
            f"linalg.pinv({A.dtype}{list(A.shape)}): expected a tensor with 2 or more dimensions of float, double, cfloat or "
            "cdouble types"
        )
    expect_floating("linalg.pinv", A)
    if hermitian:
        expect_square("linalg.pinv", A)
    if not A._array.size:
        return mH(A).clone()
    absolute, relative = _tolerances(A._array, atol, rtol if rcond is None else rcond)
    return pseudo_inverse(A, absolute, relative, hermitian)


@composite(out=True, namespace="linalg", method=False)
def matrix_rank(A: Tensor, tol: Any = None, hermitian: bool = False, *, atol: Any = None, rtol: Any = None) -> Tensor:
    """How many singular values of each matrix (…, m, n) are above max(*atol*, *rtol* · the greatest): (…), int64.

    *rtol* is max(m, n) · eps by default (0 with an *atol*); *tol* is an older way to say ``atol=tol, rtol=0``.
    """
    expect_matrices("torch.linalg.matrix_rank", A, "input")
    expect_floating("torch.linalg.matrix_rank", A)
    values = eigvalsh(A.detach()) if hermitian else svdvals(A.detach())
    if tol is not None:
        atol, rtol = tol, 0.0
    counts = _counting(values._array, *_tolerances(A._array, atol, rtol))
    return Tensor._wrap(as_array(np.count_nonzero(counts, axis=-1), dtype=np.int64))


class LeastSquares(NamedTuple):
    """What ``linalg.lstsq`` returns."""

    solution: Any
    residuals: Any
    rank: Any
    singular_values: Any


def _inverse_of(A: Any, rtol: float) -> Any:
    return pseudo_inverse(A, 0.0, rtol, False)


@operation(
    lambda g, A, B, rtol: pseudo_inverse_gradient(np.matmul(g, mT(B)), A, rtol),
    lambda g, A, rtol: np.matmul(mT(_inverse_of(A, rtol)), g),
    broadcasts=True,
    public=False,
    node_name="LinalgLstsqBackward0",
    samples=around(
        lambda f: lambda a, b: f(a, b, 1e-12), each(on(real(4, 3), real(4, 2)), on(real(2, 3, 4), real(3, 2)))
    ),
)
def least_squares(A: Array, B: Array, rtol: float) -> Array:
    """The X of least norm among those that make ‖A X - B‖ least."""
    U, values, Vh = np.linalg.svd(A, full_matrices=False)
    counts = _counting(values, 0.0, rtol)
    inverted = np.where(counts, 1.0 / np.where(counts, values, 1.0), 0.0).astype(values.dtype, copy=False)
    return np.matmul(mH(Vh), inverted[..., None] * np.matmul(mH(U), B))


def pseudo_inverse_gradient(g: Any, A: Any, rtol: float) -> Any:
    """The gradient *g* of the pseudo-inverse of A, as one of A."""
    return _pinv_rule(g, A, _inverse_of(A, rtol))


_DRIVERS = ("gels", "gelsy", "gelsd", "gelss")


@composite(
    out=True,
    namespace="linalg",
    method=False,
    samples=around(
        lambda f: lambda a, b, **named: f(a, b, **named).solution,
        each(
            on(real(4, 3), real(4, 2)),
            on(real(3, 4), real(3, 2)),
            on(real(2, 4, 3), real(2, 4)),
            on(real(4, 3), real(4), driver="gelsd"),
        ),
    ),
)
def lstsq(A: Tensor, B: Tensor, rcond: float | None = None, *, driver: str | None = None) -> LeastSquares:
    """The X (…, n, k) for which ‖A X - B‖ is least, A (…, m, n), B (…, m, k) or (…, m).

    Singular values up to *rcond* (max(m, n) · eps) times the greatest count as 0; "gels" assumes full rank. Returned with
    X: the squared residuals (m > n, full rank, and not by "gelsy", which is the default), the rank and singular
    values, each empty where LAPACK's *driver* does not give it.
    """
    expect_matrices("torch.linalg.lstsq", A, "input")
    expect_floating("torch.linalg.lstsq", A)
    expect_same_type("torch.linalg.lstsq", A, B, ("input", "other"))
    driver = "gelsy" if driver is None else driver
    if driver not in _DRIVERS:
        raise RuntimeError(
            f"torch.linalg.lstsq: parameter `driver` should be one of (gels, gelsy, gelsd, gelss), found {driver}"
        )
    vectors = A.ndim - 1 == B.ndim and tuple(A.shape[:-1]) == tuple(B.shape)
    columns = B.unsqueeze(-1) if vectors else B
    if columns.ndim < 2 or columns.shape[-2] != A.shape[-2]:
        raise RuntimeError(
            f"torch.linalg.lstsq: input.size(-2) should match other.size(-2), found {list(A.shape)} and {list(B.shape)}"
        )
    batch_shape("torch.linalg.lstsq", A, columns)
    rtol = float(np.finfo(A._array.dtype).eps) * max(A.shape[-2:]) if rcond is None else rcond
    solution = least_squares(A, columns, 0.0 if driver == "gels" else rtol)
    rank, values = _rank_and_values(A._array, rtol, driver)
    residuals = _residuals(A, columns, solution, driver, rank)
    return LeastSquares(solution.squeeze(-1) if vectors else solution, residuals, rank, values)


def _rank_and_values(A: Array, rtol: float, driver: str) -> tuple[Tensor, Tensor]:
    if driver == "gels":
        return Tensor._wrap(np.empty(0, np.int64)), Tensor._wrap(np.empty(0, np.absolute(A[:0]).dtype))
    values = np.linalg.svd(A, compute_uv=False)
    rank = as_array(np.count_nonzero(_counting(values, 0.0, rtol), axis=-1), dtype=np.int64)
    return Tensor._wrap(rank), Tensor._wrap(values if driver != "gelsy" else np.empty(0, values.dtype))


def _residuals(A: Tensor, B: Tensor, solution: Tensor, driver: str, rank: Tensor) -> Tensor:
    """‖A X - B‖² for each column, or nothing where LAPACK says nothing."""
    m, n = tuple(A.shape)[-2:]
    if m <= n or driver == "gelsy" or not np.all(rank._array == n):
        return Tensor._wrap(np.empty(0, np.absolute(A._array[:0]).dtype))
    left = A @ solution - B
    return (np.real(left * left.conj()) if left.is_complex() else left * left).sum(-2)
