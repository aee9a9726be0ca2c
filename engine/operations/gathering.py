"""Gathering along a dimension by index, and scattering back."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..batching import zeros
from ..errors import normal_dim
from ..registry import Array, Index, composite, operation
from ..registry.samples import each, on, real, whole
from ..tensors.tensor import Tensor
from .indexing import index_by


@operation(
    lambda g, input_shape, dim, index: scatter_zeros(g, index, input_shape, dim),
    samples=each(on(real(3, 4), 1, whole(3, 2, below=4)), on(real(3, 4), 0, whole(2, 4, below=3))),
)
def gather(input: Array, dim: int, index: Index) -> Array:
    """The elements of input at *index* (int64, as many dimensions as input) along *dim*.

    >>> import allgrad as torch
    >>> torch.gather(torch.tensor([[1, 2], [3, 4]]), 1, torch.tensor([[0], [1]]))
    tensor([[1],
            [4]])
    """
    if index.size and index.dtype not in (np.int64, np.int32):
        raise RuntimeError(f"gather(): Expected dtype int32/int64 for index, found {index.dtype}")
    if not index.size:  # PyTorch does not look at the shape of an index that gathers nothing
        return np.empty(index.shape, input.dtype)
    if not input.ndim and index.ndim == 1:
        input = input.reshape(1)
    if index.ndim != input.ndim:
        raise RuntimeError(
            "Index tensor must have the same number of dimensions as input tensor: "
            f"index {list(index.shape)}, input {list(input.shape)}"
        )
    if not input.ndim:
        return input.copy()
    return input[places_along(index, normal_dim(dim, input.ndim), input.shape)]


def places_along(index: Array, dim: int, shape: tuple[int, ...]) -> tuple[Any, ...]:
    """The advanced index that takes *index* along *dim* and each other position as it is."""
    length = shape[dim]
    if index.size and (index.min() < 0 or index.max() >= length):
        bad = int(index.min() if index.min() < 0 else index.max())
        raise RuntimeError(f"index {bad} is out of bounds for dimension {dim} with size {length}")
    grids = np.ogrid[tuple(slice(n) for n in index.shape)]
    return tuple(index if d == dim else grid for d, grid in enumerate(grids))


@operation(
    lambda g, index, dim: gather(g, dim, index),
    public=False,
    samples=on(real(3, 2), whole(3, 2, below=4), (3, 4), 1),
)
def scatter_zeros(g: Array, index: Index, shape: tuple[int, ...], dim: int) -> Array:
    """Zeros of *shape* with *g* added at *index* along *dim*: what ``gather`` sends back."""
    result = zeros(shape, g)
    if not shape:
        result[...] = g.sum()
        return result
    if not index.size:
        return result
    np.add.at(result, places_along(index, normal_dim(dim, len(shape)), shape), g)
    return result


def part_of(src: Any, index: Any) -> Any:
    """The part of *src* that *index* uses: as much of each dimension as *index* has."""
    shape = index._array.shape
    if src._array.shape == shape:
        return src
    if src._array.ndim != len(shape) or any(n > m for n, m in zip(shape, src._array.shape, strict=True)):
        raise RuntimeError(f"Expected index {list(shape)} to be no larger than src {list(src.shape)} in any dimension")
    return index_by(src, tuple(map(slice, shape)))


@operation(
    lambda g: g,
    None,
    lambda g, index, dim: gather(g, dim, index),
    public=False,
    node_name="ScatterAddBackward0",
    samples=on(real(3, 4), 1, whole(3, 2, below=4), real(3, 2)),
)
def scatter_add_same(input: Array, dim: int, index: Index, src: Array) -> Array:
    """A copy of input with *src*, of the shape of *index*, added at *index* along *dim*."""
    result = input.copy()
    np.add.at(result, places_along(index, normal_dim(dim, input.ndim), input.shape), src)
    return result


@composite(
    out=True,
    inplace=True,
    samples=each(on(real(3, 4), 1, whole(3, 2, below=4), real(3, 3)), on(real(), 0, np.array(0), real())),
)
def scatter_add(input: Tensor, dim: int, index: Tensor, src: Tensor) -> Tensor:
    """A copy of input with *src* added at *index* along *dim*.

    >>> import allgrad as torch
    >>> torch.zeros(3).scatter_add(0, torch.tensor([0, 2, 2]), torch.ones(3))
    tensor([1., 0., 2.])
    """
    return _scattered(scatter_add_same, input, dim, index, src)


def _scattered(way: Any, input: Tensor, dim: int, index: Tensor, src: Tensor) -> Tensor:
    if index._array.dtype not in (np.int64, np.int32):
        raise RuntimeError(f"scatter(): Expected dtype int32/int64 for index, found {index.dtype}")
    if src._array.dtype != input._array.dtype:
        raise RuntimeError(
            f"scatter(): Expected self.dtype to be equal to src.dtype, found {input.dtype} and {src.dtype}"
        )
    if input._array.ndim:
        return way(input, dim, index, part_of(src, index))
    normal_dim(dim, 0)
    return way(input.reshape(1), 0, index.reshape(1), src.reshape(1)).reshape(())


@operation(
    lambda g, index, dim: _zero_along(g, dim, index),
    None,
    lambda g, index, dim: gather(g, dim, index),
    public=False,
    node_name="ScatterBackward0",
    samples=on(real(3, 4), 1, np.array([[0, 2], [1, 3], [2, 0]]), real(3, 2)),
)
def scatter_tensor(input: Array, dim: int, index: Index, src: Array) -> Array:
    """A copy of input with *src*, of the shape of *index*, put at *index* along *dim*."""
    result = input.copy()
    if index.size:
        result[places_along(index, normal_dim(dim, input.ndim), input.shape)] = src
    return result


def _zero_along(g: Any, dim: int, index: Any) -> Any:
    return scatter_tensor(g, dim, index, np.zeros_like(gather(g, dim, index)))


@composite(
    out=True,
    inplace=True,
    samples=each(on(real(3, 4), 1, np.array([[0, 2], [1, 3], [2, 0]]), 1.5), on(real(), 0, np.array(0), real())),
)
def scatter(
    input: Tensor, dim: int, index: Tensor, src: Any = None, reduce: str | None = None, *, value: Any = None
) -> Tensor:
    """A copy of input with *src*, a tensor or number, put at *index* along *dim*.

    *reduce* "add" or "multiply" combines it with what stood there instead.

    >>> import allgrad as torch
    >>> torch.zeros(3).scatter(0, torch.tensor([2]), 1.5)
    tensor([0.0000, 0.0000, 1.5000])
    """
    source = value if src is None else src
    if not isinstance(source, Tensor):
        source = Tensor._wrap(np.full(index._array.shape, source, dtype=input._array.dtype))
    if reduce is None:
        return _scattered(scatter_tensor, input, dim, index, source)
    from .scatter_reductions import scatter_product

    if reduce not in ("add", "multiply"):
        raise RuntimeError("reduce argument must be either add or multiply.")
    if reduce == "add":
        return _scattered(scatter_add_same, input, dim, index, source)
    return _scattered(lambda x, d, i, s: scatter_product(x, d, i, s, True), input, dim, index, source)


@composite(out=True, samples=on(real(3, 4), np.array([[0, 1]]), 1))
def take_along_dim(input: Tensor, indices: Any, dim: int | None = None) -> Tensor:
    """The elements of input at *indices*, broadcast against it, along *dim* (flattened for None)."""
    array = indices._array if isinstance(indices, Tensor) else np.asarray(indices)
    if dim is None:
        return gather(input.reshape(-1), 0, Tensor._wrap(array.reshape(-1)))
    d = normal_dim(dim, input._array.ndim)
    length = input._array.shape[d] if input._array.ndim else 1
    array = np.where(array < 0, array + length, array)
    shape = list(np.broadcast_shapes(tuple(1 if i == d else n for i, n in enumerate(input._array.shape)),
                                     tuple(1 if i == d else n for i, n in enumerate(array.shape))))  # fmt: skip
    shape[d] = array.shape[d]
    wide = Tensor._wrap(np.broadcast_to(array, shape))
    shape[d] = input._array.shape[d]
    return gather(input.expand(tuple(shape)), d, wide)
