"""Subscripts of batches: a whole number, slice or array of each example, read, written and added to."""

from __future__ import annotations

from typing import Any

import numpy as np

from .array import Batched, Unbatchable, levels_of, ndim_of, raised, sizes_of, wrap
from .ufuncs import NotVmapped


def get(a: Batched, index: Any) -> Any:
    """``a[index]`` of every example."""
    items = _items(index)
    if not _has_arrays(items):
        return wrap(a.values[(*(slice(None) for _ in a.levels), *items)], a.levels)
    places = _Places(a, items)
    return wrap(places.seen(a.values[places.subscript]), places.levels)


def put(a: Batched, index: Any, value: Any) -> None:
    """``a[index] = value`` for every example; NotVmapped if only the value or the index has examples."""
    items = _items(index)
    if not a.widen(sizes_of([items, value])):
        raise NotVmapped
    if len(items) == 1 and isinstance(items[0], Batched) and items[0].dtype == np.bool_ and not ndim_of(value):
        mask = items[0].reshape(items[0].shape + (1,) * (a.ndim - items[0].ndim))
        _where(a, value, mask)
        return
    if not _has_arrays(items):
        rest = () if any(item is Ellipsis for item in items) else (...,)
        place = a.values[(*(slice(None) for _ in a.levels), *items, *rest)]
        place[...] = _fitted(value, a.levels, place.ndim - len(a.levels))
        return
    places = _Places(a, items)
    a.values[places.subscript] = places.laid(value, a.values[places.subscript].ndim)


def add_at(ufunc: Any, a: Any, index: Any, value: Any) -> None:
    """``ufunc.at(a, index, value)`` for every example."""
    items = _items(index)
    if not isinstance(a, Batched) or not a.widen(sizes_of([items, value])):
        raise Unbatchable(f"np.{ufunc.__name__}.at of a batch into one array")
    places = _Places(a, items)
    ufunc.at(a.values, places.subscript, places.laid(value, a.values[places.subscript].ndim))


class _Places:
    """What stands for a subscript with arrays in every example of a batch.

    *subscript* of the batch's values gives the dimensions of the index arrays together with the levels, all of them in
    one block; in each example's result the *ndim* dimensions of the arrays stand at *position*.
    """

    def __init__(self, a: Batched, items: tuple[Any, ...]) -> None:
        written = _written_out(a.ndim, items)
        arrays = [item for item in written if _is_array(item)]
        self.levels = levels = levels_of([a, arrays])
        self.ndim = ndim = max(map(ndim_of, arrays))
        self.position = _position(written)
        self.begin = 0 if a.levels else self.position
        sizes, every = a.sizes, len(levels)
        own = [
            np.arange(sizes[level]).reshape(-1, *(1,) * (every - levels.index(level) - 1 + ndim)) for level in a.levels
        ]
        self.subscript = (*own, *(raised(item, levels, ndim) if _is_array(item) else item for item in written))

    def seen(self, found: Any) -> Any:
        """*found* at the subscript, with the levels in front and the arrays' dimensions in their place."""
        count, block = len(self.levels), len(self.levels) + self.ndim
        front = np.moveaxis(found, range(self.begin, self.begin + block), range(block))
        start = count + self.position
        return np.moveaxis(front, range(count, block), range(start, start + self.ndim))

    def laid(self, value: Any, rank: int) -> Any:
        """*value*, of the form that ``seen`` gives, as it is put to the subscript, which has *rank* dimensions."""
        count, block = len(self.levels), len(self.levels) + self.ndim
        fitted = _fitted(value, self.levels, rank - count)
        wide = fitted.reshape((1,) * (rank - fitted.ndim) + fitted.shape)
        start = count + self.position
        front = np.moveaxis(wide, range(start, start + self.ndim), range(count, block))
        return np.moveaxis(front, range(block), range(self.begin, self.begin + block))


def _fitted(value: Any, levels: tuple[int, ...], ndim: int) -> Any:
    """*value* with no more dimensions than the place it is put to, behind *levels* if it is a batch."""
    shape = np.shape(value)
    cut = shape[max(len(shape) - ndim, 0) :]
    if not isinstance(value, Batched):
        return np.asarray(value).reshape(cut)
    return raised(value.reshape(cut), levels, ndim)


def _items(index: Any) -> tuple[Any, ...]:
    items = index if isinstance(index, tuple) else (index,)
    return tuple(np.asarray(item) if isinstance(item, list) else item for item in items)


def _is_array(item: Any) -> bool:
    return isinstance(item, (Batched, np.ndarray, bool, np.bool_))


def _has_arrays(items: tuple[Any, ...]) -> bool:
    return any(map(_is_array, items))


def _written_out(ndim: int, items: tuple[Any, ...]) -> list[Any]:
    """*items*, one of which is an array, with slices for the ellipsis, and whole numbers for masks, as arrays all of them."""
    used = sum(map(_used, items))
    if not any(item is Ellipsis for item in items):
        items = (*items, Ellipsis)
    written: list[Any] = []
    for item in items:
        if item is Ellipsis:
            written += [slice(None)] * (ndim - used)
        elif isinstance(item, (bool, np.bool_)) or getattr(item, "dtype", None) == np.bool_:
            if isinstance(item, Batched) or not ndim_of(item):
                raise Unbatchable("a mask that is another one for each example gives results of other shapes")
            written += list(np.nonzero(item))
        else:
            written.append(np.asarray(item) if isinstance(item, (int, np.integer)) else item)
    return written


def _used(item: Any) -> int:
    """How many dimensions *item* takes."""
    if item is None or item is Ellipsis or isinstance(item, (bool, np.bool_)):
        return 0
    return ndim_of(item) if getattr(item, "dtype", None) == np.bool_ else 1


def _position(written: list[Any]) -> int:
    """Where NumPy puts the dimensions of the arrays among those of the result."""
    at = [i for i, item in enumerate(written) if _is_array(item)]
    return at[0] if at[-1] - at[0] + 1 == len(at) else 0


def _where(a: Any, value: Any, mask: Any) -> None:
    np.copyto(a, value, "unsafe", mask)
