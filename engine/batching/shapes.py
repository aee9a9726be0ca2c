"""NumPy's functions that only move elements, on batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index, normalize_axis_tuple

from .array import Batched, Unbatchable, completed, ndim_of, raised, sizes_of, wrap


def _batch(a: Any) -> Batched:
    """*a*, which is a batch; Unbatchable where it is not."""
    if not isinstance(a, Batched):
        raise Unbatchable("another argument than the first is a batch")
    return a


def _front(a: Batched) -> tuple[int, ...]:
    return tuple(range(len(a.levels)))


def reshape(a: Any, /, shape: Any, order: Any = "C", *, copy: bool | None = None) -> Any:
    """``np.reshape`` of every example."""
    sizes = (shape,) if isinstance(shape, (int, np.integer)) else tuple(shape)
    return _batch(a).reshape(sizes, order=order, copy=copy)


def ravel(a: Any, order: Any = "C") -> Any:
    """``np.ravel`` of every example."""
    return _batch(a).reshape(-1, order=order)


def transpose(a: Any, axes: Any = None) -> Any:
    """``np.transpose`` of every example."""
    a, k = _batch(a), len(a.levels)
    order = range(a.ndim)[::-1] if axes is None else normalize_axis_tuple(axes, a.ndim)
    if len(order) != a.ndim:
        raise ValueError("axes don't match array")
    return Batched(a.values.transpose((*_front(a), *(d + k for d in order))), a.levels)


def swapaxes(a: Any, axis1: int, axis2: int) -> Any:
    """``np.swapaxes`` of every example."""
    a, k = _batch(a), len(a.levels)
    first, second = normalize_axis_index(axis1, a.ndim), normalize_axis_index(axis2, a.ndim)
    return Batched(a.values.swapaxes(first + k, second + k), a.levels)


def moveaxis(a: Any, source: Any, destination: Any) -> Any:
    """``np.moveaxis`` of every example."""
    a, k = _batch(a), len(a.levels)
    origins, targets = (tuple(d + k for d in normalize_axis_tuple(x, a.ndim)) for x in (source, destination))
    return Batched(np.moveaxis(a.values, origins, targets), a.levels)


def expand_dims(a: Any, axis: Any) -> Any:
    """``np.expand_dims`` of every example."""
    a, k = _batch(a), len(a.levels)
    count = 1 if isinstance(axis, (int, np.integer)) else len(axis)
    axes = normalize_axis_tuple(axis, a.ndim + count)
    return Batched(np.expand_dims(a.values, tuple(d + k for d in axes)), a.levels)


def squeeze(a: Any, axis: Any = None) -> Any:
    """``np.squeeze`` of every example."""
    a, k = _batch(a), len(a.levels)
    axes = [d for d, n in enumerate(a.shape) if n == 1] if axis is None else normalize_axis_tuple(axis, a.ndim)
    return Batched(a.values.squeeze(tuple(d + k for d in axes)), a.levels)


def broadcast_to(array: Any, shape: Any, subok: bool = False) -> Any:
    """``np.broadcast_to`` of every example."""
    a = _batch(array)
    sizes = (shape,) if isinstance(shape, (int, np.integer)) else tuple(shape)
    if a.ndim > len(sizes):
        raise ValueError("input operand has more dimensions than allowed by the axis remapping")
    wide = raised(a, a.levels, len(sizes))
    return Batched(np.broadcast_to(wide, (*wide.shape[: len(a.levels)], *sizes)), a.levels)


def broadcast_arrays(*arrays: Any, subok: bool = False) -> tuple[Any, ...]:
    """``np.broadcast_arrays`` of every example."""
    shape = np.broadcast_shapes(*(np.shape(a) for a in arrays))
    return tuple(np.broadcast_to(a, shape) for a in arrays)


def _full(arrays: Sequence[Any]) -> tuple[list[Any], tuple[int, ...]]:
    sizes = sizes_of(list(arrays))
    return [completed(a, sizes) for a in arrays], tuple(sizes)


def concatenate(arrays: Any, axis: Any = 0, out: Any = None, **options: Any) -> Any:
    """``np.concatenate`` of every example."""
    if axis is None or out is not None:
        raise Unbatchable("np.concatenate of flat arrays, or into one")
    arrays = [a if isinstance(a, Batched) else np.asarray(a) for a in arrays]
    axis = normalize_axis_index(axis, arrays[0].ndim)
    values, levels = _full(arrays)
    return wrap(np.concatenate(values, axis + len(levels), **options), levels)


def stack(arrays: Any, axis: int = 0, out: Any = None, **options: Any) -> Any:
    """``np.stack`` of every example."""
    if out is not None:
        raise Unbatchable("np.stack into an array")
    axis = normalize_axis_index(axis, ndim_of(arrays[0]) + 1)
    values, levels = _full(arrays)
    return wrap(np.stack(values, axis + len(levels), **options), levels)


def append(arr: Any, values: Any, axis: int | None = None) -> Any:
    """``np.append`` of every example."""
    if axis is None:
        arr, values, axis = np.ravel(arr), np.ravel(values), 0
    return np.concatenate((arr, values), axis)


def roll(a: Any, shift: Any, axis: Any = None) -> Any:
    """``np.roll`` of every example."""
    a, k = _batch(a), len(a.levels)
    if axis is None:
        return np.reshape(roll(np.reshape(a, -1), shift, 0), a.shape)
    return Batched(np.roll(a.values, shift, tuple(d + k for d in _each(axis, a.ndim))), a.levels)


def _each(axis: Any, ndim: int) -> tuple[int, ...]:
    """The axes counted from the front, one perhaps several times."""
    listed = (axis,) if isinstance(axis, (int, np.integer)) else axis
    return tuple(normalize_axis_index(int(d), ndim) for d in listed)


def rot90(m: Any, k: int = 1, axes: Any = (0, 1)) -> Any:
    """``np.rot90`` of every example."""
    m, by = _batch(m), len(m.levels)
    return Batched(np.rot90(m.values, k, tuple(d % m.ndim + by for d in axes)), m.levels)


def tile(A: Any, reps: Any) -> Any:  # noqa: N803 -- NumPy's name
    """``np.tile`` of every example."""
    a = _batch(A)
    counts = (reps,) if isinstance(reps, (int, np.integer)) else tuple(reps)
    counts = (1,) * (a.ndim - len(counts)) + counts
    wide = raised(a, a.levels, len(counts))
    return Batched(np.tile(wide, (*(1 for _ in a.levels), *counts)), a.levels)


def pad(array: Any, pad_width: Any, mode: Any = "constant", **options: Any) -> Any:
    """``np.pad`` of every example."""
    a = _batch(array)
    widths = np.broadcast_to(np.asarray(pad_width), (a.ndim, 2)).tolist()
    return Batched(np.pad(a.values, [(0, 0)] * len(a.levels) + widths, mode, **options), a.levels)


def diagonal(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    """``np.diagonal`` of every example."""
    a, k = _batch(a), len(a.levels)
    first, second = normalize_axis_index(axis1, a.ndim), normalize_axis_index(axis2, a.ndim)
    return Batched(a.values.diagonal(offset, first + k, second + k), a.levels)


def trace(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1, dtype: Any = None, out: Any = None) -> Any:
    """``np.trace`` of every example."""
    return np.sum(diagonal(a, offset, axis1, axis2), axis=-1, dtype=dtype)


def take(a: Any, indices: Any, axis: int | None = None, out: Any = None, mode: str = "raise") -> Any:
    """``np.take`` of every example."""
    if out is not None or mode != "raise":
        raise Unbatchable("np.take in this form")
    a = a if isinstance(a, Batched) else Batched(np.asarray(a), ())
    if axis is None:
        return a.reshape(-1)[indices]
    chosen = indices if isinstance(indices, Batched) else np.asarray(indices)
    return a[(slice(None),) * normalize_axis_index(axis, a.ndim) + (chosen,)]


def take_along_axis(arr: Any, indices: Any, axis: int | None = -1) -> Any:
    """``np.take_along_axis`` of every example."""
    if axis is None:
        raise Unbatchable("np.take_along_axis of a flat array")
    (values, places), levels = _full((arr, indices))
    return wrap(np.take_along_axis(values, places, _behind(axis, ndim_of(arr))), levels)


def put_along_axis(arr: Any, indices: Any, values: Any, axis: int | None) -> None:
    """``np.put_along_axis`` of every example."""
    if axis is None or not isinstance(arr, Batched) or not arr.widen(sizes_of([indices, values])):
        raise TypeError("np.put_along_axis of a batch into one array")
    levels = arr.levels
    rank = ndim_of(arr)
    places = completed(indices, sizes_of([arr]))
    np.put_along_axis(arr.values, places, raised(values, levels, rank), _behind(axis, rank))


def _behind(axis: int, ndim: int) -> int:
    """*axis* counted from the end."""
    return normalize_axis_index(axis, ndim) - ndim


def atleast(rank: int) -> Callable[..., Any]:
    """``np.atleast_1d`` for a *rank* of 1 and so on, of every example."""

    def batched(*arrays: Any) -> Any:
        if rank > 2:
            raise Unbatchable("np.atleast_3d adds dimensions at both ends")
        made = tuple(Batched(raised(_batch(a), a.levels, rank), a.levels) for a in arrays)
        return made[0] if len(made) == 1 else made

    return batched


FUNCTIONS: dict[Any, Callable[..., Any]] = {
    np.reshape: reshape, np.ravel: ravel, np.transpose: transpose, np.swapaxes: swapaxes, np.moveaxis: moveaxis,
    np.expand_dims: expand_dims, np.squeeze: squeeze, np.broadcast_to: broadcast_to,
    np.broadcast_arrays: broadcast_arrays, np.concatenate: concatenate, np.stack: stack, np.append: append,
    np.roll: roll, np.rot90: rot90, np.tile: tile, np.pad: pad, np.diagonal: diagonal, np.trace: trace, np.take: take,
    np.take_along_axis: take_along_axis, np.put_along_axis: put_along_axis,
    np.atleast_1d: atleast(1), np.atleast_2d: atleast(2),
}  # fmt: skip
