"""Products of matrices with something added, a few rows at a time, so that it is added while they are in the cache."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..batching import zeros

Array = np.ndarray[Any, Any]

_BLOCK_BYTES = 1 << 19


def rows_times(rows: Array, matrix: Array, bias: Array | None) -> Array:
    """rows @ matrix + bias: (n, in), (in, out) and (out) or None give (n, out)."""
    n, width = rows.shape[0], matrix.shape[1]
    step = _BLOCK_BYTES // max(width * rows.itemsize, 1) // 64 * 64
    if bias is None or n <= 2 * step or step < 128 or not rows.dtype == matrix.dtype == bias.dtype:
        product: Array = np.matmul(rows, matrix)
        if bias is not None:
            product += bias
        return product
    product = np.empty((n, width), rows.dtype)
    for start in range(0, n, step):
        part = product[start : start + step]
        np.matmul(rows[start : start + step], matrix, out=part)
        part += bias
    return product


def add_rows(rows: Array, index: Array, shape: tuple[int, ...]) -> Array:
    """Zeros of *shape* (n, …) with *rows* (m, …) added at the places *index* (m): like ``np.add.at``, but in order of place."""
    result: Array = zeros(shape, rows)
    if not index.size:
        return result
    places = np.where(index < 0, index + shape[0], index)
    order = np.argsort(places, kind="stable")
    ordered = places[order]
    starts = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
    result[ordered[starts]] = np.add.reduceat(rows[order], starts, axis=0)
    return result
