"""Where NumPy's functions are not quite the array API standard's: names of arguments, values at zeros and infinities."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..tensors.tensor import Tensor


def exponential_less_one(x: Any, /) -> Any:
    """``expm1``, also of complex zeros and infinities."""
    found = np.expm1(x)
    if isinstance(x, Tensor) or x.dtype.kind != "c":
        return found
    return np.where(np.isfinite(found) & (x != 0), found, np.exp(x) - 1)


def quotient_rounded_down(x1: Any, x2: Any, /) -> Any:
    """``floor_divide``, also by and of infinities."""
    if isinstance(x1, Tensor) or isinstance(x2, Tensor):
        return np.floor_divide(x1, x2)
    found = np.floor_divide(x1, x2)
    if found.dtype.kind != "f":
        return found
    return np.where(np.isinf(x1) | np.isinf(x2), np.floor(np.true_divide(x1, x2)), found)


def clip(x: Any, /, min: Any = None, max: Any = None) -> Any:
    """``clip`` with the standard's names of the bounds."""
    return np.clip(x, min, max)


def sort(x: Any, /, *, axis: int = -1, descending: bool = False, stable: bool = True) -> Any:
    """``sort`` in either direction."""
    return np.take_along_axis(x, argsort(x, axis=axis, descending=descending), axis)


def argsort(x: Any, /, *, axis: int = -1, descending: bool = False, stable: bool = True) -> Any:
    """``argsort`` in either direction; equal elements stay in order."""
    array = x._array if isinstance(x, Tensor) else x
    if not descending:
        return np.argsort(array, axis=axis, stable=True)
    backwards = np.flip(np.argsort(np.flip(array, axis), axis=axis, stable=True), axis)
    return array.shape[axis] - 1 - backwards
