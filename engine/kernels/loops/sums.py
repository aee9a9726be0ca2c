"""Loops that add up flat arrays, all of one type."""

from __future__ import annotations

from typing import Any

import numpy as np

from .compiler import compiled

Array = np.ndarray[Any, Any]


@compiled
def scaled_sum(a: Array, b: Array, scale: Any, out: Array) -> Any:
    """(a + b) · scale into *out*, in one pass; returns 0 if all of that is finite, else nan."""
    zero = scale - scale
    odd = zero
    for i in range(out.size):
        mean = (a[i] + b[i]) * scale
        out[i] = mean
        odd += mean * zero
    return odd
