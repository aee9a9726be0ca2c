"""Sliding windows over images of any number of dimensions: what convolution and pooling are made of, on arrays (N, C, ...)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray[Any, Any]
Sizes = tuple[int, ...]

_BLOCK_BYTES = 1 << 20  # columns of as many images are made at a time as stay in the cache until they are multiplied


class Geometry(NamedTuple):
    """How windows lie on an image: one number for each of its dimensions (height, width, ...).

    *padding* is the same at both ends; *counts* is how many windows there are.
    """

    kernel: Sizes
    stride: Sizes
    padding: Sizes
    dilation: Sizes
    counts: Sizes

    @property
    def area(self) -> int:
        """The number of places in a window."""
        return math.prod(self.kernel)

    def slices(self, *place: int) -> tuple[slice, ...]:
        """The part of a padded image that lies at *place* of the windows: one element for each window."""
        starts = [i * d for i, d in zip(place, self.dilation, strict=True)]
        return tuple(slice(a, a + s * (n - 1) + 1, s) for a, s, n in zip(starts, self.stride, self.counts, strict=True))

    def at(self, *place: int) -> tuple[Any, ...]:
        """The subscript of padded images (N, C, ...) that takes what lies at *place* of the windows."""
        return (..., *self.slices(*place))

    def places(self) -> Iterator[Sizes]:
        """Every place in a window, row by row."""
        return product(*map(range, self.kernel))

    @property
    def is_identity(self) -> bool:
        """Whether each window is one element, one beside the other from the first on."""
        return max(self.kernel) == 1 and max(self.stride) == 1 and not any(self.padding)


def output_size(
    size: Sequence[int], kernel: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes, ceil: bool = False
) -> Sizes:
    """How many windows fit in each dimension; *ceil* counts a last one that starts inside but reaches out."""
    counts = []
    for n, k, s, p, d in zip(size, kernel, stride, padding, dilation, strict=True):
        span = n + 2 * p - d * (k - 1) - 1
        count = (-(-span // s) if ceil else span // s) + 1
        if ceil and (count - 1) * s >= n + p:
            count -= 1  # the last window must start inside the image or its left padding
        counts.append(count)
    return tuple(counts)


def padded_size(size: Sequence[int], geometry: Geometry) -> Sizes:
    """The size with *padding* before, and after as much as that or as the last window needs."""
    return tuple(
        max(n + 2 * p, (c - 1) * s + d * (k - 1) + 1) for n, k, s, p, d, c in zip(size, *geometry, strict=True)
    )


def _inside(size: Sequence[int], geometry: Geometry) -> tuple[Any, ...]:
    """Where in a padded array (N, C, ...) the image of *size* lies."""
    return (..., *(slice(p, p + n) for n, p in zip(size, geometry.padding, strict=True)))


def padded(images: Array, geometry: Geometry, value: float = 0.0) -> Array:
    """*images* with *value* around them, of ``padded_size``."""
    size = images.shape[2:]
    wider = padded_size(size, geometry)
    if wider == size:
        return images
    wide = np.full((*images.shape[:2], *wider), value, dtype=images.dtype)
    wide[_inside(size, geometry)] = images
    return wide


def windows(images: Array, geometry: Geometry) -> Array:
    """A read-only view (N, C, kernel sizes, counts) of padded *images*."""
    steps = images.strides[2:]
    gaps = [s * d for s, d in zip(steps, geometry.dilation, strict=True)]
    strides = [s * t for s, t in zip(steps, geometry.stride, strict=True)]
    return np.lib.stride_tricks.as_strided(
        images,
        (*images.shape[:2], *geometry.kernel, *geometry.counts),
        (*images.strides[:2], *gaps, *strides),
        writeable=False,
    )


def image_blocks(n: int, bytes_each: int, cache: int = _BLOCK_BYTES) -> Iterator[slice]:
    """Slices of *n* images, of *bytes_each* while they are worked on, as many at a time as fit in *cache* bytes."""
    step = max(1, min(n, cache // max(bytes_each, 1)))
    return (slice(start, min(start + step, n)) for start in range(0, n, step))


def column_blocks(images: Array, geometry: Geometry) -> Iterator[tuple[slice, Array]]:
    """The windows of *images* as matrices (places · C, windows), for a few images at a time.

    Yields which images they are, and an array (images, C · area, windows) that is only
    valid until the next. Windows lie along the last dimension, so that memory is copied in whole rows and the
    product of a filter matrix with it is laid out as images.
    """
    n, c = images.shape[:2]
    rows, places = c * geometry.area, math.prod(geometry.counts)
    if geometry.is_identity and images.shape[2:] == geometry.counts and images.flags.c_contiguous:
        yield slice(0, n), images.reshape(n, rows, places)
        return
    view = windows(padded(images, geometry), geometry)
    blocks = list(image_blocks(n, rows * places * images.itemsize))
    buffer = np.empty((blocks[0].stop if blocks else 0, c, *geometry.kernel, *geometry.counts), dtype=images.dtype)
    for block in blocks:
        part = buffer[: block.stop - block.start]
        np.copyto(part, view[block])
        yield block, part.reshape(block.stop - block.start, rows, places)


def sum_windows_back(patches: Array, shape: tuple[int, ...], geometry: Geometry) -> Array:
    """The transpose of ``windows``: *patches* (N, C, kernel sizes, counts) added up in images of *shape*."""
    size = shape[2:]
    wide = np.zeros((*shape[:2], *padded_size(size, geometry)), dtype=patches.dtype)
    for place in geometry.places():
        taken: tuple[Any, ...] = (slice(None), slice(None), *place)
        wide[geometry.at(*place)] += patches[taken]
    result: Array = wide[_inside(size, geometry)]
    return result
