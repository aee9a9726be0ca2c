"""Weighted sums of columns: for each point a few elements of an image, by number, and how gradients go back.

Arrays are images (N, C, L), an index (K, N, P) of K elements for each of P points, -1 for one outside, and weights (K, N, P).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .loops import loops

Array = np.ndarray[Any, Any]


def mixed(images: Array, weight: Array, index: Array) -> Array:
    """The sum over k of weight[k, n, p] · images[n, :, index[k, n, p]]: (N, C, P)."""
    result = np.zeros((*images.shape[:2], index.shape[2]), images.dtype)
    faster = loops("sampling", result, images, weight)
    if faster is None:
        return mixed_by_passes(images, weight, index)
    faster.mixed(images, weight, np.ascontiguousarray(index), result)
    return result


def mixed_by_passes(images: Array, weight: Array, index: Array) -> Array:
    """``mixed`` by NumPy."""
    result = np.zeros((*images.shape[:2], index.shape[2]), images.dtype)
    for each, factor in zip(index, weight, strict=True):
        result += _columns(images, each) * factor[:, None]
    return result


def _columns(images: Array, index: Array) -> Array:
    """The columns of *images* at *index* (N, P), and 0 where that is -1: (N, C, P)."""
    found: Array = np.take_along_axis(images, np.maximum(index, 0)[:, None], 2)
    return np.where(index[:, None] < 0, np.zeros((), images.dtype), found)


def spread(g: Array, weight: Array, index: Array, length: int) -> Array:
    """Zeros (N, C, *length*) with weight[k, n, p] · g[n, :, p] added at index[k, n, p]: what ``mixed`` sends back."""
    g = np.ascontiguousarray(g)
    faster = loops("sampling", g, weight)
    if faster is None:
        return spread_by_passes(g, weight, index, length)
    result = np.zeros((*g.shape[:2], length), g.dtype)
    faster.spread(g, weight, np.ascontiguousarray(index), result)
    return result


def spread_by_passes(g: Array, weight: Array, index: Array, length: int) -> Array:
    """``spread`` by NumPy."""
    count, channels, _ = g.shape
    rows = np.arange(count * channels).reshape(count, channels, 1) * (length + 1)
    sums = np.zeros(count * channels * (length + 1))
    for each, factor in zip(index, weight, strict=True):
        places = (rows + (each[:, None] + 1)).reshape(-1)  # the first of each row collects what is outside
        sums += np.bincount(places, (g * factor[:, None]).reshape(-1), minlength=sums.size)
    return sums.reshape(count, channels, length + 1)[:, :, 1:].astype(g.dtype)


def matched(g: Array, images: Array, index: Array) -> Array:
    """The sum over c of g[n, c, p] · images[n, c, index[k, n, p]], the gradient of the weights: (K, N, P)."""
    g = np.ascontiguousarray(g)
    faster = loops("sampling", g, images)
    if faster is None:
        return matched_by_passes(g, images, index)
    result = np.zeros(index.shape, g.dtype)
    faster.matched(g, images, np.ascontiguousarray(index), result)
    return result


def matched_by_passes(g: Array, images: Array, index: Array) -> Array:
    """``matched`` by NumPy."""
    result = np.zeros(index.shape, g.dtype)
    for k, each in enumerate(index):
        result[k] = np.sum(g * _columns(images, each), axis=1)
    return result
