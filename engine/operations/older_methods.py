"""Methods of tensors that scripts of all ages use: changes in place by functions and diagonals, and new tensors alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..registry.inplace import check_may_change, rewrite_history
from ..registry.nodes import reduce_to
from ..tape.provenance import caller
from ..tensors.tensor import Tensor, add_method


def _fill_diagonal_(self: Tensor, fill_value: float, wrap: bool = False) -> Tensor:
    """Put *fill_value* on the diagonal, in place; if *wrap*, begin again below it in tall matrices."""
    if self.ndim < 2:
        raise RuntimeError("dimensions must larger than 1")
    if self.ndim > 2 and len(set(self.shape)) > 1:
        raise RuntimeError("all dimensions of input must be of equal length")
    rows, columns = self.shape[:2]
    if self.ndim > 2:
        places: Any = (np.arange(rows),) * self.ndim
    else:
        steps = np.arange(0, rows * columns if wrap else min(rows, columns) * columns, columns + 1)
        places = np.unravel_index(steps, (rows, columns))
    self[places] = fill_value
    return self


def _sum_to_size(self: Tensor, *size: Any) -> Tensor:
    """The sum over the dimensions that broadcasting from *size* would add or stretch. RuntimeError for another size."""
    shape = tuple(size[0]) if len(size) == 1 and isinstance(size[0], (tuple, list)) else size
    padded = (1,) * (self.ndim - len(shape)) + tuple(shape)
    if len(padded) != self.ndim or any(want not in (1, have) for want, have in zip(padded, self.shape, strict=True)):
        raise RuntimeError(f"size {{{list(shape)}}} is not expandable to size {{{list(self.shape)}}}.")
    found: Tensor = reduce_to(self, tuple(shape))
    return found


def _apply_(self: Tensor, callable: Callable[[Any], Any]) -> Tensor:
    """Replace every element by what *callable* makes of it, in place and one by one; slow."""
    return _written(self, [callable(value) for value in self._array.reshape(-1).tolist()])


def _map_(self: Tensor, tensor: Tensor, callable: Callable[[Any, Any], Any]) -> Tensor:
    """Replace every element by what *callable* makes of it and of that of *tensor*, in place and one by one; slow."""
    others = np.broadcast_to(tensor._array, self._array.shape).reshape(-1).tolist()
    return _written(self, [callable(a, b) for a, b in zip(self._array.reshape(-1).tolist(), others, strict=True)])


def _written(target: Tensor, values: list[Any]) -> Tensor:
    if target.requires_grad:
        raise RuntimeError("a function of Python numbers has no gradient: detach() the tensor first")
    check_may_change(target)
    target._array[...] = np.reshape(np.array(values, dtype=target._array.dtype), target._array.shape)
    rewrite_history(target, None)
    return target


def _set_(self: Tensor, source: Tensor) -> Tensor:
    """Take over the memory, the shape and the strides of *source*, of the same type."""
    if source._array.dtype != self._array.dtype:
        raise RuntimeError(f"Could not set tensor of type {source.dtype} to a tensor of type {self.dtype}")
    if self.requires_grad and not self.is_leaf:
        raise RuntimeError("set_() cannot change a tensor that an operation made: detach() it first")
    self._array = source._array
    self._counter_or_new().bump(caller())
    return self


def _new(self: Tensor, *data: Any) -> Tensor:
    """A tensor of this one's type: of a size, uninitialised, or of nested lists."""
    if len(data) == 1 and not isinstance(data[0], int):
        return Tensor._wrap(np.array(data[0]._array if isinstance(data[0], Tensor) else data[0], self._array.dtype))
    return Tensor._wrap(np.empty(data or (0,), self._array.dtype))


for _name, _method in {
    "fill_diagonal_": _fill_diagonal_, "sum_to_size": _sum_to_size, "apply_": _apply_, "map_": _map_, "set_": _set_,
    "new": _new,
}.items():  # fmt: skip
    _method.__name__ = _name
    add_method(_name, _method)
