"""Loops that bring rows of a matrix, or the channels of images, to mean 0 and variance 1, and their gradients."""

from __future__ import annotations

from typing import Any

import numpy as np

from .compiler import compiled

Array = np.ndarray[Any, Any]


@compiled
def standardize_rows(x: Array, weight: Array, bias: Array, eps: float, out: Array) -> None:
    """Each row of *x* (M, N) standardised, · weight (N) + bias (N)."""
    rows, n = x.shape
    for row in range(rows):
        mean, scale = row_moments(x, row, eps)
        for i in range(n):
            out[row, i] = (x[row, i] - mean) * scale * weight[i] + bias[i]


@compiled
def row_moments(x: Array, row: int, eps: float) -> Any:
    """The mean of a row of *x*, and 1 / sqrt(variance + eps)."""
    n = x.shape[1]
    total = x.dtype.type(0)
    for i in range(n):
        total += x[row, i]
    mean = x.dtype.type(total / n)
    total = x.dtype.type(0)
    for i in range(n):
        d = x[row, i] - mean
        total += d * d
    return mean, x.dtype.type(1 / np.sqrt(total / n + eps))


@compiled
def rows_input(g: Array, x: Array, weight: Array, eps: float, out: Array) -> None:
    """The gradient of ``standardize_rows`` with respect to *x*, from *g*, that of its result."""
    rows, n = x.shape
    for row in range(rows):
        mean, scale = row_moments(x, row, eps)
        first, second = x.dtype.type(0), x.dtype.type(0)
        for i in range(n):
            h = g[row, i] * weight[i]
            first += h
            second += h * (x[row, i] - mean)
        first = x.dtype.type(first / n)
        second = x.dtype.type(second / n) * scale * scale
        for i in range(n):
            out[row, i] = scale * (g[row, i] * weight[i] - first - (x[row, i] - mean) * second)


@compiled
def rows_weight(g: Array, x: Array, eps: float, out: Array) -> None:
    """Add to *out* (N) the gradient of ``standardize_rows`` with respect to its weight."""
    rows, n = x.shape
    for row in range(rows):
        mean, scale = row_moments(x, row, eps)
        for i in range(n):
            out[i] += g[row, i] * (x[row, i] - mean) * scale


@compiled
def standardize_groups(x: Array, weight: Array, bias: Array, eps: float, out: Array) -> None:
    """Each group of *x* (N, G, C, L) standardised, · weight (G · C) + bias (G · C)."""
    n, groups, channels, length = x.shape
    rows = x.reshape(n * groups, channels * length)
    for row in range(n * groups):
        mean, scale = row_moments(rows, row, eps)
        image, group = row // groups, row % groups
        for channel in range(channels):
            factor = scale * weight[group * channels + channel]
            shift = bias[group * channels + channel]
            for i in range(length):
                out[image, group, channel, i] = (x[image, group, channel, i] - mean) * factor + shift


@compiled
def group_products(g: Array, x: Array, place: Any, mean: Any) -> Any:
    """The sums of *g* and of g · (x - mean) over a channel, which is at *place* (image, group, channel)."""
    image, group, channel = place
    first, second = x.dtype.type(0), x.dtype.type(0)
    for i in range(x.shape[3]):
        first += g[image, group, channel, i]
        second += g[image, group, channel, i] * (x[image, group, channel, i] - mean)
    return first, second


@compiled
def groups_input(g: Array, x: Array, weight: Array, eps: float, out: Array) -> None:
    """The gradient of ``standardize_groups`` with respect to *x*, from *g*, that of its result."""
    n, groups, channels, length = x.shape
    rows = x.reshape(n * groups, channels * length)
    for row in range(n * groups):
        mean, scale = row_moments(rows, row, eps)
        image, group = row // groups, row % groups
        first, second = 0.0, 0.0
        for channel in range(channels):
            a, b = group_products(g, x, (image, group, channel), mean)
            first += a * weight[group * channels + channel]
            second += b * weight[group * channels + channel]
        shift = x.dtype.type(first / (channels * length)) * scale
        slope = x.dtype.type(second / (channels * length)) * scale * scale * scale
        for channel in range(channels):
            factor = scale * weight[group * channels + channel]
            for i in range(length):
                d = x[image, group, channel, i] - mean
                out[image, group, channel, i] = g[image, group, channel, i] * factor - shift - d * slope


@compiled
def groups_weight(g: Array, x: Array, eps: float, out: Array) -> None:
    """Add to *out* (G · C) the gradient of ``standardize_groups`` with respect to its weight."""
    n, groups, channels, length = x.shape
    rows = x.reshape(n * groups, channels * length)
    for row in range(n * groups):
        mean, scale = row_moments(rows, row, eps)
        image, group = row // groups, row % groups
        for channel in range(channels):
            _, second = group_products(g, x, (image, group, channel), mean)
            out[group * channels + channel] += second * scale


@compiled
def channel_moments(x: Array, channel: int, eps: float) -> Any:
    """The mean of a channel of *x* (N, C, L), and 1 / sqrt(variance + eps)."""
    n, _, length = x.shape
    total = 0.0
    for image in range(n):
        part = x.dtype.type(0)
        for i in range(length):
            part += x[image, channel, i]
        total += part
    mean = x.dtype.type(total / (n * length))
    total = 0.0
    for image in range(n):
        part = x.dtype.type(0)
        for i in range(length):
            d = x[image, channel, i] - mean
            part += d * d
        total += part
    return mean, x.dtype.type(1 / np.sqrt(total / (n * length) + eps))


@compiled
def standardize_channels(x: Array, weight: Array, bias: Array, eps: float, out: Array) -> None:
    """Each channel of *x* (N, C, L) standardised, · weight (C) + bias (C)."""
    n, channels, length = x.shape
    for channel in range(channels):
        mean, scale = channel_moments(x, channel, eps)
        factor = scale * weight[channel]
        shift = bias[channel]
        for image in range(n):
            for i in range(length):
                out[image, channel, i] = (x[image, channel, i] - mean) * factor + shift


@compiled
def channel_products(g: Array, x: Array, channel: int, mean: Any) -> Any:
    """The sums of *g* and of g · (x - mean) over a channel."""
    n, _, length = x.shape
    first, second = 0.0, 0.0
    for image in range(n):
        a, b = x.dtype.type(0), x.dtype.type(0)
        for i in range(length):
            a += g[image, channel, i]
            b += g[image, channel, i] * (x[image, channel, i] - mean)
        first += a
        second += b
    return first, second


@compiled
def channels_input(g: Array, x: Array, weight: Array, eps: float, out: Array) -> None:
    """The gradient of ``standardize_channels`` with respect to *x*, from *g*, that of its result."""
    n, channels, length = x.shape
    for channel in range(channels):
        mean, scale = channel_moments(x, channel, eps)
        first, second = channel_products(g, x, channel, mean)
        factor = scale * weight[channel]
        shift = x.dtype.type(first / (n * length))
        slope = x.dtype.type(second / (n * length)) * scale * scale
        for image in range(n):
            for i in range(length):
                out[image, channel, i] = factor * (g[image, channel, i] - shift - (x[image, channel, i] - mean) * slope)


@compiled
def channels_weight(g: Array, x: Array, eps: float, out: Array) -> None:
    """Fill *out* (C) with the gradient of ``standardize_channels`` with respect to its weight."""
    for channel in range(x.shape[1]):
        mean, scale = channel_moments(x, channel, eps)
        _, second = channel_products(g, x, channel, mean)
        out[channel] = second * scale


@compiled
def all_channel_moments(x: Array, mean: Array, variance: Array) -> None:
    """Fill *mean* and *variance* (C) with those of the channels of *x* (N, C, L)."""
    for channel in range(x.shape[1]):
        mean[channel], scale = channel_moments(x, channel, 0.0)
        variance[channel] = 1 / (scale * scale)
