"""Diagonals and triangles of matrices."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import dtypes
from ..batching import zeros
from ..errors import normal_dim
from ..registry import Array, composite, operation
from ..registry.samples import each, on, real
from ..tensors.tensor import Tensor
from .reduction import sum_over
from .shape import reshape


def _two_dims(dim1: int, dim2: int, ndim: int) -> tuple[int, int]:
    first, second = normal_dim(dim1, ndim), normal_dim(dim2, ndim)
    if first == second:
        raise RuntimeError(f"diagonal dimensions cannot be identical {dim1}, {dim2}")
    return first, second


@operation(
    lambda g, input_shape, offset, dim1, dim2: diagonal_zeros(g, input_shape, offset, dim1, dim2),
    view=True,
    samples=each(on(real(3, 4)), on(real(3, 4), 1), on(real(4, 3), -2), on(real(2, 3, 3), 0, -1, 0)),
)
def diagonal(input: Array, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Array:
    """A view of the diagonals of the matrices in dimensions *dim1* and *dim2*, as a new last dimension.

    *offset* is how far the diagonal lies above the main one (below, if negative).

    >>> import allgrad as torch
    >>> torch.diagonal(torch.tensor([[1, 2], [3, 4]]))
    tensor([1, 4])
    """
    found = np.diagonal(input, offset, *_two_dims(dim1, dim2, input.ndim))
    found.flags.writeable = input.flags.writeable
    return found


@operation(
    lambda g, offset, dim1, dim2: diagonal(g, offset, dim1, dim2),
    public=False,
    samples=each(on(real(3), (3, 4)), on(real(4, 2), (2, 3, 4), -1, 1, 0)),
)
def diagonal_zeros(g: Array, shape: tuple[int, ...], offset: int = 0, dim1: int = 0, dim2: int = 1) -> Array:
    """Zeros of *shape* with *g* on the diagonals: what ``diagonal`` sends back."""
    result = zeros(shape, g)
    place = np.diagonal(result, offset, dim1, dim2)
    place.flags.writeable = True
    place[...] = g
    return result


@composite(out=True, samples=each(on(real(3)), on(real(2, 3), 1), on(real(2, 3), -1, 0, 2)))
def diag_embed(input: Tensor, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """Square matrices in dimensions *dim1* and *dim2*, with the vectors of input's last dimension on a diagonal."""
    shape = list(input._array.shape)
    if not shape:
        raise IndexError("diag_embed needs a tensor of at least one dimension, found a 0-d one")
    first, second = _two_dims(dim1, dim2, len(shape) + 1)
    side = shape.pop() + abs(offset)
    for d in sorted((first, second)):
        shape.insert(d, side)
    return diagonal_zeros(input, tuple(shape), offset, first, second)


@composite(out=True, samples=each(on(real(3)), on(real(3, 4), 1), on(real(2), -1)))
def diag(input: Tensor, diagonal: int = 0) -> Tensor:
    """A matrix with the vector input on its diagonal; of a matrix, its diagonal (a copy).

    >>> import allgrad as torch
    >>> torch.diag(torch.tensor([1, 2]))
    tensor([[1, 0],
            [0, 2]])
    """
    ndim = input._array.ndim
    if ndim not in (1, 2):
        raise RuntimeError(f"diag(): Supports 1D or 2D tensors. Got {ndim}D")
    return diag_embed(input, diagonal) if ndim == 1 else diagonal_of(input, diagonal).clone()


def diagonal_of(input: Tensor, offset: int) -> Tensor:
    """The diagonal of a matrix (``diag`` has a parameter of the name ``diagonal``)."""
    return diagonal(input, offset)


@composite(samples=on(real(2, 2), 1))
def diagflat(input: Tensor, offset: int = 0) -> Tensor:
    """A matrix with all elements of input, flattened, on its diagonal."""
    return diag_embed(reshape(input, (-1,)), offset)


@composite(out=True, samples=each(on(real(3, 3)), on(real(2, 4))))
def trace(input: Tensor) -> Tensor:
    """The sum of the diagonal of a matrix.

    >>> import allgrad as torch
    >>> torch.trace(torch.tensor([[1., 2.], [3., 4.]]))
    tensor(5.)
    """
    if input._array.ndim != 2:
        raise RuntimeError(f"trace: expected a matrix, but got tensor with dim {input._array.ndim}")
    return sum_over(diagonal(input))


def _triangle(indices: Any, row: int, col: int, offset: int, dtype: Any) -> Tensor:
    if row < 0 or col < 0:
        raise RuntimeError(f"row and col must be non-negative, got row={row}, col={col}")
    kind = dtypes.int64 if dtype is None else dtypes.as_dtype(dtype)
    return Tensor._wrap(np.stack(indices(row, offset, col)).astype(kind.numpy))


@composite(method=False)
def tril_indices(row: int, col: int, offset: int = 0, *, dtype: Any = None, device: Any = None) -> Tensor:
    """The (2, n) rows and columns of the lower triangle of a *row* by *col* matrix, up to *offset* above the diagonal.

    >>> import allgrad as torch
    >>> torch.tril_indices(2, 2)
    tensor([[0, 1, 1],
            [0, 0, 1]])
    """
    return _triangle(np.tril_indices, row, col, offset, dtype)


@composite(method=False)
def triu_indices(row: int, col: int, offset: int = 0, *, dtype: Any = None, device: Any = None) -> Tensor:
    """The (2, n) rows and columns of the upper triangle of a *row* by *col* matrix, from *offset* above the diagonal.

    >>> import allgrad as torch
    >>> torch.triu_indices(2, 2)
    tensor([[0, 0, 1],
            [0, 1, 1]])
    """
    return _triangle(np.triu_indices, row, col, offset, dtype)
