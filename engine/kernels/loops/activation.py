"""Loops over the elements of activations and along the rows of a softmax; but for relu and tanh in float32."""

from __future__ import annotations

from typing import Any

import numpy as np

from .compiler import compiled
from .functions import erf, exp
from .lanes import wide

Array = np.ndarray[Any, Any]

f = np.float32


@compiled
def relu_backward(g: Array, y: Array, out: Array) -> None:
    """out = 0 where *y* is not positive, else g, for flat arrays."""
    for i in range(y.size):
        out[i] = 0 if y[i] <= 0 else g[i]


@compiled
def tanh_backward(g: Array, y: Array, out: Array) -> None:
    """out = g · (1 - y²), for flat arrays."""
    for i in range(y.size):
        out[i] = g[i] * (1 - y[i] * y[i])


@compiled
def gelu(x: Array, out: Array) -> None:
    """out = x · Φ(x), for flat arrays."""
    wide()
    for i in range(x.size):
        v = x[i]
        out[i] = v * f(0.5) * (f(1.0) + erf(v * f(0.7071067811865476)))


@compiled
def gelu_backward(g: Array, x: Array, out: Array) -> None:
    """out = g · (Φ(x) + x · φ(x)), for flat arrays."""
    wide()
    for i in range(x.size):
        v = x[i]
        whole = f(0.5) * (f(1.0) + erf(v * f(0.7071067811865476)))
        density = exp(v * v * f(-0.5)) * f(0.3989422804014327)
        out[i] = g[i] * (whole + v * density)


@compiled
def row_maximum(x: Array, row: int) -> Any:
    """The greatest element of a row of *x*, nan aside: eight partial maxima, since one is not vectorised."""
    columns = x.shape[1]
    m0 = m1 = m2 = m3 = m4 = m5 = m6 = m7 = x[row, 0]
    for k in range(columns // 8):
        i = np.uint64(8 * k)
        v = x[row, i]
        m0 = v if v > m0 else m0
        v = x[row, i + np.uint64(1)]
        m1 = v if v > m1 else m1
        v = x[row, i + np.uint64(2)]
        m2 = v if v > m2 else m2
        v = x[row, i + np.uint64(3)]
        m3 = v if v > m3 else m3
        v = x[row, i + np.uint64(4)]
        m4 = v if v > m4 else m4
        v = x[row, i + np.uint64(5)]
        m5 = v if v > m5 else m5
        v = x[row, i + np.uint64(6)]
        m6 = v if v > m6 else m6
        v = x[row, i + np.uint64(7)]
        m7 = v if v > m7 else m7
    m0 = max(max(max(m0, m1), max(m2, m3)), max(max(m4, m5), max(m6, m7)))
    for rest in range(columns // 8 * 8, columns):
        m0 = max(m0, x[row, rest])
    return m0


@compiled
def softmax(x: Array, scale: np.float32, out: Array) -> None:
    """The softmax of every row of *x* (M, N) times *scale*."""
    wide()
    rows, columns = x.shape
    for row in range(rows):
        greatest = row_maximum(x, row) * scale
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
