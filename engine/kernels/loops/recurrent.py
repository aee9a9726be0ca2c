"""Loops for one step of a long short-term memory in float32, forward and backward."""

from __future__ import annotations

from typing import Any

import numpy as np

from .compiler import compiled
from .functions import sigmoid, tanh
from .lanes import wide

Array = np.ndarray[Any, Any]

f = np.float32


@compiled
def lstm_step(product: Array, projected: Array, before: Array, gates: Array, cell: Array, hidden: Array) -> None:
    """Fill *gates* (n, 4 · width, activated), *cell* and *hidden* (n, width) of one step; the rest is as wide."""
    wide()
    n, width = cell.shape
    p, q, g = product.reshape(-1), projected.reshape(-1), gates.reshape(-1)
    b, c, h = before.reshape(-1), cell.reshape(-1), hidden.reshape(-1)
    w = np.uint64(width)  # unsigned indices are not tried for counting from the end
    for row in range(np.uint64(n)):
        at, to = row * np.uint64(4) * w, row * w
        for i in range(w + w):
            g[at + i] = sigmoid(p[at + i] + q[at + i])
        for i in range(w + w, w + w + w):
            g[at + i] = tanh(p[at + i] + q[at + i])
        for i in range(w + w + w, np.uint64(4) * w):
            g[at + i] = sigmoid(p[at + i] + q[at + i])
        for i in range(w):
            c[to + i] = g[at + w + i] * b[to + i] + g[at + i] * g[at + w + w + i]
        for i in range(w):
            h[to + i] = g[at + w + w + w + i] * tanh(c[to + i])


@compiled
def lstm_step_backward(
    gates: Array, before: Array, cell: Array, by_hidden: Array, by_cell: Array, by_gates: Array
) -> None:
    """Fill *by_gates* with the gradient of the gates before activation, and turn *by_cell* into that of *before*."""
    wide()
    n, width = cell.shape
    g, d = gates.reshape(-1), by_gates.reshape(-1)
    b, c = before.reshape(-1), cell.reshape(-1)
    dh, dc = by_hidden.reshape(-1), by_cell.reshape(-1)
    w = np.uint64(width)
    change, slope = np.empty(width, f), np.empty(width, f)
    for row in range(np.uint64(n)):
        first, to = row * np.uint64(4) * w, row * w
        second, third, fourth = first + w, first + w + w, first + w + w + w
        for k in range(w):
            slope[k] = tanh(c[to + k])
        for k in range(w):
            o = g[fourth + k]
            d[fourth + k] = dh[to + k] * slope[k] * o * (f(1.0) - o)
            change[k] = dc[to + k] + dh[to + k] * o * (f(1.0) - slope[k] * slope[k])
        for k in range(w):
            d[first + k] = change[k] * g[third + k] * g[first + k] * (f(1.0) - g[first + k])
        for k in range(w):
            d[third + k] = change[k] * g[first + k] * (f(1.0) - g[third + k] * g[third + k])
        for k in range(w):
            d[second + k] = change[k] * b[to + k] * g[second + k] * (f(1.0) - g[second + k])
        for k in range(w):
            dc[to + k] = change[k] * g[second + k]
