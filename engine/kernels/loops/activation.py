"""Loops over the elements of activations and along the rows of a softmax, in float32."""

from __future__ import annotations

from typing import Any

import numpy as np

from .compiler import compiled
from .functions import erf, exp

Array = np.ndarray[Any, Any]

f = np.float32


@compiled
def gelu(x: Array, out: Array) -> None:
    """out = x · Φ(x), for flat arrays."""
    for i in range(x.size):
        v = x[i]
        out[i] = v * f(0.5) * (f(1.0) + erf(v * f(0.7071067811865476)))


@compiled
def gelu_backward(g: Array, x: Array, out: Array) -> None:
    """out = g · (Φ(x) + x · φ(x)), for flat arrays."""
    for i in range(x.size):
        v = x[i]
        whole = f(0.5) * (f(1.0) + erf(v * f(0.7071067811865476)))
        density = exp(v * v * f(-0.5)) * f(0.3989422804014327)
        out[i] = g[i] * (whole + v * density)


@compiled
def softmax(x: Array, scale: np.float32, out: Array) -> None:
    """The softmax of every row of *x* (M, N) times *scale*."""
    rows, columns = x.shape
    for row in range(rows):
        greatest = x[row, 0] * scale
        for i in range(columns):
            value = x[row, i] * scale
            greatest = value if value > greatest else greatest
        for i in range(columns):
            out[row, i] = exp(x[row, i] * scale - greatest)
        total = f(0.0)
        for i in range(columns):
            total += out[row, i]
        factor = f(1.0) / total
        for i in range(columns):
            out[row, i] *= factor


@compiled
def softmax_backward(g: Array, y: Array, scale: np.float32, out: Array) -> None:
    """scale · y · (g - sum(g · y)) for every row of the gradient *g* and the softmax *y* (M, N)."""
    rows, columns = y.shape
    for row in range(rows):
        total = f(0.0)
        for i in range(columns):
            total += g[row, i] * y[row, i]
        for i in range(columns):
            out[row, i] = y[row, i] * scale * (g[row, i] - total)
