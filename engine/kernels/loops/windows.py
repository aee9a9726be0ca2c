"""Loops over the windows of images: laying them out as columns, adding them up again, and finding their greatest elements."""

from __future__ import annotations

from typing import Any

import numpy as np

from .compiler import compiled

Array = np.ndarray[Any, Any]


@compiled
def span(n: int, count: int, stride: int, offset: int) -> tuple[int, int]:
    """The range of windows whose element at *offset* from the window's corner lies on an image of length *n*."""
    first = 0 if offset >= 0 else (-offset + stride - 1) // stride
    last = (n - 1 - offset) // stride + 1 if offset < n else 0
    return min(first, count), max(min(first, count), min(last, count))


@compiled
def columns(
    images: Array, out: Array, oh: int, ow: int, kernel: Any, stride: Any, padding: Any, dilation: Any, top: int
) -> None:
    """Fill *out* (N, C · kh · kw, rows · ow) with the windows of *images* (N, C, H, W) from row *top* of windows on."""
    n, c, h, w = images.shape
    kh, kw = kernel
    rows = out.shape[2] // ow
    for image in range(n):
        for k in range(c * kh * kw):
            channel, i, j = k // (kh * kw), k // kw % kh, k % kw
            left = j * dilation[1] - padding[1]
            start, stop = span(w, ow, stride[1], left)
            for row in range(rows):
                y = (top + row) * stride[0] + i * dilation[0] - padding[0]
                at = row * ow
                if y < 0 or y >= h:
                    for x in range(ow):
                        out[image, k, at + x] = 0
                    continue
                for x in range(start):
                    out[image, k, at + x] = 0
                if stride[1] == 1:
                    for x in range(start, stop):
                        out[image, k, at + x] = images[image, channel, y, x + left]
                else:
                    for x in range(start, stop):
                        out[image, k, at + x] = images[image, channel, y, x * stride[1] + left]
                for x in range(stop, ow):
                    out[image, k, at + x] = 0


@compiled
def add_columns(
    patches: Array, out: Array, oh: int, ow: int, kernel: Any, stride: Any, padding: Any, dilation: Any
) -> None:
    """Add *patches* (N, C · kh · kw, oh · ow) to the places of *out* (N, C, H, W) that ``columns`` takes them from."""
    n, c, h, w = out.shape
    kh, kw = kernel
    for image in range(n):
        for k in range(c * kh * kw):
            channel, i, j = k // (kh * kw), k // kw % kh, k % kw
            left = j * dilation[1] - padding[1]
            start, stop = span(w, ow, stride[1], left)
            for row in range(oh):
                y = row * stride[0] + i * dilation[0] - padding[0]
                if y < 0 or y >= h:
                    continue
                if stride[1] == 1:
                    for x in range(start, stop):
                        out[image, channel, y, x + left] += patches[image, k, row * ow + x]
                else:
                    for x in range(start, stop):
                        out[image, channel, y, x * stride[1] + left] += patches[image, k, row * ow + x]
