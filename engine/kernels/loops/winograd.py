"""Loops for convolution with 3×3 filters by Winograd's minimal filtering F(2×2, 3×3) (Lavin and Gray 2016).

An image is cut into tiles of 4×4 that overlap by 2; each gives 2×2 results. Tiles and filters are transformed into 16 numbers for
each channel, and what was a convolution is 16 products of matrices with 2.25 times fewer multiplications. Transformed tiles
are (16, C, images · tiles), those of an image in rows. Sixteen tiles of a row are worked on at a time; what is written beyond its
end is overwritten by the next row, and lies in ``SPARE`` elements that nobody reads after the last.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .compiler import compiled
from .lanes import WIDTH, Lanes, Rows, lanewise

Array = np.ndarray[Any, Any]
Four = tuple[Lanes, Lanes, Lanes, Lanes]

SPARE = WIDTH


def _image_points(a: Lanes, b: Lanes, c: Lanes, d: Lanes) -> Four:
    return a - c, b + c, c - b, b - d


def _gradient_points(a: Lanes, b: Lanes) -> Four:
    return a, a + b, a - b, -b


def _results(a: Lanes, b: Lanes, c: Lanes, d: Lanes) -> tuple[Lanes, Lanes]:
    return a + b + c, b - c - d


@lanewise
def image_tiles(pixels: Rows, points: Rows) -> None:
    """Transform sixteen tiles, two pixels apart, of four rows of *pixels* to the 16 rows of *points*."""
    tiles = zip(*((*pixels.load_pairs(y), *pixels.load_pairs(y, 2)) for y in range(4)), strict=True)
    for i, across in enumerate(zip(*(_image_points(*column) for column in tiles), strict=True)):
        for j, point in enumerate(_image_points(*across)):
            points.store(point, 4 * i + j)


@lanewise
def gradient_tiles(pixels: Rows, points: Rows) -> None:
    """Transform sixteen tiles of 2×2 gradients in two rows of *pixels*, as ``result_tiles`` would send them back."""
    tiles = zip(pixels.load_pairs(0), pixels.load_pairs(1), strict=True)
    for i, across in enumerate(zip(*(_gradient_points(*column) for column in tiles), strict=True)):
        for j, point in enumerate(_gradient_points(*across)):
            points.store(point, 4 * i + j)


@lanewise
def result_tiles(points: Rows, pixels: Rows) -> None:
    """Transform the 16 rows of *points* of sixteen tiles to their 2×2 results, in two rows of *pixels*."""
    columns = (_results(*(points.load(4 * i + j) for i in range(4))) for j in range(4))
    for y, across in enumerate(zip(*columns, strict=True)):
        pixels.store_pairs(*_results(*across), y)


@compiled
def copy(source: Array, at: int, target: Array, to: int, size: int, added: Any) -> None:
    """target[to:to + size] = source[at:at + size] + added for flat arrays, without counting references to slices."""
    a, b = np.uint64(at), np.uint64(to)  # an unsigned index is not tried for counting from the end
    for x in range(np.uint64(size)):
        target[b + x] = source[a + x] + added


@compiled
def pad_rows(image: Array, at: int, size: Any, seen: Array, first: int, count: int, left: int) -> None:
    """Fill the rows of *seen* with *count* rows of the image of *size* at *at*, from the row *first* on; zeros around it."""
    h, w = size
    wide = seen.size // count
    for i in range(count):
        y = first + i
        if 0 <= y < h:
            copy(image, at + y * w, seen, i * wide + left, w, seen.dtype.type(0))
        else:
            for x in range(i * wide, (i + 1) * wide):
                seen[x] = 0


@compiled
def transform_images(images: Array, first: int, last: int, tiles: Array, rows: int, columns: int, margin: Any) -> None:
    """Fill *tiles* from *images* (N, C, H, W) with *margin* (top, left) zeros before each and *rows* · *columns* tiles an image.

    Rows of tiles are counted through all images; those from *first* to *last* are wanted.
    """
    _, c, h, w = images.shape
    length = tiles.shape[2]
    wide = 2 * (columns + 16)
    pixels, flat = images.reshape(-1), tiles.reshape(-1)
    row = first
    while row < last:
        image, top = row // rows, row % rows
        count = min(rows - top, last - row)
        seen = np.zeros((2 * count + 2) * wide, images.dtype)
        for channel in range(c):
            pad_rows(pixels, (image * c + channel) * h * w, (h, w), seen, 2 * top - margin[0], 2 * count + 2, margin[1])
            for y in range(count):
                begin = channel * length + (row - first + y) * columns
                for x in range(0, columns, 16):
                    image_tiles(seen, 2 * y * wide + 2 * x, wide, flat, begin + x, c * length)
        row += count


@compiled
def transform_gradients(grad: Array, first: int, last: int, tiles: Array, rows: int, columns: int) -> None:
    """Fill *tiles* from *grad* (N, O, H, W), as ``gather_results`` would send gradients back."""
    _, o, h, w = grad.shape
    length = tiles.shape[2]
    wide = 2 * (columns + 16)
    pixels, flat = grad.reshape(-1), tiles.reshape(-1)
    row = first
    while row < last:
        image, top = row // rows, row % rows
        count = min(rows - top, last - row)
        seen = np.zeros(2 * count * wide, grad.dtype)
        for channel in range(o):
            pad_rows(pixels, (image * o + channel) * h * w, (h, w), seen, 2 * top, 2 * count, 0)
            for y in range(count):
                begin = channel * length + (row - first + y) * columns
                for x in range(0, columns, 16):
                    gradient_tiles(seen, 2 * y * wide + 2 * x, wide, flat, begin + x, o * length)
        row += count


@compiled
def gather_results(tiles: Array, first: int, last: int, out: Array, bias: Array, rows: int, columns: int) -> None:
    """Fill *out* (N, O, H, W) from the transformed *tiles* of the products, and add *bias* (O)."""
    _, o, h, w = out.shape
    length = tiles.shape[2]
    wide = 2 * (columns + 16)
    seen = np.empty(2 * wide, out.dtype)
    pixels, flat = out.reshape(-1), tiles.reshape(-1)
    row = first
    while row < last:
        image, top = row // rows, row % rows
        count = min(rows - top, last - row)
        for channel in range(o):
            for y in range(top, top + count):
                begin = channel * length + (row - first + y - top) * columns
                for x in range(0, columns, 16):
                    result_tiles(flat, begin + x, o * length, seen, 2 * x, wide)
                to = ((image * o + channel) * h + 2 * y) * w
                copy(seen, 0, pixels, to, w, bias[channel])
                if 2 * y + 1 < h:
                    copy(seen, wide, pixels, to + w, w, bias[channel])
        row += count
