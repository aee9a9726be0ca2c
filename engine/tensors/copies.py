"""Copying the memory behind tensors: those that shared it share the copy."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def copied(array: Array, memo: dict[int, Any]) -> Array:
    """Return a copy of *array* for ``copy.deepcopy``; *memo* has the copies of memory that others were views of."""
    owner = array
    while isinstance(owner.base, np.ndarray):
        owner = owner.base
    whole = owner.flags.c_contiguous or owner.flags.f_contiguous
    if not whole or not array.size or owner.dtype.hasobject:
        return array.copy()
    twin = memo.get(id(owner))
    if twin is None:
        twin = memo[id(owner)] = np.array(owner, copy=True, order="K", subok=False)
    if owner is array:
        return twin
    memory = twin.ravel(order="K").view(np.uint8)
    start = array.__array_interface__["data"][0] - owner.__array_interface__["data"][0]
    return np.ndarray(array.shape, array.dtype, buffer=memory, offset=start, strides=array.strides)
