"""Pooling of images of any number of dimensions, and where in them its results came from."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..batching import empty, zeros
from .loops import loops
from .windows import Geometry, Sizes, image_blocks, padded, sum_windows_back

Array = np.ndarray[Any, Any]

_BLOCK_BYTES = 1 << 19  # as much of the result at a time as stays in the cache through all passes


def _flat_steps(size: Sizes) -> Sizes:
    """How far apart neighbours along each dimension of an image of *size* are when it is flat."""
    return tuple(math.prod(size[i + 1 :]) for i in range(len(size)))


def _along(numbers: Array, axis: int, dims: int) -> Array:
    return numbers.reshape([-1 if i == axis else 1 for i in range(dims)])


def max_windows(images: Array, geometry: Geometry) -> tuple[Array, Array]:
    """The greatest element of each window of *images* (N, C, ...), and where in its image (flat, int64) it was.

    The first of equal elements counts; nan is greater than all, and the last nan counts.
    """
    faster = loops("pooling", images) if images.ndim == 4 else None
    if faster is not None:
        best = np.empty((*images.shape[:2], *geometry.counts), images.dtype)
        place = np.empty(best.shape, np.int64)
        faster.max_windows(images, best, place, geometry.kernel, geometry.stride, geometry.padding, geometry.dilation)
        if not any(geometry.padding) or place.min(initial=0) >= 0:
            return best, place
    return max_windows_by_passes(images, geometry)


def max_windows_by_passes(images: Array, geometry: Geometry) -> tuple[Array, Array]:
    """``max_windows`` by NumPy: one pass over the images for each place in the window."""
    lowest = -np.inf if images.dtype.kind == "f" else np.iinfo(images.dtype).min
    wide = padded(images, geometry, lowest)
    n, c, *size = images.shape
    best = np.empty((n, c, *geometry.counts), dtype=images.dtype)
    place = np.empty(best.shape, dtype=np.int64)
    steps, dims = _flat_steps(tuple(size)), len(size)
    offsets = np.array(
        [sum(i * d * f for i, d, f in zip(at, geometry.dilation, steps, strict=True)) for at in geometry.places()]
    )
    corners = np.zeros((), dtype=np.int64)
    for axis, (count, s, p) in enumerate(zip(geometry.counts, geometry.stride, geometry.padding, strict=True)):
        corners = corners + _along((np.arange(count) * s - p) * steps[axis], axis, dims)
    for block in image_blocks(n, best[:1].nbytes, _BLOCK_BYTES):
        number = _max_block(wide[block], best[block], geometry)
        if wide is not images and best[block].min() == lowest:
            _avoid_padding(number, best[block] == lowest, tuple(size), geometry)
        np.add(offsets[number], corners, out=place[block])
    return best, place


def _max_block(wide: Array, best: Array, geometry: Geometry) -> Array:
    """Fill *best* with the greatest of each window of *wide*, and return the number of its place in the window."""
    candidates = [wide[geometry.at(*place)] for place in geometry.places()]
    np.copyto(best, candidates[0])
    for candidate in candidates[1:]:
        np.maximum(best, candidate, out=best)
    number = np.zeros(best.shape, dtype=np.int16 if len(candidates) > 127 else np.int8)
    for k in range(len(candidates) - 1, -1, -1):
        np.copyto(number, k, where=candidates[k] == best)
    if best.dtype.kind == "f" and np.isnan(best.max(initial=0)):
        for k, candidate in enumerate(candidates):
            np.copyto(number, k, where=np.isnan(candidate))
    return number


def _avoid_padding(number: Array, lowest: Array, size: Sizes, geometry: Geometry) -> None:
    """Where all of a window is *lowest*, as the padding is, make *number* that of its first place inside the image."""
    image = padded(np.ones((1, 1, *size), dtype=bool), geometry)
    inside = [image[geometry.at(*place)] for place in geometry.places()]
    if not np.logical_or.reduce(inside).all():
        raise RuntimeError(
            f"max pooling: with kernel size {list(geometry.kernel)}, padding {list(geometry.padding)} and dilation "
            f"{list(geometry.dilation)} a window has no element inside the image of size {list(size)}"
        )
    for k in range(len(inside) - 1, -1, -1):
        np.copyto(number, k, where=lowest & inside[k])


def add_at(values: Array, place: Array, shape: tuple[int, ...]) -> Array:
    """Images of *shape* (N, C, ...) with *values* (N, C, ...) added at the flat *place* into each image."""
    faster, images, size = loops("pooling", values), shape[0] * shape[1], math.prod(shape[2:])
    if faster is None or place.min() < 0 or place.max() >= size:
        return add_at_by_counting(values, place, shape)
    result = np.zeros((images, size), values.dtype)
    faster.add_at(values.reshape(images, -1), place.reshape(images, -1), result)
    return result.reshape(shape)


def add_at_by_counting(values: Array, place: Array, shape: tuple[int, ...]) -> Array:
    """``add_at`` by NumPy."""
    images, size = shape[0] * shape[1], math.prod(shape[2:])
    base = (np.arange(images) * size).reshape(*shape[:2], *(1,) * (place.ndim - 2))
    total = np.bincount((place + base).ravel(), values.ravel(), images * size)
    return total.reshape(shape).astype(values.dtype, copy=False)


def window_sums(images: Array, geometry: Geometry) -> Array:
    """The sum of each window of *images* (N, C, ...)."""
    wide = padded(images, geometry)
    places = geometry.places()
    total: Array = wide[geometry.at(*next(places))].copy()
    for place in places:
        total += wide[geometry.at(*place)]
    return total


def spread_sums(sums: Array, shape: tuple[int, ...], geometry: Geometry) -> Array:
    """The transpose of ``window_sums``: each of *sums* added to all places of its window, in images of *shape*."""
    ones = (1,) * len(geometry.kernel)
    patches = sums.reshape(*sums.shape[:2], *ones, *sums.shape[2:])
    return sum_windows_back(
        np.broadcast_to(patches, (*sums.shape[:2], *geometry.kernel, *sums.shape[2:])), shape, geometry
    )


def max_at(images: Array, positions: list[Array]) -> tuple[Array, Array]:
    """The greatest element of windows that lie anywhere, and where in its image (flat) it was.

    *positions* holds for each dimension of an image the coordinates (N or 1, C or 1, windows, places) that its windows
    cover. nan is greater than all, and the last nan counts.
    """
    n, c, *size = images.shape
    counts = tuple(at.shape[2] for at in positions)
    flat = _flat_windows(positions, tuple(size))
    flat = np.broadcast_to(flat, (n, c, *flat.shape[2:]))
    batch, channel = np.arange(n).reshape(-1, 1, 1, 1), np.arange(c).reshape(1, -1, 1, 1)
    candidates = images.reshape(n, c, math.prod(size))[batch, channel, flat]
    winner = candidates.argmax(-1)
    undefined = np.isnan(candidates)
    if undefined.any():
        last = flat.shape[-1] - 1 - undefined[..., ::-1].argmax(-1)
        winner = np.where(undefined.any(-1), last, winner)
    winner = winner[..., None]
    values = np.take_along_axis(candidates, winner, -1).reshape(n, c, *counts)
    return values, np.take_along_axis(flat, winner, -1).reshape(n, c, *counts)


def _flat_windows(positions: list[Array], size: Sizes) -> Array:
    """The places in flat images of *size* that windows at *positions* cover: (N or 1, C or 1, windows, places)."""
    dims = len(size)
    total = np.zeros((), dtype=np.int64)
    for axis, (at, step) in enumerate(zip(positions, _flat_steps(size), strict=True)):
        shape = [1] * (2 * dims)
        shape[axis], shape[dims + axis] = at.shape[2], at.shape[3]
        total = total + (at * step).reshape(at.shape[0], at.shape[1], *shape)
    counts, places = total.shape[2 : 2 + dims], total.shape[2 + dims :]
    return total.reshape(*total.shape[:2], math.prod(counts), math.prod(places))


def range_sums(array: Array, axis: int, starts: Sizes, stops: Sizes) -> Array:
    """The sums of *array* from each start up to the stop, along *axis*; the ranges may overlap."""
    rows = np.moveaxis(array, axis, 0)
    result = empty((len(starts), *rows.shape[1:]), array)
    for i, (start, stop) in enumerate(zip(starts, stops, strict=True)):
        rows[start:stop].sum(0, out=result[i])
    return np.moveaxis(result, 0, axis)


def spread_ranges(sums: Array, axis: int, length: int, starts: Sizes, stops: Sizes) -> Array:
    """The transpose of ``range_sums``: each of *sums* added to all of its range, along an *axis* of that *length*."""
    rows = np.moveaxis(sums, axis, 0)
    result = zeros((length, *rows.shape[1:]), sums)
    for i, (start, stop) in enumerate(zip(starts, stops, strict=True)):
        result[start:stop] += rows[i]
    return np.moveaxis(result, 0, axis)
