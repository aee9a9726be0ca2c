"""Pooling of images, and where in them its results came from."""

from __future__ import annotations

from typing import Any

import numpy as np

from .loops import loops
from .windows import Geometry, image_blocks, padded

Array = np.ndarray[Any, Any]


_BLOCK_BYTES = 1 << 19  # as much of the result at a time as stays in the cache through all passes


def max_windows(images: Array, geometry: Geometry) -> tuple[Array, Array]:
    """The greatest element of each window of *images* (N, C, H, W), and where in its image (flat, int64) it was.

    The first of equal elements counts; nan is greater than all.
    """
    faster = loops("pooling", images)
    if faster is not None:
        best = np.empty((*images.shape[:2], *geometry.counts), images.dtype)
        place = np.empty(best.shape, np.int64)
        faster.max_windows(images, best, place, geometry.kernel, geometry.stride, geometry.padding, geometry.dilation)
        return best, place
    return max_windows_by_passes(images, geometry)


def max_windows_by_passes(images: Array, geometry: Geometry) -> tuple[Array, Array]:
    """``max_windows`` by NumPy: one pass over the images for each place in the window."""
    lowest = -np.inf if images.dtype.kind == "f" else np.iinfo(images.dtype).min
    wide = padded(images, geometry, lowest)
    n, c = images.shape[:2]
    best = np.empty((n, c, *geometry.counts), dtype=images.dtype)
    place = np.empty(best.shape, dtype=np.int64)
    (dh, dw), (sh, sw), (ph, pw) = geometry.dilation, geometry.stride, geometry.padding
    width = images.shape[3]
    offsets = np.array([i * dh * width + j * dw for i, j in geometry.places()], dtype=np.int64)
    corners = (np.arange(geometry.counts[0]) * sh - ph)[:, None] * width + np.arange(geometry.counts[1]) * sw - pw
    for block in image_blocks(n, best[:1].nbytes, _BLOCK_BYTES):
        number = _max_block(wide[block], best[block], geometry)
        np.add(offsets[number], corners, out=place[block])
    return best, place


def _max_block(wide: Array, best: Array, geometry: Geometry) -> Array:
    """Fill *best* with the greatest of each window of *wide*, and return the number of its place in the window."""
    candidates = [wide[:, :, rows, columns] for rows, columns in (geometry.slices(i, j) for i, j in geometry.places())]
    np.copyto(best, candidates[0])
    for candidate in candidates[1:]:
        np.maximum(best, candidate, out=best)
    undefined = np.isnan(best) if best.dtype.kind == "f" and np.isnan(best.max(initial=0)) else None
    number = np.zeros(best.shape, dtype=np.int16 if len(candidates) > 127 else np.int8)
    for k in range(len(candidates) - 1, -1, -1):
        won = candidates[k] == best
        if undefined is not None:
            won |= undefined & np.isnan(candidates[k])
        np.copyto(number, k, where=won)
    return number


def add_at(values: Array, place: Array, shape: tuple[int, ...]) -> Array:
    """Images of *shape* (N, C, H, W) with *values* (N, C, oh, ow) added at the flat *place* into each image."""
    faster = loops("pooling", values)
    if faster is None:
        return add_at_by_counting(values, place, shape)
    n, c, h, w = shape
    result = np.zeros((n * c, h * w), values.dtype)
    faster.add_at(values.reshape(n * c, -1), place.reshape(n * c, -1), result)
    return result.reshape(shape)


def add_at_by_counting(values: Array, place: Array, shape: tuple[int, ...]) -> Array:
    """``add_at`` by NumPy."""
    n, c, h, w = shape
    base = (np.arange(n * c) * (h * w)).reshape(n, c, 1, 1)
    total = np.bincount((place + base).ravel(), values.ravel(), n * c * h * w)
    return total.reshape(shape).astype(values.dtype, copy=False)
