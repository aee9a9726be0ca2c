"""What the rules and checks of linear algebra share: transposes, diagonals, and errors in PyTorch's words."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import dtypes
from ..batching import Batched
from ..errors import LinAlgError
from ..registry import Array, composite
from ..registry.samples import Samples, around, each, on, real
from ..tensors.tensor import Tensor
from . import diagonal as diagonals
from .reduction import conjugate as conjugate

_NAMES = {"bool": "Bool", "uint8": "Byte", "int8": "Char", "int16": "Short", "int32": "Int", "int64": "Long",
          "float16": "Half", "float32": "Float", "float64": "Double", "complex64": "ComplexFloat",
          "complex128": "ComplexDouble"}  # fmt: skip


def mT(x: Any) -> Any:  # noqa: N802 -- PyTorch's name
    """Each matrix transposed."""
    return np.swapaxes(x, -1, -2)


def mH(x: Any) -> Any:  # noqa: N802 -- PyTorch's name
    """Each matrix conjugated and transposed."""
    return conjugate(np.swapaxes(x, -1, -2))


def one_each(x: Any) -> Any:
    """A number for each matrix, with two dimensions of length 1 behind, to multiply the matrices with."""
    return np.reshape(x, (*tuple(x.shape), 1, 1))


def diagonal_of(x: Any) -> Any:
    """The main diagonal of each matrix."""
    return diagonals.diagonal(x, 0, -2, -1)


def diagonal_matrix(x: Any) -> Any:
    """Square matrices with *x* on the diagonal."""
    n = tuple(x.shape)[-1]
    return diagonals.diagonal_zeros(x, (*tuple(x.shape), n), 0, -2, -1)


def off_diagonal(x: Any) -> Any:
    """Square matrices *x* with zeros on the diagonal."""
    return np.where(np.eye(tuple(x.shape)[-1], dtype=bool), 0.0, x)


def halved_diagonal(x: Any) -> Any:
    """Square matrices *x* with their diagonal halved."""
    return np.where(np.eye(tuple(x.shape)[-1], dtype=bool), 0.5 * x, x)


def type_name(x: Any) -> str:
    """PyTorch's word for the type of the array or Tensor *x*, such as Float."""
    name = x.dtype.name
    return _NAMES.get(name, name)


def expect_matrices(name: str, x: Any, argument: str = "A") -> None:
    """RuntimeError unless *x* has at least two dimensions."""
    _expect_tensor(name, x, argument)
    if x.ndim < 2:
        raise RuntimeError(
            f"{name}: The input tensor {argument} must have at least 2 dimensions, found shape {list(x.shape)}"
        )


def _expect_tensor(name: str, x: Any, argument: str) -> None:
    if not isinstance(x, (Tensor, np.ndarray, Batched)):
        raise TypeError(f"{name}(): argument '{argument}' must be Tensor, not {type(x).__name__}")


def expect_floating(name: str, x: Any, low_precision: bool = False) -> None:
    """NotImplementedError (a RuntimeError) unless *x* is floating or complex, of 32 bits and more if not *low_precision*."""
    kind = dtypes.as_dtype(x.dtype)
    if kind.category < dtypes.FLOATING:
        raise NotImplementedError(
            f"{name}: Expected a floating point or complex tensor as input. Got {type_name(x)}: convert it with .float()"
        )
    if kind is dtypes.float16 and not low_precision:
        raise NotImplementedError(f"{name}: Low precision dtypes not supported. Got Half: convert it with .float()")


def expect_square(name: str, x: Any, argument: str = "A") -> None:
    """RuntimeError unless *x* is made of square matrices of floating or complex type."""
    expect_matrices(name, x, argument)
    rows, columns = x.shape[-2:]
    if rows != columns:
        raise RuntimeError(
            f"{name}: {argument} must be batches of square matrices, but they are {rows} by {columns} matrices"
        )
    expect_floating(name, x)


def expect_same_type(name: str, a: Any, b: Any, names: tuple[str, str] = ("A", "B")) -> None:
    """RuntimeError unless both have one type."""
    if a.dtype != b.dtype:
        raise RuntimeError(
            f"{name}: Expected {names[0]} and {names[1]} to have the same dtype, but found {names[0]} of type "
            f"{type_name(a)} and {names[1]} of type {type_name(b)} instead"
        )


def batch_shape(name: str, a: Any, b: Any) -> tuple[int, ...]:
    """The common batch shape of the matrices *a* and *b*; RuntimeError where they do not broadcast."""
    try:
        return np.broadcast_shapes(tuple(a.shape[:-2]), tuple(b.shape[:-2]))
    except ValueError:
        raise RuntimeError(
            f"{name}: the batch dimensions of {list(a.shape)} and {list(b.shape)} cannot be broadcast together"
        ) from None


def raise_at_first(info: Array, message: str) -> None:
    """LinAlgError with *message* (and the place and value of the first that is not zero) if *info* tells of a failure."""
    info = info.values if isinstance(info, Batched) else info
    failed = np.flatnonzero(info)
    if failed.size:
        which = f"(Batch element {failed[0]}): " if info.ndim else ""
        raise LinAlgError(message.format(batch=which, info=abs(int(info.reshape(-1)[failed[0]]))))


def well_conditioned(samples: Samples) -> Samples:
    """*samples* called with three times the identity added to their first operand, square matrices."""
    return around(lambda f: lambda a, *rest, **named: f(_plus_identity(a), *rest, **named), samples)


def _plus_identity(a: Any) -> Any:
    return a + np.asarray(np.eye(a.shape[-1]) * 3, dtype=np.float64).astype(a.dtype.name)


def hermitian_of(a: Any) -> Any:
    """A symmetric matrix made of the tensor *a*."""
    return a + a.transpose(-1, -2)


def positive_definite_of(a: Any) -> Any:
    """A symmetric positive definite matrix made of the tensor *a*."""
    return _plus_identity(a @ a.transpose(-1, -2))


SQUARES = each(on(real(3, 3)), on(real(2, 3, 3)), on(real(1, 1)), on(real(0, 0)))


@composite(namespace="linalg", method=False, samples=each(on(real(3, 4)), on(real(3, 4, 2), offset=-1, dim1=0, dim2=1)))
def diagonal(A: Tensor, *, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """A view of the diagonal *offset* above the main one, of the matrices in *dim1* and *dim2*, as last dimension.

    >>> import allgrad as torch
    >>> torch.linalg.diagonal(torch.tensor([[1., 2.], [3., 4.]]))
    tensor([1., 4.])
    """
    return diagonals.diagonal(A, offset, dim1, dim2)
