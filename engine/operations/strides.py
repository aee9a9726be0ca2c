"""Views made by strides, and copies with a part replaced."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..batching import zeros
from ..errors import normal_dim
from ..registry import Array, composite, operation
from ..registry.samples import each, on, real
from ..tensors.tensor import Tensor
from .batches import room_for
from .diagonal import diagonal
from .indexing import index_by
from .shape import select

Shape = Sequence[int]


def _owner(array: Array) -> Array:
    """The array whose memory *array* is a view of."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


def _start(array: Array) -> int:
    """How many bytes into its owner's memory *array* starts."""
    addresses = [int(a.__array_interface__["data"][0]) for a in (array, _owner(array))]
    return addresses[0] - addresses[1]


def _over_memory(array: Array, shape: Shape, strides: Shape, offset: int) -> Array:
    """The view of *shape* and *strides* that starts at *offset* of the memory *array* lies in; all in bytes."""
    owner = _owner(array)
    if not owner.flags.forc:  # memory that came from outside, with gaps: reached from the array itself
        found = np.lib.stride_tricks.as_strided(array, shape, strides)
    else:
        found = np.ndarray(tuple(shape), array.dtype, owner, offset, tuple(strides))
        found.flags.writeable = array.flags.writeable
    return found


@operation(
    lambda g, input_shape, dimension, size, step: unfold_zeros(g, input_shape, dimension, size, step),
    view=True,
    node_name="UnfoldBackward0",
    samples=each(on(real(5), 0, 2, 2), on(real(3, 5), 1, 3, 1), on(real(4, 2), 0, 2, 1)),
)
def unfold(input: Array, dimension: int, size: int, step: int) -> Array:
    """A view of all slices of length *size* along *dimension*, each *step* after the last, in a new last dimension.

    >>> import allgrad as torch
    >>> torch.arange(5).unfold(0, 2, 2)
    tensor([[0, 1],
            [2, 3]])
    """
    d = normal_dim(dimension, input.ndim)
    length = input.shape[d] if input.ndim else 1
    if not 0 <= size <= length:
        raise RuntimeError(f"maximum size for tensor at dimension {dimension} is {length} but size is {size}")
    if step <= 0:
        raise RuntimeError(f"step is {step} but must be > 0")
    if not input.ndim:
        return input.reshape(1)[:size]
    shape, strides = list(input.shape), list(input.strides)
    shape[d], strides[d] = (length - size) // step + 1, strides[d] * step
    return _over_memory(input, [*shape, size], [*strides, input.strides[d]], _start(input))


@operation(
    lambda g, dimension, size, step: unfold(g, dimension, size, step),
    public=False,
    samples=on(real(3, 2, 3), (3, 5), 1, 3, 2),
)
def unfold_zeros(g: Array, shape: tuple[int, ...], dimension: int, size: int, step: int) -> Array:
    """Zeros of *shape* with the slices *g* added where ``unfold`` took them."""
    result = zeros(shape, g)
    if not shape:
        result[...] = g.sum()
        return result
    along = np.moveaxis(result, dimension, -1)
    slices = np.moveaxis(g, dimension % len(shape), -2)
    for i in range(size):
        along[..., i : i + step * slices.shape[-2] : step] += slices[..., i]
    return result


@operation(
    lambda g, input_shape, places: added_at(g, input_shape, places),
    view=True,
    node_name="AsStridedBackward0",
    public=False,
    samples=on(real(2, 3), (2, 2), (8, 16), 8, (1,), np.array([[1, 3], [2, 4]])),
)
def strided(
    input: Array, size: Shape, strides: Shape, offset: int, layout: tuple[int, ...], places: Any
) -> Array:  # fmt: skip
    """The view of the memory of an input whose strides are *layout*; of another layout, a copy of its *places*.

    *places* are the elements of input, flattened, that the view shows: -1 for memory between them.
    """
    if input.strides == layout:
        return _over_memory(input, size, strides, offset)
    return _taken(input, places)


@operation(
    lambda g, places: taken_at(g, places), public=False, samples=on(real(2, 2), (2, 3), np.array([[1, 2], [2, -1]]))
)
def added_at(g: Array, shape: tuple[int, ...], places: Any) -> Array:
    """Zeros of *shape* with *g* added at the flat *places*, where those are not -1."""
    flat = zeros((math.prod(shape) + 1,), g)
    np.add.at(flat, places, g)
    return flat[:-1].reshape(shape)


@operation(
    lambda g, input_shape, places: added_at(g, input_shape, places),
    public=False,
    samples=on(real(2, 3), np.array([[1, 2], [2, -1]])),
)
def taken_at(input: Array, places: Any) -> Array:
    """The elements of input, flattened, at *places*; 0 for -1."""
    return _taken(input, places)


def _taken(input: Array, places: Any) -> Array:
    return np.append(input, np.zeros(1, input.dtype))[places]


def _in_memory(shape: Shape, strides: Shape) -> Array:
    """How far from the first each element of a layout lies, in the unit of *strides*."""
    steps = [np.arange(n) * s for n, s in zip(shape, strides, strict=True)]
    total = np.zeros((), np.int64)
    for step in steps:
        total = total[..., None] + step
    return total


@composite()
def as_strided(input: Tensor, size: Shape, stride: Shape, storage_offset: int | None = None) -> Tensor:
    """The view of *size* whose neighbours lie *stride* elements apart in memory, from *storage_offset* on.

    Counted from the start of the memory that input lies in; without it, from where input starts. Elements may overlap.

    >>> import allgrad as torch
    >>> torch.arange(4).as_strided((3, 2), (1, 1))
    tensor([[0, 1],
            [1, 2],
            [2, 3]])
    """
    array = input._array
    if len(size) != len(stride):
        raise RuntimeError("mismatch in length of strides and shape")
    if any(s < 0 for s in stride):
        raise RuntimeError(f"as_strided: Negative strides are not supported at the moment, got strides: {list(stride)}")
    item, start = array.itemsize, _start(array)
    offset = start if storage_offset is None else storage_offset * item
    shown = _in_memory(size, [s * item for s in stride]) + offset
    owner = _owner(array)
    if shown.size and (offset < 0 or int(shown.max()) + item > owner.nbytes):
        raise RuntimeError(
            f"setStorage: sizes {list(size)}, strides {list(stride)}, storage offset {offset // item}, and itemsize {item} "
            f"requiring a storage size of {int(shown.max()) + item} are out of bounds for storage of size {owner.nbytes}"
        )
    places = _places(array, shown)
    outer = input._view
    if outer is not None and outer.base._array.itemsize == item and (places < 0).any():
        input, places = outer.base, _places(outer.base._array, shown)  # it reaches beyond this view of it
    return strided(input, tuple(size), tuple(s * item for s in stride), offset, input._array.strides, places)


def _places(array: Array, shown: Array) -> Array:
    """Which elements of *array*, flattened, lie *shown* bytes into its memory; -1 where none does."""
    if not array.size:
        return np.full(shown.shape, -1)
    lies = (_in_memory(array.shape, array.strides) + _start(array)).reshape(-1)
    order = np.argsort(lies)
    found = order[np.searchsorted(lies, shown, sorter=order).clip(max=array.size - 1)]
    return np.where(lies[found] == shown, found, -1)


def _with_part(name: str, input: Tensor, part: Callable[[Tensor], Tensor], src: Tensor) -> Tensor:
    """A copy of input whose *part*, a view of it, is overwritten with *src*."""
    whole = room_for(input, src)
    view = part(whole)
    if view._array.shape != src._array.shape:
        raise RuntimeError(
            f"{name}: expected src to have a size equal to the slice of self. src size = {list(src.shape)}, "
            f"slice size = {list(view.shape)}"
        )
    view.copy_(src)
    return whole


@composite(out=True)
def as_strided_scatter(
    input: Tensor, src: Tensor, size: Shape, stride: Shape, storage_offset: int | None = None
) -> Tensor:
    """A copy of input with *src* where ``as_strided`` would look.

    >>> import allgrad as torch
    >>> torch.as_strided_scatter(torch.zeros(2, 2), torch.ones(2), (2,), (3,))
    tensor([[1., 0.],
            [0., 1.]])
    """
    return _with_part("as_strided_scatter", input, lambda whole: as_strided(whole, size, stride, storage_offset), src)


@composite(out=True, samples=each(on(real(3, 4), real(3)), on(real(2, 3, 3), real(2, 3), 0, 1, 2)))
def diagonal_scatter(input: Tensor, src: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    """A copy of input with *src* on the diagonals that ``diagonal`` would show.

    >>> import allgrad as torch
    >>> torch.diagonal_scatter(torch.zeros(2, 2), torch.ones(2))
    tensor([[1., 0.],
            [0., 1.]])
    """
    return _with_part("diagonal_scatter", input, lambda whole: diagonal(whole, offset, dim1, dim2), src)


@composite(out=True, samples=on(real(3, 4), real(3), 1, 2))
def select_scatter(input: Tensor, src: Tensor, dim: int, index: int) -> Tensor:
    """A copy of input with *src* at *index* along *dim*."""
    return _with_part("select_scatter", input, lambda whole: select(whole, dim, index), src)


@composite(out=True, samples=each(on(real(4, 3), real(2, 3), 0, 1, 3), on(real(5), real(3), step=2)))
def slice_scatter(
    input: Tensor, src: Tensor, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1
) -> Tensor:
    """A copy of input with *src* at the entries *start* to *end* along *dim*, every *step*-th.

    >>> import allgrad as torch
    >>> torch.slice_scatter(torch.zeros(4), torch.ones(2), step=2)
    tensor([1., 0., 1., 0.])
    """
    d = normal_dim(dim, input._array.ndim)
    index = (slice(None),) * d + (slice(start, end, step),)
    return _with_part("slice_scatter", input, lambda whole: index_by(whole, index), src)
