"""Which operation answers for which function of ``np.linalg`` and ``np.fft`` called with Tensors."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from ..tensors.protocol import FUNCTIONS
from ..tensors.tensor import Tensor
from . import (
    conversion,
    decompositions,
    determinants,
    eigenvalues,
    fourier,
    linear,
    matrices,
    norms,
    products,
    pseudo_inverse,
    solving,
)
from .numpy_functions import answers


def as_tensor(value: Any) -> Tensor:
    """*value* as a tensor of floating or complex type: NumPy's functions take integers for float64."""
    tensor = value if isinstance(value, Tensor) else Tensor._wrap(np.asarray(value))
    converted: Tensor = tensor if tensor._array.dtype.kind in "fc" else tensor.double()
    return converted


def _of_one(function: Any, counterpart: Callable[..., Any]) -> None:
    FUNCTIONS[function] = lambda a, *rest, **named: counterpart(as_tensor(a), *rest, **named)


_of_one(np.linalg.inv, solving.inv)
_of_one(np.linalg.det, determinants.det)
_of_one(np.linalg.slogdet, determinants.slogdet)
_of_one(np.linalg.eigh, eigenvalues.eigh)
_of_one(np.linalg.eigvalsh, eigenvalues.eigvalsh)
_of_one(np.linalg.svdvals, decompositions.svdvals)
_of_one(np.linalg.matrix_power, products.matrix_power)
_of_one(np.linalg.cond, norms.cond)
_of_one(np.linalg.tensorinv, solving.tensorinv)


@answers(np.linalg.cholesky)
def _cholesky(a: Any, /, *, upper: bool = False) -> Any:
    return decompositions.cholesky(as_tensor(a), upper=upper)


@answers(np.linalg.solve)
def _solve(a: Any, b: Any) -> Any:
    A, B = as_tensor(a), as_tensor(b)
    if B.ndim != 1:  # NumPy takes everything but a vector for matrices
        B = B.reshape((1,) * (A.ndim - B.ndim) + tuple(B.shape))
    return solving.solve(A, B)


@answers(np.linalg.tensorsolve)
def _tensorsolve(a: Any, b: Any, axes: Any = None) -> Any:
    return solving.tensorsolve(as_tensor(a), as_tensor(b), axes)


@answers(np.linalg.qr)
def _qr(a: Any, mode: str = "reduced") -> Any:
    result = decompositions.qr(as_tensor(a), mode)
    return result.R if mode == "r" else result


@answers(np.linalg.svd)
def _svd(a: Any, full_matrices: bool = True, compute_uv: bool = True, hermitian: bool = False) -> Any:
    if not compute_uv:
        return decompositions.svdvals(as_tensor(a))
    return decompositions.svd(as_tensor(a), full_matrices)


@cache
def _numpy_keeps_complex() -> bool:
    """Whether eigenvalues are complex in any case, as from NumPy 2.5 on."""
    return bool(np.linalg.eigvals(np.eye(1)).dtype.kind == "c")


def _real_if_all_are(a: Tensor, *results: Tensor) -> list[Tensor]:
    """*results* as real tensors where the matrices *a* are real and no imaginary part is left, as NumPy before 2.5 has them."""
    if _numpy_keeps_complex() or a.is_complex() or any(np.any(np.imag(r._array)) for r in results):
        return list(results)
    return [conversion.real(r) for r in results]


@answers(np.linalg.eig)
def _eig(a: Any) -> Any:
    x = as_tensor(a)
    return eigenvalues.Eigh(*_real_if_all_are(x, *eigenvalues.eig(x)))


@answers(np.linalg.eigvals)
def _eigvals(a: Any) -> Any:
    x = as_tensor(a)
    return _real_if_all_are(x, eigenvalues.eigvals(x))[0]


@answers(np.linalg.pinv)
def _pinv(a: Any, rcond: Any = None, hermitian: bool = False, *, rtol: Any = None) -> Any:
    cutoff = 1e-15 if rcond is None and rtol is None else rtol if rcond is None else rcond
    return pseudo_inverse.pinv(as_tensor(a), rtol=cutoff, hermitian=hermitian)


@answers(np.linalg.matrix_rank)
def _matrix_rank(A: Any, tol: Any = None, hermitian: bool = False, *, rtol: Any = None) -> Any:
    return pseudo_inverse.matrix_rank(as_tensor(A), tol, hermitian, rtol=rtol)


@answers(np.linalg.lstsq)
def _lstsq(a: Any, b: Any, rcond: float | None = None) -> Any:
    A, B = as_tensor(a), as_tensor(b)
    result = pseudo_inverse.lstsq(A, B.unsqueeze(-1) if B.ndim == 1 else B, rcond, driver="gelsd")
    solution = result.solution.squeeze(-1) if B.ndim == 1 else result.solution
    return solution, result.residuals, int(result.rank), result.singular_values


@answers(np.linalg.norm)
def _norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    return norms.norm(as_tensor(x), ord, axis, keepdims)


@answers(np.linalg.vector_norm)
def _vector_norm(x: Any, /, *, axis: Any = None, keepdims: bool = False, ord: float = 2) -> Any:
    return norms.vector_norm(as_tensor(x), ord, axis, keepdims)


@answers(np.linalg.matrix_norm)
def _matrix_norm(x: Any, /, *, keepdims: bool = False, ord: Any = "fro") -> Any:
    return norms.matrix_norm(as_tensor(x), ord, (-2, -1), keepdims)


@answers(np.linalg.multi_dot)
def _multi_dot(arrays: Any) -> Any:
    return products.multi_dot([as_tensor(a) for a in arrays])


@answers(np.linalg.matmul)
def _matmul(x1: Any, x2: Any, /) -> Any:
    return linear.matmul(as_tensor(x1), as_tensor(x2))


@answers(np.linalg.cross)
def _cross(x1: Any, x2: Any, /, *, axis: int = -1) -> Any:
    return products.cross(as_tensor(x1), as_tensor(x2), dim=axis)


@answers(np.linalg.vecdot)
def _vecdot(x1: Any, x2: Any, /, *, axis: int = -1) -> Any:
    return products.vecdot(as_tensor(x1), as_tensor(x2), dim=axis)


@answers(np.linalg.diagonal)
def _diagonal(x: Any, /, *, offset: int = 0) -> Any:
    return matrices.diagonal(as_tensor(x), offset=offset)


@answers(np.linalg.trace)
def _trace(x: Any, /, *, offset: int = 0) -> Any:
    return matrices.diagonal(as_tensor(x), offset=offset).sum(-1)


def _along_one(function: Any, counterpart: Callable[..., Any]) -> None:
    def answer(a: Any, n: int | None = None, axis: int = -1, norm: str | None = None) -> Any:
        return counterpart(as_tensor(a), n, axis, norm)

    FUNCTIONS[function] = answer


def _along_several(function: Any, counterpart: Callable[..., Any], default: Any) -> None:
    def answer(a: Any, s: Any = None, axes: Any = default, norm: str | None = None) -> Any:
        return counterpart(as_tensor(a), s, axes, norm)

    FUNCTIONS[function] = answer


for _name in ("fft", "ifft", "rfft", "irfft", "hfft", "ihfft"):
    _along_one(getattr(np.fft, _name), getattr(fourier, _name))
for _name in ("fft", "ifft", "rfft", "irfft"):
    _along_several(getattr(np.fft, _name + "2"), getattr(fourier, _name + "2"), (-2, -1))
    _along_several(getattr(np.fft, _name + "n"), getattr(fourier, _name + "n"), None)


@answers(np.fft.fftshift)
def _fftshift(x: Any, axes: Any = None) -> Any:
    return fourier.fftshift(as_tensor(x), axes)


@answers(np.fft.ifftshift)
def _ifftshift(x: Any, axes: Any = None) -> Any:
    return fourier.ifftshift(as_tensor(x), axes)
