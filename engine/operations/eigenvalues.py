"""Eigenvalues and eigenvectors of Hermitian and of general matrices."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..registry import Array, composite, operation
from ..registry.samples import around
from ..tensors.tensor import Tensor
from .decompositions import converging, unsigned
from .matrices import (
    SQUARES,
    conjugate,
    diagonal_matrix,
    diagonal_of,
    expect_square,
    hermitian_of,
    mH,
    off_diagonal,
)
from .solving import solve_matrices

# The rules follow PyTorch's formulas, which are in terms of conjugate gradients: each conjugates what comes in and goes out.

SYMMETRIC = around(lambda f: lambda a, *rest, **named: f(hermitian_of(a), *rest, **named), SQUARES)


def _squared(function: Any) -> Any:
    """The squared sizes of complex results: of eigenvectors, whose phases nothing determines."""

    def called(*args: Any, **kwargs: Any) -> Any:
        result = function(*args, **kwargs)
        return tuple(np.real(x * x.conj()) for x in (result if isinstance(result, tuple) else (result,)))

    return called


class Eigh(NamedTuple):
    """What ``linalg.eigh`` and ``linalg.eig`` return."""

    eigenvalues: Any
    eigenvectors: Any


def _eigh_rule(g: Any, y0: Any, y1: Any) -> Any:
    values, vectors = y0, y1
    if g[1] is None:
        return conjugate(np.matmul(vectors * g[0][..., None, :], mH(vectors)))
    inner = np.matmul(mH(vectors), conjugate(g[1]))
    if np.iscomplexobj(inner):
        _check_eigenvector_phase("linalg_eigh", inner)
    inner = off_diagonal(0.5 * (inner - mH(inner)) / _gaps(values))
    if g[0] is not None:
        inner = inner + diagonal_matrix(g[0])
    return conjugate(np.matmul(np.matmul(vectors, inner), mH(vectors)))


def _gaps(values: Any) -> Any:
    """The differences of eigenvalues, with ones on the diagonal."""
    return np.where(np.eye(tuple(values.shape)[-1], dtype=bool), 1.0, values[..., None, :] - values[..., None])


def _check_eigenvector_phase(name: str, inner: Any) -> None:
    turning = np.real(diagonal_of(inner) * -1j)
    if not np.allclose(turning, np.zeros_like(turning), 1e-2, 1e-2):
        raise RuntimeError(
            f"{name}_backward: The eigenvectors in the complex case are specified up to multiplication by e^{{i phi}}. The "
            "specified loss function depends on this quantity, so it is ill-defined."
        )


@operation(
    _eigh_rule,
    outputs=Eigh,
    public=False,
    node_name="LinalgEighBackward0",
    samples=around(lambda f: lambda a: unsigned(f)(hermitian_of(a), "L"), SQUARES),
)
def eigh_pairs(A: Array, UPLO: str) -> tuple[Array, Array]:
    """Eigenvalues and eigenvectors of Hermitian matrices, of which one triangle is read."""
    values, vectors = converging("linalg.eigh", np.linalg.eigh, A, UPLO)
    return values, vectors


def _expect_triangle(name: str, UPLO: str) -> str:
    if UPLO.upper() not in ("L", "U"):
        raise RuntimeError(f"Expected UPLO argument to be 'L' or 'U', but got {UPLO}, in {name}()")
    return UPLO.upper()


@composite(
    out=True,
    namespace="linalg",
    method=False,
    samples=around(lambda f: lambda a: unsigned(f)(hermitian_of(a)), SQUARES),
)
def eigh(A: Tensor, UPLO: str = "L") -> Eigh:
    """The eigenvalues (…, n), rising and real, and eigenvectors (…, n, n) as columns of Hermitian A, (…, n, n).

    Only the lower triangle ("L") or upper one ("U") of A is read. Gradients of the vectors exist where all eigenvalues
    differ.
    """
    expect_square("linalg.eigh", A)
    return eigh_pairs(A, _expect_triangle("linalg.eigh", UPLO))


def _eigvalsh_rule(g: Any, A: Any, UPLO: str) -> Any:
    _, vectors = eigh_pairs(A, UPLO)
    return conjugate(np.matmul(vectors * g[..., None, :], mH(vectors)))


@operation(
    _eigvalsh_rule,
    public=False,
    node_name="LinalgEighBackward0",
    samples=around(lambda f: lambda a: f(hermitian_of(a), "L"), SQUARES),
)
def hermitian_eigenvalues(A: Array, UPLO: str) -> Array:
    """The eigenvalues of Hermitian matrices, rising."""
    return converging("linalg.eigh", np.linalg.eigvalsh, A, UPLO)


@composite(out=True, namespace="linalg", method=False, samples=SYMMETRIC)
def eigvalsh(A: Tensor, UPLO: str = "L") -> Tensor:
    """The eigenvalues (…, n), rising and real, of Hermitian A, (…, n, n), of which one triangle is read."""
    expect_square("linalg.eigvalsh", A)
    return hermitian_eigenvalues(A, _expect_triangle("linalg.eigvalsh", UPLO))


def _eig_rule(g: Any, A: Any, y0: Any, y1: Any) -> Any:
    values, vectors = y0, y1
    adjoint = mH(vectors)
    if g[1] is None:
        inner = diagonal_matrix(conjugate(g[0]))
    else:
        turned = np.matmul(adjoint, conjugate(g[1]))
        _check_eigenvector_phase("linalg_eig", turned)
        kept = np.matmul(adjoint, vectors * np.real(diagonal_of(turned))[..., None, :])
        inner = off_diagonal((turned - kept) / conjugate(_gaps(values)))
        if g[0] is not None:
            inner = inner + diagonal_matrix(conjugate(g[0]))
    gA = conjugate(solve_matrices(adjoint, np.matmul(inner, adjoint))[0])
    return gA if np.iscomplexobj(A) else np.real(gA)


def _complex(array: Array) -> Array:
    """*array* as complex numbers: NumPy returns real ones where all are."""
    kind = np.complex64 if array.dtype.name in ("float32", "complex64") else np.complex128
    return array.astype(kind, copy=False)


@operation(
    _eig_rule,
    outputs=Eigh,
    public=False,
    node_name="LinalgEigBackward0",
    samples=around(_squared, SQUARES),
)
def eig_pairs(A: Array) -> tuple[Array, Array]:
    """The eigenvalues and eigenvectors of square matrices, complex."""
    values, vectors = np.linalg.eig(A)
    return _complex(values), _complex(vectors)


def _expect_finite(name: str, A: Tensor) -> None:
    if not np.all(np.isfinite(A._array)):
        raise RuntimeError(f"torch.{name}: input tensor should not contain infs or NaNs.")


@composite(out=True, namespace="linalg", method=False, samples=around(_squared, SQUARES))
def eig(A: Tensor) -> Eigh:
    """The eigenvalues (…, n) and eigenvectors (…, n, n) as columns of length 1 of A, (…, n, n); complex.

    Gradients exist where all eigenvalues differ, of functions that do not depend on the phases of the vectors.
    """
    expect_square("linalg.eig", A)
    _expect_finite("linalg.eig", A)
    return eig_pairs(A)


def _eigvals_rule(g: Any, A: Any) -> Any:
    _, vectors = eig_pairs(A)
    adjoint = mH(vectors)
    gA = conjugate(solve_matrices(adjoint, conjugate(g)[..., None] * adjoint)[0])
    return gA if np.iscomplexobj(A) else np.real(gA)


@operation(
    _eigvals_rule,
    public=False,
    node_name="LinalgEigvalsBackward0",
    samples=around(_squared, SQUARES),
)
def eigenvalues(A: Array) -> Array:
    """The eigenvalues of square matrices, complex."""
    return _complex(np.linalg.eigvals(A))


@composite(out=True, namespace="linalg", method=False, samples=around(_squared, SQUARES))
def eigvals(A: Tensor) -> Tensor:
    """The eigenvalues (…, n) of A, (…, n, n), complex, in no order."""
    expect_square("linalg.eigvals", A)
    _expect_finite("linalg.eigvals", A)
    return eigenvalues(A)
