"""Sliding windows over images: what convolution and pooling are made of, on arrays (N, C, H, W)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray[Any, Any]
Pair = tuple[int, int]

_BLOCK_BYTES = 1 << 20  # columns of as many images are made at a time as stay in the cache until they are multiplied


class Geometry(NamedTuple):
    """How windows lie on an image: all pairs are (height, width), *padding* the same at both ends."""

    kernel: Pair
    stride: Pair
    padding: Pair
    dilation: Pair
    counts: Pair

    @property
    def area(self) -> int:
        """The number of places in a window."""
        return self.kernel[0] * self.kernel[1]

    def slices(self, i: int, j: int) -> tuple[slice, slice]:
        """The rows and columns of a padded image that lie at place (*i*, *j*) of the windows, one per window."""
        top, left = i * self.dilation[0], j * self.dilation[1]
        (sh, sw), (oh, ow) = self.stride, self.counts
        return slice(top, top + sh * (oh - 1) + 1, sh), slice(left, left + sw * (ow - 1) + 1, sw)

    def places(self) -> Iterator[tuple[int, int]]:
        """Every place in a window, row by row."""
        return ((i, j) for i in range(self.kernel[0]) for j in range(self.kernel[1]))

    @property
    def is_identity(self) -> bool:
        """Whether each window is one element, and they are all of the image."""
        return self.kernel == (1, 1) and self.stride == (1, 1) and self.padding == (0, 0)


def output_size(size: Pair, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair, ceil: bool = False) -> Pair:
    """How many windows fit in height and width; *ceil* counts a last one that starts inside but reaches out."""
    counts = []
    for n, k, s, p, d in zip(size, kernel, stride, padding, dilation, strict=True):
        span = n + 2 * p - d * (k - 1) - 1
        count = (-(-span // s) if ceil else span // s) + 1
        if ceil and (count - 1) * s >= n + p:
            count -= 1  # the last window must start inside the image or its left padding
        counts.append(count)
    return counts[0], counts[1]


def padded_size(size: Pair, geometry: Geometry) -> Pair:
    """Height and width with *padding* before, and after as much as that or as the last window needs."""
    reach = [max(n + 2 * p, (c - 1) * s + d * (k - 1) + 1) for n, k, s, p, d, c in zip(size, *geometry, strict=True)]
    return reach[0], reach[1]


def padded(images: Array, geometry: Geometry, value: float = 0.0) -> Array:
    """*images* with *value* around them, of ``padded_size``."""
    n, c, h, w = images.shape
    size = padded_size((h, w), geometry)
    if size == (h, w):
        return images
    wide = np.full((n, c, *size), value, dtype=images.dtype)
    top, left = geometry.padding
    wide[:, :, top : top + h, left : left + w] = images
    return wide


def windows(images: Array, geometry: Geometry) -> Array:
    """A read-only view (N, C, kernel_h, kernel_w, count_h, count_w) of padded *images*."""
    n, c, _, _ = images.shape
    sn, sc, sh, sw = images.strides
    (dh, dw), (th, tw) = geometry.dilation, geometry.stride
    strides = (sn, sc, sh * dh, sw * dw, sh * th, sw * tw)
    return np.lib.stride_tricks.as_strided(images, (n, c, *geometry.kernel, *geometry.counts), strides, writeable=False)


def image_blocks(n: int, bytes_each: int, cache: int = _BLOCK_BYTES) -> Iterator[slice]:
    """Slices of *n* images, of *bytes_each* while they are worked on, as many at a time as fit in *cache* bytes."""
    step = max(1, min(n, cache // max(bytes_each, 1)))
    return (slice(start, min(start + step, n)) for start in range(0, n, step))


def column_blocks(images: Array, geometry: Geometry) -> Iterator[tuple[slice, Array]]:
    """The windows of *images* as matrices (places · C, windows), for a few images at a time.

    Yields which images they are, and an array (images, C · kernel_h · kernel_w, count_h · count_w) that is only
    valid until the next. Windows lie along the last dimension, so that memory is copied in whole rows and the
    product of a filter matrix with it is laid out as images.
    """
    n, c = images.shape[:2]
    rows, places = c * geometry.area, geometry.counts[0] * geometry.counts[1]
    if geometry.is_identity and images.flags.c_contiguous:
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
    """The transpose of ``windows``: *patches* (N, C, kernel_h, kernel_w, count_h, count_w) added up in images of *shape*."""
    n, c, h, w = shape
    (top, left) = geometry.padding
    wide = np.zeros((n, c, *padded_size((h, w), geometry)), dtype=patches.dtype)
    for i, j in geometry.places():
        rows, columns = geometry.slices(i, j)
        wide[:, :, rows, columns] += patches[:, :, i, j]
    return wide[:, :, top : top + h, left : left + w]
