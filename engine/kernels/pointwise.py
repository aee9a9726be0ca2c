"""Functions of each element in one pass over large float32 arrays, where Numba is installed."""

from __future__ import annotations

from typing import Any

import numpy as np

from .loops import WORTHWHILE, loops

Array = np.ndarray[Any, Any]


def in_one_pass(name: str, *operands: Any) -> Any:
    """What the loop *name* of ``loops.pointwise`` makes of *operands*: arrays of one shape, then numbers.

    None where the arrays are small, of another type or shape, or tensors, as in a gradient that is itself
    differentiated: then the expression of NumPy beside the call says what is to be done.
    """
    first = operands[0]
    if first.__class__ is not np.ndarray or first.size < WORTHWHILE or first.dtype != np.float32:
        return None
    arrays, numbers = [], []
    for operand in operands:
        if isinstance(operand, float):
            numbers.append(np.float32(operand))
        elif operand.__class__ is np.ndarray and operand.shape == first.shape:
            arrays.append(np.asarray(operand, order="C"))  # the gradient of a sum is one number seen many times
        else:
            return None
    faster = loops("pointwise", *arrays)
    if faster is None:
        return None
    out = np.empty(first.shape, first.dtype)
    getattr(faster, name)(*(array.reshape(-1) for array in arrays), *numbers, out.reshape(-1))
    return out


def exp(x: Array) -> Array:
    """e to the power of *x*."""
    if x.size < WORTHWHILE or x.dtype != np.float32:
        return np.exp(x)
    faster = loops("exponential", x)
    if faster is None:
        return np.exp(x)
    out = np.empty_like(x)
    faster.exp(x.reshape(-1), out.reshape(-1))
    return out
