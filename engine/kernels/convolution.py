"""Convolution of images by matrix products: windows laid out as columns, a few images at a time, never leaving the cache."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from . import winograd
from .windows import Geometry, column_blocks, image_blocks, sum_windows_back

Array = np.ndarray[Any, Any]


def _groups(array: Array, groups: int, axis: int) -> list[Array]:
    return np.split(array, groups, axis=axis) if groups > 1 else [array]


def _joined(parts: list[Array], axis: int) -> Array:
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=axis)


def correlate(images: Array, filters: Array, geometry: Geometry, groups: int, bias: Array | None = None) -> Array:
    """The cross-correlation of *images* (N, C, ...) with *filters* (O, C / groups, kernel), plus *bias* (O): (N, O, counts)."""
    shift = np.zeros(filters.shape[0], filters.dtype) if bias is None else bias
    parts = [
        _correlate_group(x, f, b, geometry)
        for x, f, b in zip(
            _groups(images, groups, 1), _groups(filters, groups, 0), _groups(shift, groups, 0), strict=True
        )
    ]
    return _joined(parts, 1)


def _correlate_group(images: Array, filters: Array, bias: Array, geometry: Geometry) -> Array:
    faster = winograd.fit(images, filters.shape, geometry) if images.dtype == filters.dtype else None
    if faster is not None:
        return winograd.correlate(faster, images, filters, bias, geometry)
    n, out = images.shape[0], filters.shape[0]
    matrix = filters.reshape(out, math.prod(filters.shape[1:]))
    result = np.empty((n, out, math.prod(geometry.counts)), dtype=np.result_type(images, filters))
    shifted = bias.any()
    for block, columns in column_blocks(images, geometry):
        np.matmul(matrix, columns, out=result[block])
        if shifted:
            result[block] += bias[:, None]
    return result.reshape(n, out, *geometry.counts)


def correlate_images(grad: Array, filters: Array, shape: tuple[int, ...], geometry: Geometry, groups: int) -> Array:
    """The gradient of ``correlate`` with respect to images of *shape*, from *grad*, that of its result."""
    part = (shape[0], shape[1] // groups, *shape[2:])
    parts = [
        _spread_group(g, f, part, geometry)
        for g, f in zip(_groups(grad, groups, 1), _groups(filters, groups, 0), strict=True)
    ]
    return _joined(parts, 1)


def _spread_group(grad: Array, filters: Array, shape: tuple[int, ...], geometry: Geometry) -> Array:
    grad = np.ascontiguousarray(grad)
    faster = winograd.fit(grad, filters.shape, geometry) if grad.dtype == filters.dtype else None
    if faster is not None:
        return winograd.correlate_images(faster, grad, filters, geometry, shape)
    out, (n, c) = filters.shape[0], shape[:2]
    matrix = np.ascontiguousarray(filters.reshape(out, math.prod(filters.shape[1:])).T)
    flat = grad.reshape(n, out, math.prod(geometry.counts))
    if geometry.is_identity and shape[2:] == geometry.counts:
        spread: Array = np.matmul(matrix, flat)
        return spread.reshape(shape)
    result = np.empty(shape, dtype=np.result_type(grad, filters))
    for block in image_blocks(n, matrix.shape[0] * flat.shape[2] * flat.itemsize):
        patches = np.matmul(matrix, flat[block])
        patches = patches.reshape(len(patches), c, *geometry.kernel, *geometry.counts)
        result[block] = sum_windows_back(patches, (len(patches), *shape[1:]), geometry)
    return result


def correlate_filters(
    grad: Array, images: Array, shape: tuple[int, ...], geometry: Geometry, groups: int, each: int | None = None
) -> Array:
    """The gradient of ``correlate`` with respect to filters of *shape*, from *grad*, that of its result.

    With *each*, the images are in sets of so many, and the result is the gradients (sets, *shape*) of every one.
    """
    part = (shape[0] // groups, *shape[1:])
    parts = [
        _gather_group(g, x, part, geometry, each)
        for g, x in zip(_groups(grad, groups, 1), _groups(images, groups, 1), strict=True)
    ]
    return _joined(parts, 0 if each is None else 1)


def _gather_group(
    grad: Array, images: Array, shape: tuple[int, ...], geometry: Geometry, each: int | None = None
) -> Array:
    grad = np.ascontiguousarray(grad)
    alike = images.dtype == grad.dtype and each is None
    faster = winograd.fit(images, shape, geometry) if alike else None
    if faster is not None:
        return winograd.correlate_filters(faster, grad, images, geometry)
    n, out = grad.shape[:2]
    flat = grad.reshape(n, out, math.prod(geometry.counts))
    sets = 1 if each is None else n // max(each, 1)
    totals = np.zeros((sets, out, shape[1] * geometry.area), dtype=np.result_type(grad, images))
    product = np.empty_like(totals[0]) if sets else totals
    for block, columns in column_blocks(images, geometry):
        for i, (g, c) in enumerate(zip(flat[block], columns, strict=True), block.start):
            total = totals[0 if each is None else i // each]
            total += np.matmul(g, c.T, out=product)
    return totals.reshape(shape if each is None else (sets, *shape))
