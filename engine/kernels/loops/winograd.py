"""Loops for convolution with 3×3 filters by Winograd's minimal filtering F(2×2, 3×3) (Lavin and Gray 2016).

An image is cut into tiles of 4×4 that overlap by 2; each gives 2×2 results. Tiles and filters are transformed into 16 numbers for
each channel, and what was a convolution is 16 products of matrices with 2.25 times fewer multiplications. Transformed tiles
are (16, C, images · tiles), those of an image in rows, with one unused tile at the end of each row: then all that a tile
needs of its neighbours lies at a fixed distance, and one loop runs over all rows.

Loops that read and write through many pointers are not vectorised, since these might overlap. So 64 tiles at a time are
copied into one small block, transformed within it and copied out.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .compiler import compiled

Array = np.ndarray[Any, Any]

AT_ONCE = 64  # tiles; as a literal below, since distances within the block must be constant for the compiler


@compiled
def copy(source: Array, at: int, target: Array, to: int, size: int) -> None:
    """target[to:to + size] = source[at:at + size] for flat arrays, without counting references to slices."""
    a, b = np.uint64(at), np.uint64(to)  # an unsigned index is not tried for counting from the end
    for x in range(np.uint64(size)):
        target[b + x] = source[a + x]


@compiled
def split(image: Array, at: int, size: Any, quarters: Array, length: int, columns: int, top: int, left: int) -> None:
    """Deal the image of *size* at *at* to four of *length*: of its even and odd rows, the even and odd columns."""
    h, w = size
    for y in range(h):
        begin = (y + top) % 2 * 2 * length + (y + top) // 2 * (columns + 1)
        a = np.uint64(at + y * w)
        b = np.uint64(begin + left % 2 * length + left // 2)
        d = np.uint64(begin + (1 - left % 2) * length + (left + 1) // 2)
        for x in range(np.uint64(w // 2)):
            quarters[b + x] = image[a + x + x]
            quarters[d + x] = image[a + x + x + np.uint64(1)]
        if w % 2:
            quarters[b + np.uint64(w // 2)] = image[a + np.uint64(w - 1)]


@compiled
def transform_images(images: Array, tiles: Array, rows: int, columns: int, top: int, left: int) -> None:
    """Fill *tiles* from *images* (N, C, H, W) with *top* and *left* zeros before each; *rows* · *columns* tiles an image."""
    n, c, h, w = images.shape
    s = columns + 1
    count = rows * s
    length = count + s + 80
    quarters = np.zeros(4 * length, images.dtype)
    pixels, flat, between = images.reshape(-1), tiles.reshape(-1), tiles.shape[1] * tiles.shape[2]
    b = np.zeros(8 * 80 + 16 * 64, images.dtype)
    for image in range(n):
        for channel in range(c):
            split(pixels, (image * c + channel) * h * w, (h, w), quarters, length, columns, top, left)
            begin = channel * tiles.shape[2] + image * count
            for start in range(0, count, 64):
                for q in range(4):
                    copy(quarters, q * length + start, b, q * 160, 80)
                    copy(quarters, q * length + start + s, b, q * 160 + 80, 80)
                for x in range(64):
                    # element (i, j) of the tile: row 0 and 2 in quarters 0 and 1, row 1 and 3 in quarters 2 and 3
                    p00, p01, p02, p03 = b[x], b[160 + x], b[x + 1], b[161 + x]
                    p10, p11, p12, p13 = b[320 + x], b[480 + x], b[321 + x], b[481 + x]
                    p20, p21, p22, p23 = b[80 + x], b[240 + x], b[81 + x], b[241 + x]
                    p30, p31, p32, p33 = b[400 + x], b[560 + x], b[401 + x], b[561 + x]
                    u0, u1, u2, u3 = p00 - p20, p01 - p21, p02 - p22, p03 - p23
                    b[640 + x] = u0 - u2
                    b[704 + x] = u1 + u2
                    b[768 + x] = u2 - u1
                    b[832 + x] = u1 - u3
                    u0, u1, u2, u3 = p10 + p20, p11 + p21, p12 + p22, p13 + p23
                    b[896 + x] = u0 - u2
                    b[960 + x] = u1 + u2
                    b[1024 + x] = u2 - u1
                    b[1088 + x] = u1 - u3
                    u0, u1, u2, u3 = p20 - p10, p21 - p11, p22 - p12, p23 - p13
                    b[1152 + x] = u0 - u2
                    b[1216 + x] = u1 + u2
                    b[1280 + x] = u2 - u1
                    b[1344 + x] = u1 - u3
                    u0, u1, u2, u3 = p10 - p30, p11 - p31, p12 - p32, p13 - p33
                    b[1408 + x] = u0 - u2
                    b[1472 + x] = u1 + u2
                    b[1536 + x] = u2 - u1
                    b[1600 + x] = u1 - u3
                for i in range(16):
                    copy(b, 640 + 64 * i, flat, i * between + begin + start, min(64, count - start))


@compiled
def transform_gradients(grad: Array, tiles: Array, rows: int, columns: int) -> None:
    """Fill *tiles* from *grad* (N, O, H, W), as ``gather_results`` would send gradients back."""
    n, o, h, w = grad.shape
    s = columns + 1
    count = rows * s
    length = count + 64
    quarters = np.zeros(4 * length, grad.dtype)
    pixels, flat, between = grad.reshape(-1), tiles.reshape(-1), tiles.shape[1] * tiles.shape[2]
    b = np.zeros(4 * 64 + 16 * 64, grad.dtype)
    for image in range(n):
        for channel in range(o):
            split(pixels, (image * o + channel) * h * w, (h, w), quarters, length, columns, 0, 0)
            begin = channel * tiles.shape[2] + image * count
            for start in range(0, count, 64):
                for q in range(4):
                    copy(quarters, q * length + start, b, q * 64, 64)
                for x in range(64):
                    p0, p1, q0, q1 = b[x], b[64 + x], b[128 + x], b[192 + x]
                    b[256 + x], b[320 + x], b[384 + x], b[448 + x] = p0, p0 + p1, p0 - p1, -p1
                    s0, s1 = p0 + q0, p1 + q1
                    b[512 + x], b[576 + x], b[640 + x], b[704 + x] = s0, s0 + s1, s0 - s1, -s1
                    s0, s1 = p0 - q0, p1 - q1
                    b[768 + x], b[832 + x], b[896 + x], b[960 + x] = s0, s0 + s1, s0 - s1, -s1
                    b[1024 + x], b[1088 + x], b[1152 + x], b[1216 + x] = -q0, -q0 - q1, q1 - q0, q1
                for i in range(16):
                    copy(b, 256 + 64 * i, flat, i * between + begin + start, min(64, count - start))


@compiled
def join(quarters: Array, length: int, columns: int, image: Array, at: int, size: Any) -> None:
    """The reverse of ``split``."""
    h, w = size
    for y in range(h):
        a, b = np.uint64(y % 2 * 2 * length + y // 2 * (columns + 1)), np.uint64(at + y * w)
        d = a + np.uint64(length)
        for x in range(np.uint64(w // 2)):
            image[b + x + x] = quarters[a + x]
            image[b + x + x + np.uint64(1)] = quarters[d + x]
        if w % 2:
            image[at + y * w + w - 1] = quarters[a + np.uint64(w // 2)]


@compiled
def gather_results(tiles: Array, out: Array, bias: Array, rows: int, columns: int) -> None:
    """Fill *out* (N, O, H, W) from the transformed *tiles* of the products, and add *bias* (O)."""
    n, o, h, w = out.shape
    count = rows * (columns + 1)
    length = count + 64
    quarters = np.empty(4 * length, out.dtype)
    pixels, flat, between = out.reshape(-1), tiles.reshape(-1), tiles.shape[1] * tiles.shape[2]
    b = np.zeros(16 * 64 + 4 * 64, out.dtype)
    for image in range(n):
        for channel in range(o):
            c = bias[channel]
            begin = channel * tiles.shape[2] + image * count
            for start in range(0, count, 64):
                size = min(64, count - start)
                for i in range(16):
                    copy(flat, i * between + begin + start, b, 64 * i, size)
                for x in range(64):
                    e0 = b[x] + b[256 + x] + b[512 + x]
                    e1 = b[64 + x] + b[320 + x] + b[576 + x]
                    e2 = b[128 + x] + b[384 + x] + b[640 + x]
                    e3 = b[192 + x] + b[448 + x] + b[704 + x]
                    b[1024 + x] = e0 + e1 + e2 + c
                    b[1088 + x] = e1 - e2 - e3 + c
                    e0 = b[256 + x] - b[512 + x] - b[768 + x]
                    e1 = b[320 + x] - b[576 + x] - b[832 + x]
                    e2 = b[384 + x] - b[640 + x] - b[896 + x]
                    e3 = b[448 + x] - b[704 + x] - b[960 + x]
                    b[1152 + x] = e0 + e1 + e2 + c
                    b[1216 + x] = e1 - e2 - e3 + c
                for q in range(4):
                    copy(b, 1024 + 64 * q, quarters, q * length + start, size)
            join(quarters, length, columns, pixels, (image * o + channel) * h * w, (h, w))
