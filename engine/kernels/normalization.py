"""Standardisation: mean 0 and variance 1 over some dimensions of an array, times a weight, plus a bias; and its gradients."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..batching import Batched
from .loops import loops

Array = np.ndarray[Any, Any]
Dims = tuple[int, ...]


def standardize(x: Array, weight: Array, bias: Array, dims: Dims, eps: float) -> Array:
    """(x - mean) / sqrt(variance + eps) · weight + bias, with mean and variance of *x* over *dims*.

    weight and bias broadcast to *x*.
    """
    rows = _Layout(x, weight, dims)
    if rows.faster is None:
        return standardize_by_passes(x, weight, bias, dims, eps)
    out = np.empty(x.shape, x.dtype)
    shift = np.ascontiguousarray(np.broadcast_to(bias, weight.shape)).reshape(-1)
    rows.loop("standardize_{}")(rows.seen(x), rows.weight, shift, eps, rows.seen(out))
    return out


def standardize_input(g: Array, x: Array, weight: Array, dims: Dims, eps: float) -> Array:
    """The gradient of ``standardize`` with respect to *x*, from *g*, that of its result."""
    rows = _Layout(x, weight, dims)
    if rows.faster is None or g.dtype != x.dtype:
        return standardize_input_by_passes(g, x, weight, dims, eps)
    out = np.empty(x.shape, x.dtype)
    rows.loop("{}_input")(rows.seen(g), rows.seen(x), rows.weight, eps, rows.seen(out))
    return out


def standardize_weight(g: Array, x: Array, shape: tuple[int, ...], dims: Dims, eps: float) -> Array:
    """The gradient of ``standardize`` with respect to a weight of *shape*, from *g*, that of its result."""
    rows = _Layout(x, np.broadcast_to(x.dtype.type(1), shape), dims)
    if rows.faster is None or g.dtype != x.dtype:
        return standardize_weight_by_passes(g, x, shape, dims, eps)
    out = np.zeros(shape, x.dtype)
    rows.loop("{}_weight")(rows.seen(g), rows.seen(x), eps, out.reshape(-1))
    return out


def channel_moments(x: Array) -> tuple[Array, Array]:
    """The mean and the variance (over N, not N - 1) of each channel of *x* (N, C, …)."""
    faster = loops("normalization", x) if x.ndim > 2 else None
    if faster is None:
        return channel_moments_by_passes(x)
    mean, variance = np.empty(x.shape[1], x.dtype), np.empty(x.shape[1], x.dtype)
    faster.all_channel_moments(x.reshape(*x.shape[:2], -1), mean, variance)
    return mean, variance


def channel_moments_by_passes(x: Array) -> tuple[Array, Array]:
    """``channel_moments`` by NumPy."""
    dims = (0, *range(2, x.ndim))
    return x.mean(axis=dims), x.var(axis=dims)


class _Layout:
    """Whether *x* is standardised by rows, channels or groups of channels, as the loops know them, and how it then is seen."""

    def __init__(self, x: Array, weight: Array, dims: Dims) -> None:
        self.faster: Any = None
        ndim = x.ndim
        if isinstance(x, Batched) or isinstance(weight, Batched):
            return
        if dims == tuple(range(ndim - len(dims), ndim)):
            self.kind, self.shape = "rows", (-1, int(np.prod(x.shape[ndim - len(dims) :])))
            wanted = x.shape[ndim - len(dims) :]
            if dims == (2, 3) and weight.shape == (1, *x.shape[1:3], 1):
                self.kind, self.shape, wanted = "groups", x.shape, weight.shape
        elif ndim > 2 and dims == (0, *range(2, ndim)):
            self.kind, self.shape = "channels", (*x.shape[:2], int(np.prod(x.shape[2:])))
            wanted = (1, x.shape[1], *(1,) * (ndim - 2))
        else:
            return
        if weight.shape != wanted or weight.dtype != x.dtype:
            return
        self.weight = np.ascontiguousarray(weight).reshape(-1)
        self.faster = loops("normalization", x)

    def seen(self, array: Array) -> Array:
        """*array*, of the shape of x, as the loops take it."""
        return np.ascontiguousarray(array).reshape(self.shape)

    def loop(self, name: str) -> Any:
        """The loop called *name*, with the kind in its place."""
        return getattr(self.faster, name.format(self.kind))


def _unit(x: Array, dims: Dims, eps: float) -> tuple[Array, Array]:
    """*x* standardised, and the factor 1 / sqrt(variance + eps)."""
    centered = x - np.mean(x, axis=dims, keepdims=True)
    scale = np.reciprocal(np.sqrt(np.mean(np.square(centered), axis=dims, keepdims=True) + x.dtype.type(eps)))
    centered *= scale
    return centered, scale


def standardize_by_passes(x: Array, weight: Array, bias: Array, dims: Dims, eps: float) -> Array:
    """``standardize`` by NumPy."""
    result: Array = _unit(x, dims, eps)[0]
    result *= weight
    result += bias
    return result


def standardize_input_by_passes(g: Array, x: Array, weight: Array, dims: Dims, eps: float) -> Array:
    """``standardize_input`` by NumPy."""
    unit, scale = _unit(x, dims, eps)
    inner = g * weight
    result: Array = inner - np.mean(inner, axis=dims, keepdims=True)
    unit *= np.mean(inner * unit, axis=dims, keepdims=True)
    result -= unit
    result *= scale
    return result


def standardize_weight_by_passes(g: Array, x: Array, shape: tuple[int, ...], dims: Dims, eps: float) -> Array:
    """``standardize_weight`` by NumPy."""
    unit, _ = _unit(x, dims, eps)
    unit *= g
    added = x.ndim - len(shape)
    stretched = tuple(i for i in range(x.ndim) if i < added or (shape[i - added] == 1 and x.shape[i] != 1))
    total: Array = unit.sum(axis=stretched, keepdims=True)
    return total.reshape(shape)
