"""Loops for convolution with 3×3 filters by Winograd's minimal filtering F(2×2, 3×3) (Lavin and Gray 2016).

An image is cut into tiles of 4×4 that overlap by 2; each gives 2×2 results. Tiles and filters are transformed into 16 numbers for
each channel, and what was a convolution is 16 products of matrices with 2.25 times fewer multiplications. Transformed tiles
are (16, C, images · tile rows · tile columns).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .compiler import compiled

Array = np.ndarray[Any, Any]


@compiled
def transform_images(images: Array, tiles: Array, rows: int, columns: int, top: int, left: int) -> None:
    """Fill *tiles* from *images* (N, C, H, W) with *top* and *left* zeros before each; *rows* · *columns* tiles an image."""
    n, c, h, w = images.shape
    plane = np.zeros((2 * rows + 2, 2 * columns + 2), images.dtype)
    mixed = np.empty((4, 2 * columns + 2), images.dtype)
    height, width = min(h, 2 * rows + 2 - top), min(w, 2 * columns + 2 - left)
    for image in range(n):
        for channel in range(c):
            for y in range(height):
                source, target = images[image, channel, y], plane[y + top, left : left + width]
                for x in range(width):
                    target[x] = source[x]
            for row in range(rows):
                r0, r1, r2, r3 = plane[2 * row], plane[2 * row + 1], plane[2 * row + 2], plane[2 * row + 3]
                m0, m1, m2, m3 = mixed[0], mixed[1], mixed[2], mixed[3]
                for x in range(2 * columns + 2):
                    m0[x] = r0[x] - r2[x]
                    m1[x] = r1[x] + r2[x]
                    m2[x] = r2[x] - r1[x]
                    m3[x] = r1[x] - r3[x]
                at = (image * rows + row) * columns
                for i in range(4):
                    m = mixed[i]
                    t0, t1 = tiles[4 * i, channel, at : at + columns], tiles[4 * i + 1, channel, at : at + columns]
                    t2, t3 = tiles[4 * i + 2, channel, at : at + columns], tiles[4 * i + 3, channel, at : at + columns]
                    for x in range(columns):
                        a, b, d, e = m[2 * x], m[2 * x + 1], m[2 * x + 2], m[2 * x + 3]
                        t0[x] = a - d
                        t1[x] = b + d
                        t2[x] = d - b
                        t3[x] = b - e


@compiled
def gather_results(tiles: Array, out: Array, bias: Array, rows: int, columns: int) -> None:
    """Fill *out* (N, O, H, W) from the transformed *tiles* of the products, and add *bias* (O)."""
    n, o, h, w = out.shape
    size = 2 * columns
    upper, lower = np.empty((4, columns), out.dtype), np.empty((4, columns), out.dtype)
    wide = np.empty((2, size), out.dtype)
    for image in range(n):
        for channel in range(o):
            for row in range(rows):
                at = (image * rows + row) * columns
                for j in range(4):
                    a, b = tiles[j, channel, at : at + columns], tiles[4 + j, channel, at : at + columns]
                    d, e = tiles[8 + j, channel, at : at + columns], tiles[12 + j, channel, at : at + columns]
                    u, v = upper[j], lower[j]
                    for x in range(columns):
                        u[x] = a[x] + b[x] + d[x]
                        v[x] = b[x] - d[x] - e[x]
                for half in range(2):
                    s = upper if half == 0 else lower
                    s0, s1, s2, s3, line = s[0], s[1], s[2], s[3], wide[half]
                    for x in range(columns):
                        line[2 * x] = s0[x] + s1[x] + s2[x] + bias[channel]
                        line[2 * x + 1] = s1[x] - s2[x] - s3[x] + bias[channel]
                    if 2 * row + half < h:
                        target = out[image, channel, 2 * row + half]
                        for x in range(w):
                            target[x] = line[x]


@compiled
def transform_gradients(grad: Array, tiles: Array, rows: int, columns: int) -> None:
    """Fill *tiles* from *grad* (N, O, H, W), as ``gather_results`` would send gradients back."""
    n, o, h, w = grad.shape
    pair = np.zeros((2, 2 * columns), grad.dtype)
    for image in range(n):
        for channel in range(o):
            for row in range(rows):
                for half in range(2):
                    line = pair[half]
                    if 2 * row + half < h:
                        source = grad[image, channel, 2 * row + half]
                        for x in range(w):
                            line[x] = source[x]
                    else:
                        line[:] = 0
                at = (image * rows + row) * columns
                p, q = pair[0], pair[1]
                for i in range(4):
                    t0, t1 = tiles[4 * i, channel, at : at + columns], tiles[4 * i + 1, channel, at : at + columns]
                    t2, t3 = tiles[4 * i + 2, channel, at : at + columns], tiles[4 * i + 3, channel, at : at + columns]
                    first, second = (1, 0) if i == 0 else (1, 1) if i == 1 else (1, -1) if i == 2 else (0, -1)
                    for x in range(columns):
                        a = first * p[2 * x] + second * q[2 * x]
                        b = first * p[2 * x + 1] + second * q[2 * x + 1]
                        t0[x] = a
                        t1[x] = a + b
                        t2[x] = a - b
                        t3[x] = -b
