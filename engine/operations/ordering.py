"""Putting elements in order."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import normal_dim
from ..registry import Array, composite, operation
from ..registry.samples import each, on, real
from ..tensors.tensor import Tensor
from .extremes import ValuesAndIndices
from .gathering import scatter_zeros


@operation(
    lambda g, y1, input_shape, dim: scatter_zeros(g[0], y1, input_shape, dim),
    node_name="SortBackward0",
    outputs=ValuesAndIndices,
    public=False,
    samples=each(on(real(3, 4), 1, False), on(real(5), 0, True)),
    refuses="c",
)
def sort_along(input: Array, dim: int, descending: bool) -> tuple[Array, Array]:
    """The elements in order along *dim*, and where they were; equal ones keep their order."""
    if not input.ndim:
        return input.copy(), np.zeros((), np.int64)
    indices = np.argsort(np.flip(input, dim) if descending else input, axis=dim, kind="stable")
    if descending:
        indices = input.shape[dim] - 1 - np.flip(indices, dim)
    return np.take_along_axis(input, indices, dim), indices


@composite(out=True, samples=on(real(3, 4)))
def sort(input: Tensor, dim: int = -1, descending: bool = False, stable: bool = False) -> Any:
    """The pair (values, indices) of the elements in order along *dim*; always stable."""
    return sort_along(input, dim, descending)


@composite(out=True)
def argsort(input: Tensor, dim: int = -1, descending: bool = False, stable: bool = False) -> Tensor:
    """Where the elements in order along *dim* were."""
    found: Tensor = sort(input, dim, descending).indices
    return found


@composite(out=True, samples=on(real(3, 5), 2))
def topk(input: Tensor, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> Any:
    """The pair (values, indices) of the *k* greatest (or least) elements along *dim*, in order."""
    length = input._array.shape[normal_dim(dim, input._array.ndim)] if input._array.ndim else 1
    if not 0 <= k <= length:
        raise RuntimeError(f"selected index k out of range: {k} of {length} elements along dimension {dim}")
    values, indices = sort_along(input, dim, largest)
    if not input._array.ndim:
        return ValuesAndIndices(
            values[None][:k].reshape(() if k else (0,)), indices[None][:k].reshape(() if k else (0,))
        )
    return ValuesAndIndices(values.narrow(dim, 0, k), indices.narrow(dim, 0, k))
