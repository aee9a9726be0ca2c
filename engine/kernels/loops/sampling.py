"""Loops for weighted sums of columns: images (N, C, L), weights and an index (K, N, P), -1 for an element outside."""

from __future__ import annotations

from typing import Any

import numpy as np

from .compiler import compiled

Array = np.ndarray[Any, Any]


@compiled
def mixed(images: Array, weight: Array, index: Array, out: Array) -> None:
    """Add to *out* (N, C, P) the elements at *index*, each times its weight."""
    n, channels, points = out.shape
    for image in range(n):
        for channel in range(channels):
            for k in range(index.shape[0]):
                for p in range(points):
                    at = index[k, image, p]
                    if at >= 0:
                        out[image, channel, p] += weight[k, image, p] * images[image, channel, np.uint64(at)]


@compiled
def spread(g: Array, weight: Array, index: Array, out: Array) -> None:
    """Add to *out* (N, C, L) at *index* what ``mixed`` sends back of *g* (N, C, P)."""
    n, channels, points = g.shape
    for image in range(n):
        for channel in range(channels):
            for k in range(index.shape[0]):
                for p in range(points):
                    at = index[k, image, p]
                    if at >= 0:
                        out[image, channel, np.uint64(at)] += weight[k, image, p] * g[image, channel, p]


@compiled
def matched(g: Array, images: Array, index: Array, out: Array) -> None:
    """Add to *out* (K, N, P) the products of *g* (N, C, P) and the elements at *index*, over all channels."""
    n, channels, points = g.shape
    for image in range(n):
        for channel in range(channels):
            for k in range(index.shape[0]):
                for p in range(points):
                    at = index[k, image, p]
                    if at >= 0:
                        out[k, image, p] += g[image, channel, p] * images[image, channel, np.uint64(at)]
