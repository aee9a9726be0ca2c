"""Sliding windows over images: what convolution and pooling are made of."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Pair = tuple[int, int]


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


def padded(images: Array, padding: Pair, value: float = 0.0) -> Array:
    """*images* (N, C, H, W) with *value* around height and width."""
    (top, left) = padding
    if not top and not left:
        return images
    n, c, h, w = images.shape
    wide = np.full((n, c, h + 2 * top, w + 2 * left), value, dtype=images.dtype)
    wide[:, :, top : top + h, left : left + w] = images
    return wide


def windows(images: Array, kernel: Pair, stride: Pair, dilation: Pair, count: Pair) -> Array:
    """A read-only view (N, C, count_h, count_w, kernel_h, kernel_w) of *images* (N, C, H, W)."""
    n, c, _, _ = images.shape
    sn, sc, sh, sw = images.strides
    strides = (sn, sc, sh * stride[0], sw * stride[1], sh * dilation[0], sw * dilation[1])
    return np.lib.stride_tricks.as_strided(images, (n, c, *count, *kernel), strides, writeable=False)


def columns(images: Array, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair, count: Pair) -> Array:
    """The windows of *images* (N, C, H, W) as rows: (N · count_h · count_w, C · kernel_h · kernel_w), contiguous."""
    view = windows(padded(images, padding), kernel, stride, dilation, count)
    n, c = images.shape[:2]
    return np.ascontiguousarray(view.transpose(0, 2, 3, 1, 4, 5)).reshape(
        n * count[0] * count[1], c * kernel[0] * kernel[1]
    )


def sum_columns(
    rows: Array,
    shape: tuple[int, ...],
    kernel: Pair,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    count: Pair,
) -> Array:
    """The transpose of ``columns``: each row's elements added where its window was, giving images of *shape*."""
    n, c, h, w = shape
    (kh, kw), (oh, ow) = kernel, count
    patches = rows.reshape(n, oh, ow, c, kh, kw).transpose(0, 3, 4, 5, 1, 2)
    wide = np.zeros((n, c, h + 2 * padding[0], w + 2 * padding[1]), dtype=rows.dtype)
    for i in range(kh):
        top = i * dilation[0]
        for j in range(kw):
            left = j * dilation[1]
            wide[:, :, top : top + stride[0] * oh : stride[0], left : left + stride[1] * ow : stride[1]] += patches[
                :, :, i, j
            ]
    return wide[:, :, padding[0] : padding[0] + h, padding[1] : padding[1] + w]
