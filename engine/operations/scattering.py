"""Writing by index: adding, copying, filling and reducing into places, and taking from flat places."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import normal_dim
from ..registry import composite
from ..registry.samples import each, on, real, truth
from ..tensors.tensor import Tensor
from .arithmetic import mul, plus
from .indexing import index_by, index_put_by, index_zeros, shape_at
from .shape import expand, reshape

THREE = np.array([0, 2, 2])


def _vector_index(name: str, input: Tensor, dim: int, index: Any) -> tuple[Tensor, tuple[Any, ...]]:
    """input with at least one dimension, and the plain subscript that takes *index* along *dim*."""
    array = index._array if isinstance(index, Tensor) else np.asarray(index)
    if array.dtype.kind not in "iu":
        raise RuntimeError(f"{name}(): Expected dtype int32/int64 for index, found {array.dtype}")
    if array.ndim > 1:
        raise IndexError(f"{name}(): Index is supposed to be a vector, but got dim: {array.ndim}")
    d = normal_dim(dim, input._array.ndim)
    whole_input = input if input._array.ndim else reshape(input, (1,))
    length = whole_input._array.shape[d]
    lowest = 0 if name == "index_add" else -length
    if array.size and (array.min() < lowest or array.max() >= length):
        bad = int(array.max() if array.max() >= length else array.min())
        error = RuntimeError if name == "index_add" else IndexError
        raise error(f"{name}(): index {bad} is out of bounds for dimension {dim} with size {length}")
    return whole_input, (slice(None),) * d + (array.reshape(-1),)


def _check_source(name: str, target: Tensor, plain: tuple[Any, ...], source: Tensor) -> Tensor:
    """*source* in the shape of what *plain* takes, if it fits."""
    shape = list(target._array.shape)
    shape[len(plain) - 1] = plain[-1].size
    if source._array.dtype != target._array.dtype:
        raise RuntimeError(
            f"{name}(): self and source expected to have the same dtype, but got (self) {target.dtype} and (source) {source.dtype}"
        )
    if source._array.size != int(np.prod(shape)) or (source._array.ndim and source._array.shape != tuple(shape)):
        raise RuntimeError(f"{name}(): source of shape {list(source.shape)} does not fit the places, of shape {shape}")
    return reshape(source, tuple(shape))


@composite(
    out=True,
    inplace=True,
    samples=each(on(real(4, 3), 0, THREE, real(3, 3)), on(real(4), 0, THREE, real(3), alpha=2.0)),
)
def index_add(input: Tensor, dim: int, index: Any, source: Tensor, *, alpha: Any = 1) -> Tensor:
    """A copy of input with *alpha* · *source* added to the slices at *index* (a vector) along *dim*.

    >>> import allgrad as torch
    >>> torch.zeros(3).index_add(0, torch.tensor([0, 2, 2]), torch.ones(3))
    tensor([1., 0., 2.])
    """
    target, plain = _vector_index("index_add", input, dim, index)
    addend = _check_source("index_add", target, plain, source)
    total = index_zeros(addend if alpha == 1 else mul(addend, alpha), target._array.shape, plain)
    return plus(input, reshape(total, input._array.shape))


@composite(
    out=True, inplace=True, samples=each(on(real(4, 3), 1, np.array([2, 0]), real(4, 2)), on(real(4), 0, 1, real()))
)
def index_copy(input: Tensor, dim: int, index: Any, source: Tensor) -> Tensor:
    """A copy of input with its slices at *index* (a vector) along *dim* replaced by those of *source*.

    >>> import allgrad as torch
    >>> torch.zeros(3).index_copy(0, torch.tensor([2]), torch.ones(1))
    tensor([0., 0., 1.])
    """
    target, plain = _vector_index("index_copy", input, dim, index)
    written = index_put_by(target, _check_source("index_copy", target, plain, source), plain)
    return reshape(written, input._array.shape)


@composite(out=True, inplace=True, samples=each(on(real(4, 3), 1, np.array([2, 0]), 1.5), on(real(4), 0, 1, real())))
def index_fill(input: Tensor, dim: int, index: Any, value: Any) -> Tensor:
    """A copy of input with *value*, a number or 0-d tensor, in its slices at *index* (a vector) along *dim*.

    >>> import allgrad as torch
    >>> torch.zeros(3).index_fill(0, torch.tensor([0, 2]), 7.)
    tensor([7., 0., 7.])
    """
    target, plain = _vector_index("index_fill", input, dim, index)
    if not isinstance(value, Tensor):
        value = Tensor._wrap(np.asarray(value).astype(input._array.dtype))
    elif value._array.ndim:
        raise RuntimeError(
            f"index_fill_ only supports a 0-dimensional value tensor, but got tensor with {value._array.ndim} dimension(s)."
        )
    written = index_put_by(target, value.to(input.dtype), plain)
    return reshape(written, input._array.shape)


@composite(
    out=True,
    inplace=True,
    samples=each(
        on(real(4, 3), [np.array([1, 0]), np.array([2, 2])], real(2)),
        on(real(4, 3), [np.array([1, 1])], real(3), True),
        on(real(4), [np.array([True, False, True, False])], real(2)),
    ),
)
def index_put(input: Tensor, indices: Sequence[Any], values: Tensor, accumulate: builtins.bool = False) -> Tensor:
    """A copy of input with *values* put (or added, if *accumulate*) where the subscript *indices* points to.

    >>> import allgrad as torch
    >>> torch.zeros(2, 2).index_put((torch.tensor([0]), torch.tensor([1])), torch.tensor(5.))
    tensor([[0., 5.],
            [0., 0.]])
    """
    if values._array.dtype != input._array.dtype:
        raise RuntimeError(
            f"Index put requires the source and destination dtypes match, got {input.dtype} for the destination and "
            f"{values.dtype} for the source."
        )
    plain = tuple(slice(None) if i is None else i._array if isinstance(i, Tensor) else np.asarray(i) for i in indices)
    if not accumulate:
        return index_put_by(input, values, plain)
    shape = shape_at(input._array, plain)
    return plus(input, index_zeros(expand(values, shape), input._array.shape, plain))


@composite(out=True, samples=each(on(real(3, 4), np.array([[0, 5], [11, 5]]))))
def take(input: Tensor, index: Tensor) -> Tensor:
    """The elements of input, flattened, at *index* (int64): of its shape.

    >>> import allgrad as torch
    >>> torch.take(torch.tensor([[1, 2], [3, 4]]), torch.tensor([0, 3]))
    tensor([1, 4])
    """
    if index._array.dtype != np.int64:
        raise RuntimeError(f"take(): Expected a long tensor for index, but got {index.dtype}")
    return index_by(reshape(input, (-1,)), (index._array,))


@composite(
    out=True,
    inplace=True,
    samples=each(on(real(3, 4), np.array([0, 5]), real(2)), on(real(3, 4), np.array([[1, 1]]), real(1, 2), True)),
)
def put(input: Tensor, index: Tensor, source: Tensor, accumulate: builtins.bool = False) -> Tensor:
    """A copy of input with *source* put (or added, if *accumulate*) at *index* (int64) among its elements, flattened.

    >>> import allgrad as torch
    >>> torch.tensor([1, 2, 3]).put(torch.tensor([1]), torch.tensor([9]))
    tensor([1, 9, 3])
    """
    if index._array.size != source._array.size:
        raise IndexError(
            f"put_(): Expected source and index to have the same number of elements, but got source.numel() = "
            f"{source._array.size}, index.numel() = {index._array.size}"
        )
    flat = index_put(reshape(input, (-1,)), (reshape(index, (-1,)),), reshape(source, (-1,)), accumulate)
    return reshape(flat, input._array.shape)


@composite(
    out=True, inplace=True, samples=each(on(real(3, 4), truth(3, 4), real(12)), on(real(3, 4), truth(4), real(3, 4)))
)
def masked_scatter(input: Tensor, mask: Tensor, source: Tensor) -> Tensor:
    """A copy of input with the first elements of *source*, in order, where *mask* holds.

    >>> import allgrad as torch
    >>> torch.zeros(3).masked_scatter(torch.tensor([True, False, True]), torch.tensor([1., 2.]))
    tensor([1., 0., 2.])
    """
    if mask._array.dtype != np.bool_:
        raise RuntimeError(f"masked_scatter_ only supports boolean masks, but got mask with dtype {mask.dtype}")
    if source._array.dtype != input._array.dtype:
        raise RuntimeError(
            f"masked_scatter: expected self and source to have same dtypes but got {input.dtype} and {source.dtype}"
        )
    shape = np.broadcast_shapes(input._array.shape, mask._array.shape)
    places = np.broadcast_to(mask._array, shape)
    count = int(places.sum())
    if count > source._array.size:
        raise RuntimeError(f"Number of elements of source < number of ones in mask: {source._array.size} < {count}")
    values = index_by(reshape(source, (-1,)), (slice(0, count),))
    return index_put_by(expand(input, shape), values, (places,))
