"""Loops that find the greatest element of each window of images, and send gradients back to where it was."""

from __future__ import annotations

from typing import Any

import numpy as np

from .compiler import compiled
from .windows import span

Array = np.ndarray[Any, Any]


@compiled
def max_windows(
    images: Array, best: Array, place: Array, kernel: Any, stride: Any, padding: Any, dilation: Any
) -> None:
    """Fill *best* and *place* as ``kernels.pooling.max_windows`` says: a row of windows at a time, without branches."""
    n, c, h, w = images.shape
    _, _, oh, ow = best.shape
    pixels, greatest, found = images.reshape(-1), best.reshape(-1), place.reshape(-1)
    greatest[:] = -np.inf
    found[:] = -1
    step = np.uint64(stride[1])  # unsigned indices are not tried for counting from the end
    for plane in range(n * c):
        for row in range(oh):
            for i in range(kernel[0]):
                y = row * stride[0] - padding[0] + i * dilation[0]
                if y < 0 or y >= h:
                    continue
                for j in range(kernel[1]):
                    left = j * dilation[1] - padding[1]
                    start, stop = span(w, ow, stride[1], left)
                    to, at = np.uint64((plane * oh + row) * ow + start), y * w + start * stride[1] + left
                    source = np.uint64(plane * h * w + at)
                    for x in range(np.uint64(stop - start)):
                        value, held, kept = pixels[source + x * step], greatest[to + x], found[to + x]
                        better = (value > held) | (kept < 0) | (value != value)
                        greatest[to + x] = value if better else held
                        found[to + x] = at + np.int64(x * step) if better else kept


@compiled
def add_at(values: Array, place: Array, result: Array) -> None:
    """Add *values* (M, P) to *result* (M, Q) at the columns *place* (M, P)."""
    rows, columns = values.shape
    for row in range(rows):
        for column in range(columns):
            result[row, place[row, column]] += values[row, column]
