"""Sums of several flat arrays, taken piece by piece while each is in the cache."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .loops import load, loops

Array = np.ndarray[Any, Any]

# Three pieces fit the second cache of a core; smaller ones cost more in calls of NumPy than they save.
_PIECE = 32 << 10


def scaled_sum(rows: Sequence[Array], scale: float, out: Array) -> bool:
    """Write the sum of *rows*, two or more, times *scale* into *out*; return whether all of it is finite.

    All are flat, of one size and type; types of half the width are added in float32. Where a sum overflows, the
    rows are scaled before they are added: what then does not come out finite was not finite in some row.
    """
    add = _by_loop if loops("sums", out, *rows) else _by_passes
    between = np.empty(min(_PIECE, out.size), _type_of_sums(out))
    finite = True
    with np.errstate(all="ignore"):
        for start in range(0, out.size, _PIECE):
            piece = slice(start, start + _PIECE)
            parts, target = [row[piece] for row in rows], out[piece]
            if not add(parts, scale, target, between[: target.size]):
                finite = _scaled_first(parts, scale, target) and finite
    return finite


def is_finite(array: Array) -> bool:
    """Whether *array* holds neither NaN nor infinity."""
    row = array.reshape(-1)
    # Then the sum of squares is not finite either, and BLAS is faster than looking at every element.
    if row.itemsize > 2 and math.isfinite(abs(np.vdot(row, row))):
        return True
    return bool(np.isfinite(row).all())


def _by_loop(rows: Sequence[Array], scale: float, out: Array, between: Array) -> bool:
    total = rows[0]
    for row in rows[1:-1]:
        total = np.add(total, row, out=between)
    return bool(load("sums").scaled_sum(total, rows[-1], out.dtype.type(scale), out) == 0)


def _by_passes(rows: Sequence[Array], scale: float, out: Array, between: Array) -> bool:
    total = out if out.dtype == between.dtype else between
    np.add(rows[0], rows[1], out=total, dtype=total.dtype)
    for row in rows[2:]:
        np.add(total, row, out=total, dtype=total.dtype)
    np.multiply(total, scale, out=out, casting="same_kind")
    return is_finite(out)


def _scaled_first(rows: Sequence[Array], scale: float, out: Array) -> bool:
    total = np.zeros(out.shape, _type_of_sums(out))
    for row in rows:
        total += np.multiply(row, scale, dtype=total.dtype)
    out[...] = total
    return is_finite(out)


def _type_of_sums(array: Array) -> np.dtype[Any]:
    return np.dtype(np.float32) if array.itemsize == 2 else array.dtype
