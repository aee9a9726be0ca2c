"""The GELU and the softmax, each in one pass over the array where Numba is installed, and their gradients."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..batching import as_array
from .error_function import fastest
from .loops import loops

Array = np.ndarray[Any, Any]


def _loops(*arrays: Array) -> Any:
    return loops("activation", *arrays) if arrays[0].dtype == np.float32 else None


def relu_backward(g: Array, y: Array) -> Array:
    """*g* where *y*, the operand or the result of a relu, is positive or nan, else 0."""
    g = as_array(g, order="C")  # the gradient of a mean is one number seen many times
    faster = loops("activation", y, g)
    if faster is None:
        return relu_backward_by_passes(g, y)
    out = np.empty_like(y)
    faster.relu_backward(g.reshape(-1), y.reshape(-1), out.reshape(-1))
    return out


def relu_backward_by_passes(g: Array, y: Array) -> Array:
    """``relu_backward`` by NumPy."""
    return np.where(y <= 0, g.dtype.type(0), g)


def tanh_backward(g: Array, y: Array) -> Array:
    """g · (1 - y²): the gradient of tanh from *g*, that of its result *y*."""
    g = as_array(g, order="C")
    faster = loops("activation", y, g)
    if faster is None:
        return tanh_backward_by_passes(g, y)
    out = np.empty_like(y)
    faster.tanh_backward(g.reshape(-1), y.reshape(-1), out.reshape(-1))
    return out


def tanh_backward_by_passes(g: Array, y: Array) -> Array:
    """``tanh_backward`` by NumPy."""
    slope: Array = 1 - y * y
    return g * slope


def gelu(x: Array) -> Array:
    """x · Φ(x), with Φ the normal distribution function."""
    faster = _loops(x)
    if faster is None:
        return gelu_by_passes(x)
    out = np.empty_like(x)
    faster.gelu(x.reshape(-1), out.reshape(-1))
    return out


def gelu_by_passes(x: Array) -> Array:
    """``gelu`` by NumPy."""
    result = fastest("erf", x * x.dtype.type(math.sqrt(0.5)))
    result += 1
    result *= x
    result *= x.dtype.type(0.5)
    return result


def gelu_backward(g: Array, x: Array) -> Array:
    """g · (Φ(x) + x · φ(x)): the gradient of ``gelu`` from *g*, that of its result."""
    faster = _loops(x, g)
    if faster is None:
        return gelu_backward_by_passes(g, x)
    out = np.empty_like(x)
    faster.gelu_backward(g.reshape(-1), x.reshape(-1), out.reshape(-1))
    return out


def gelu_backward_by_passes(g: Array, x: Array) -> Array:
    """``gelu_backward`` by NumPy."""
    density: Array = np.exp(np.square(x) * x.dtype.type(-0.5))
    density *= x
    density *= x.dtype.type(1 / math.sqrt(2 * math.pi))
    whole = fastest("erf", x * x.dtype.type(math.sqrt(0.5)))
    whole += 1
    whole *= x.dtype.type(0.5)
    density += whole
    return density * g


def softmax(x: Array, dim: int, scale: float = 1.0) -> Array:
    """exp(scale · x), normalised to a sum of 1 along *dim* (not negative)."""
    faster = _loops(x) if dim == x.ndim - 1 and scale > 0 else None
    if faster is None:
        return softmax_by_passes(x, dim, scale)
    out = np.empty_like(x)
    faster.softmax(x.reshape(-1, x.shape[-1]), np.float32(scale), out.reshape(-1, x.shape[-1]))
    return out


def softmax_by_passes(x: Array, dim: int, scale: float = 1.0) -> Array:
    """``softmax`` by NumPy."""
    axis = dim if x.ndim else None
    if scale != 1.0:
        x = x * x.dtype.type(scale)
    powers: Array = np.exp(x - np.max(x, axis=axis, keepdims=True))
    powers /= np.sum(powers, axis=axis, keepdims=True)
    return powers


def softmax_backward(g: Array, y: Array, dim: int, scale: float = 1.0) -> Array:
    """The gradient of ``softmax`` from *g*, that of its result *y*."""
    faster = _loops(y, g) if dim == y.ndim - 1 else None
    if faster is None:
        return softmax_backward_by_passes(g, y, dim, scale)
    out = np.empty_like(y)
    flat = (-1, y.shape[-1])
    faster.softmax_backward(g.reshape(flat), y.reshape(flat), np.float32(scale), out.reshape(flat))
    return out


def softmax_backward_by_passes(g: Array, y: Array, dim: int, scale: float = 1.0) -> Array:
    """``softmax_backward`` by NumPy."""
    weighted = g * y
    weighted -= y * np.sum(weighted, axis=dim if y.ndim else None, keepdims=True)
    if scale != 1.0:
        weighted *= y.dtype.type(scale)
    return weighted
