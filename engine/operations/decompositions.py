"""Decompositions of matrices: Cholesky, QR and singular values."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..batching import as_array
from ..errors import LinAlgError
from ..kernels import factorization
from ..registry import Array, composite, operation
from ..registry.samples import Samples, around, each, on, real
from ..tensors.tensor import Tensor
from .matrices import (
    SQUARES,
    conjugate,
    diagonal_matrix,
    diagonal_of,
    expect_floating,
    expect_matrices,
    expect_square,
    halved_diagonal,
    mH,
    off_diagonal,
    positive_definite_of,
    raise_at_first,
)
from .solving import solve_triangle

# The rules follow PyTorch's formulas, which are in terms of conjugate gradients: each conjugates what comes in and goes out.

_POSITIVE = around(lambda f: lambda a, *rest, **named: f(positive_definite_of(a), *rest, **named), SQUARES)
_TALL_AND_WIDE = each(on(real(4, 3)), on(real(3, 4)), on(real(3, 3)), on(real(2, 4, 3)))


class CholeskyAndInfo(NamedTuple):
    """What ``linalg.cholesky_ex`` returns."""

    L: Any
    info: Any


def _cholesky_rule(g: Any, y0: Any) -> Any:
    """I. Murray, Differentiation of the Cholesky decomposition (arXiv:1602.07527)."""
    adjoint = mH(y0)
    phi = halved_diagonal(np.tril(np.matmul(adjoint, conjugate(g[0]))))
    inner = solve_triangle(adjoint, phi + mH(phi), True, False)
    return conjugate(0.5 * mH(solve_triangle(adjoint, mH(inner), True, False)))


@operation(
    _cholesky_rule,
    outputs=CholeskyAndInfo,
    public=False,
    node_name="LinalgCholeskyExBackward0",
    samples=_POSITIVE,
)
def cholesky_and_info(A: Array) -> tuple[Array, Array]:
    """The lower factor of each matrix, and 0 or the order of the first leading minor that is not positive."""
    return factorization.cholesky(A)


@composite(out=True, namespace="linalg", method=False, samples=_POSITIVE)
def cholesky_ex(A: Tensor, *, upper: bool = False, check_errors: bool = False) -> CholeskyAndInfo:
    """Like ``cholesky``, with *info* (…, int32) in place of the error: 0, or the order of the first bad leading minor."""
    expect_square("linalg.cholesky_ex", A)
    return _cholesky("linalg.cholesky_ex", A, upper, check_errors)


def _cholesky(name: str, A: Tensor, upper: bool, check: bool) -> CholeskyAndInfo:
    L, info = cholesky_and_info(mH(A) if upper else A)
    if check:
        raise_at_first(
            info._array,
            f"{name}: {{batch}}The factorization could not be completed because the input is not positive-definite "
            "(the leading minor of order {info} is not positive-definite).",
        )
    return CholeskyAndInfo(mH(L) if upper else L, info)


@composite(
    out=True,
    namespace="linalg",
    method=False,
    samples=each(_POSITIVE, around(lambda f: lambda a: f(positive_definite_of(a), upper=True), on(real(3, 3)))),
)
def cholesky(A: Tensor, *, upper: bool = False) -> Tensor:
    """L, lower triangular, with L Lᴴ = A (Uᴴ U = A if *upper*) of Hermitian positive definite A, (…, n, n).

    Only one triangle of A is read. LinAlgError if A is not positive definite.

    >>> import allgrad as torch
    >>> torch.linalg.cholesky(torch.tensor([[4., 2.], [2., 5.]]))
    tensor([[2., 0.],
            [1., 2.]])
    """
    expect_square("linalg.cholesky", A)
    return _cholesky("linalg.cholesky", A, upper, True).L


class QR(NamedTuple):
    """What ``linalg.qr`` returns."""

    Q: Any
    R: Any


def _qr_rule(g: Any, A: Any, y0: Any, y1: Any, mode: str) -> Any:
    """After S. Walter and L. Lehmann, arXiv:1009.6112: the columns of a wide A beyond the square follow from Q."""
    m, n = tuple(A.shape)[-2:]
    if mode == "r":
        raise RuntimeError(
            "The derivative of linalg.qr is not implemented when mode='r': use torch.linalg.qr(..., mode='reduced')"
        )
    if mode == "complete" and m > n:
        raise RuntimeError("The QR decomposition is not differentiable when mode='complete' and nrows > ncols")
    gQ, gR, Q, R = conjugate(g[0]), conjugate(g[1]), y0, y1
    if m >= n:
        return conjugate(_square_qr_rule(gQ, gR, Q, R))
    if gR is None:
        square = _square_qr_rule(gQ, None, Q, R[..., :m])
        return conjugate(np.concatenate([square, np.zeros_like(A[..., m:])], axis=-1))
    beyond = np.matmul(A[..., m:], mH(gR[..., m:]))
    square = _square_qr_rule(beyond if gQ is None else gQ + beyond, gR[..., :m], Q, R[..., :m])
    return conjugate(np.concatenate([square, np.matmul(Q, gR[..., m:])], axis=-1))


def _square_qr_rule(gQ: Any, gR: Any, Q: Any, R: Any) -> Any:
    """Q (syminv(triu(gR Rᴴ - Qᴴ gQ)) + gQ) R⁻ᴴ for R square, syminv(X) = X + Xᴴ with its real diagonal halved."""
    inner = 0.0 if gR is None else np.matmul(gR, mH(R))
    if gQ is not None:
        inner = inner - np.matmul(mH(Q), gQ)
    upper = np.triu(inner)
    both = np.matmul(Q, halved_diagonal(upper + mH(upper)))
    both = both if gQ is None else both + gQ
    return mH(solve_triangle(R, mH(both), True, False))


@operation(
    _qr_rule,
    outputs=QR,
    public=False,
    node_name="LinalgQrBackward0",
    samples=around(lambda qr: lambda a: qr(a, "reduced"), _TALL_AND_WIDE),
)
def qr_factors(A: Array, mode: str) -> tuple[Array, Array]:
    """Q and R of each matrix; *mode* "r" leaves Q empty."""
    if mode == "r":
        R: Array = as_array(np.linalg.qr(A, mode="r"))
        return np.empty(0, A.dtype), R
    Q, R = np.linalg.qr(A, mode="complete" if mode == "complete" else "reduced")
    return Q, R


@composite(out=True, namespace="linalg", method=False, samples=_TALL_AND_WIDE)
def qr(A: Tensor, mode: str = "reduced") -> QR:
    """Q with orthonormal columns and R upper triangular, Q R = A (…, m, n).

    *mode*: "reduced" (Q (…, m, k), R (…, k, n), k = min(m, n)), "complete" (Q square), "r" (Q empty; no gradient).
    """
    expect_matrices("linalg.qr", A)
    expect_floating("linalg.qr", A)
    if mode not in ("reduced", "complete", "r"):
        raise RuntimeError(
            f"qr received unrecognized mode '{mode}' but expected one of 'reduced' (default), 'r', or 'complete'"
        )
    return qr_factors(A, mode)


class SVD(NamedTuple):
    """What ``linalg.svd`` returns."""

    U: Any
    S: Any
    Vh: Any


def _svd_rule(g: Any, y0: Any, y1: Any, y2: Any) -> Any:
    """J. Townsend, Differentiating the singular value decomposition (2016), for the complex case as in PyTorch."""
    k = tuple(y1.shape)[-1]
    gU, gS, gVh = conjugate(g[0]), g[1], conjugate(g[2])
    gU, gVh = None if gU is None else gU[..., :k], None if gVh is None else gVh[..., :k, :]
    U, S, Vh = y0[..., :k], y1, y2[..., :k, :]
    if gU is None and gVh is None:
        return conjugate(np.matmul(U * gS[..., None, :], Vh))
    inner = _svd_core(gU, gS, gVh, U, S, Vh)
    m, n = tuple(U.shape)[-2], tuple(Vh.shape)[-1]
    if m > k and gU is not None:
        scaled = gU / S[..., None, :]
        left = np.matmul(U, inner) + scaled - np.matmul(U, np.matmul(mH(U), scaled))
        return conjugate(np.matmul(left, Vh))
    if n > k and gVh is not None:
        scaled = gVh / S[..., None]
        right = np.matmul(inner, Vh) + scaled - np.matmul(np.matmul(scaled, mH(Vh)), Vh)
        return conjugate(np.matmul(U, right))
    return conjugate(np.matmul(np.matmul(U, inner), Vh))


def _svd_core(gU: Any, gS: Any, gVh: Any, U: Any, S: Any, Vh: Any) -> Any:
    """The gradient in the basis of the singular vectors."""
    columns, rows = S[..., None, :], S[..., None]
    gaps = halved_gaps(columns, rows)
    inner: Any = 0.0 if gS is None else diagonal_matrix(gS)
    skew_U = skew_V = None
    if gU is not None:
        skew_U = _skew(np.matmul(mH(U), gU))
        inner = inner + off_diagonal(skew_U / gaps) * columns
    if gVh is not None:
        skew_V = _skew(np.matmul(Vh, mH(gVh)))
        inner = inner + rows * off_diagonal(skew_V / gaps)
    if np.iscomplexobj(U):
        _check_phase(skew_U, skew_V)
        if skew_U is not None:
            inner = inner + diagonal_matrix(diagonal_of(skew_U) / (2.0 * S))
    return inner


def halved_gaps(columns: Any, rows: Any) -> Any:
    """The differences of the squares of singular values, with ones on the diagonal."""
    n = tuple(columns.shape)[-1]
    return np.where(np.eye(n, dtype=bool), 1.0, (columns - rows) * (columns + rows))


def _skew(x: Any) -> Any:
    return x - mH(x)


def _check_phase(skew_U: Any, skew_V: Any) -> None:
    """RuntimeError if a function of complex singular vectors depends on their phases, which nothing determines."""
    parts = [diagonal_of(x) for x in (skew_U, skew_V) if x is not None]
    total = parts[0] + parts[1] if len(parts) == 2 else parts[0]
    if not np.allclose(total, np.zeros_like(total), 1e-2, 1e-2):
        raise RuntimeError(
            "svd_backward: The singular vectors in the complex case are specified up to multiplication by e^{i phi}. The "
            "specified loss function depends on this phase term, making it ill-defined."
        )


def unsigned(function: Any) -> Any:
    """The singular or eigenvectors of *function* up to their signs."""

    def called(*args: Any, **kwargs: Any) -> Any:
        return tuple(x.abs() for x in function(*args, **kwargs))

    return called


_FOR_SVD: Samples = each(on(real(4, 3), False), on(real(3, 4), False), on(real(2, 3, 3), False), on(real(0, 2), False))


@operation(
    _svd_rule,
    outputs=SVD,
    public=False,
    node_name="LinalgSvdBackward0",
    samples=around(unsigned, _FOR_SVD),
)
def svd_factors(A: Array, full_matrices: bool) -> tuple[Array, Array, Array]:
    """U, S and Vᴴ of each matrix."""
    U, S, Vh = converging("linalg.svd", np.linalg.svd, A, full_matrices=full_matrices)
    return U, S, Vh


def converging(name: str, function: Any, *args: Any, **options: Any) -> Any:
    """*function* of NumPy; LinAlgError in PyTorch's words where it does not converge."""
    try:
        return function(*args, **options)
    except np.linalg.LinAlgError:
        reason = "contained non-finite values" if not np.all(np.isfinite(args[0])) else "is ill-conditioned"
        raise LinAlgError(f"{name}: The algorithm failed to converge because the input matrix {reason}.") from None


def _expect_for_svd(name: str, A: Tensor, driver: str | None) -> None:
    expect_matrices(name, A)
    expect_floating(name, A)
    if driver is not None:
        raise RuntimeError(f"{name}: keyword argument `driver=` is only supported on CUDA inputs with cuSOLVER backend")


@composite(out=True, namespace="linalg", method=False, samples=around(unsigned, _FOR_SVD))
def svd(A: Tensor, full_matrices: bool = True, *, driver: str | None = None) -> SVD:
    """U, S, Vh with U diag(S) Vh = A (…, m, n), the singular values S falling.

    U is (…, m, m) and Vh (…, n, n); without *full_matrices* (…, m, k) and (…, k, n), k = min(m, n). Gradients of U and Vh
    exist where all singular values differ. LinAlgError for inf or nan.
    """
    _expect_for_svd("linalg.svd", A, driver)
    return svd_factors(A, full_matrices)


def _svdvals_rule(g: Any, A: Any) -> Any:
    U, _, Vh = svd_factors(A, False)
    return conjugate(np.matmul(U * g[..., None, :], Vh))


@operation(
    _svdvals_rule,
    public=False,
    node_name="LinalgSvdBackward0",
    samples=each(on(real(4, 3)), on(real(3, 4)), on(real(2, 3, 3))),
)
def singular_values(A: Array) -> Array:
    """The singular values of each matrix, falling."""
    return converging("linalg.svd", np.linalg.svd, A, compute_uv=False)


@composite(out=True, namespace="linalg", method=False, samples=each(on(real(4, 3)), on(real(2, 3, 4)), on(real(0, 3))))
def svdvals(A: Tensor, *, driver: str | None = None) -> Tensor:
    """The singular values of each matrix of A (…, m, n), falling: (…, min(m, n)), real."""
    _expect_for_svd("linalg.svdvals", A, driver)
    return singular_values(A)
