"""Loops over the elements of flat float32 arrays: functions of one number, and how gradients pass through them.

Each does in one pass what its twin, an expression of NumPy beside the operation, does in several.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from . import functions
from .compiler import compiled
from .functions import exp, expm1, log1p_exp
from .lanes import wide

Array = np.ndarray[Any, Any]
Number = np.float32

f = np.float32


@compiled
def relu(x: Array, out: Array) -> None:
    """x where it is positive or nan, else 0."""
    for i in range(x.size):
        out[i] = f(0.0) if x[i] <= 0 else x[i]


@compiled
def sigmoid(x: Array, out: Array) -> None:
    """1 / (1 + exp(-x))."""
    wide()
    for i in range(x.size):
        out[i] = functions.sigmoid(x[i])


@compiled
def sigmoid_backward(g: Array, y: Array, out: Array) -> None:
    """g · y · (1 - y)."""
    for i in range(y.size):
        out[i] = g[i] * (y[i] * (f(1.0) - y[i]))


@compiled
def silu(x: Array, out: Array) -> None:
    """x / (1 + exp(-x))."""
    wide()
    for i in range(x.size):
        out[i] = x[i] / (f(1.0) + exp(-x[i]))


@compiled
def silu_backward(g: Array, x: Array, out: Array) -> None:
    """g · s · (1 + x · (1 - s)) with s = sigmoid(x)."""
    wide()
    for i in range(x.size):
        s = functions.sigmoid(x[i])
        out[i] = g[i] * (s * (f(1.0) + x[i] * (f(1.0) - s)))


@compiled
def softplus(x: Array, beta: Number, threshold: Number, out: Array) -> None:
    """log(1 + exp(beta · x)) / beta; x where beta · x exceeds *threshold*."""
    wide()
    for i in range(x.size):
        v = x[i] * beta
        smooth = ((v if v > 0 else f(0.0)) + log1p_exp(-abs(v))) / beta
        out[i] = x[i] if v > threshold else smooth


@compiled
def softplus_backward(g: Array, x: Array, beta: Number, threshold: Number, out: Array) -> None:
    """g · sigmoid(beta · x), g where beta · x exceeds *threshold*, which it reaches from below."""
    wide()
    for i in range(x.size):
        v = x[i] * beta
        slope = functions.sigmoid(threshold if v >= threshold else v)
        out[i] = g[i] if v > threshold else g[i] * slope


@compiled
def logsigmoid(x: Array, out: Array) -> None:
    """log(sigmoid(x))."""
    wide()
    for i in range(x.size):
        out[i] = (x[i] if x[i] < 0 else f(0.0)) - log1p_exp(-abs(x[i]))


@compiled
def logsigmoid_backward(g: Array, x: Array, out: Array) -> None:
    """g · sigmoid(-x)."""
    wide()
    for i in range(x.size):
        out[i] = g[i] * functions.sigmoid(-x[i])


@compiled
def elu(x: Array, below: Number, above: Number, inner: Number, out: Array) -> None:
    """below · (exp(inner · x) - 1) where x is not positive, else above · x."""
    wide()
    for i in range(x.size):
        v = x[i]
        bent = expm1((v if v < 0 else f(0.0)) * inner) * below
        out[i] = bent if v <= 0 else v * above


@compiled
def elu_backward(g: Array, x: Array, below: Number, above: Number, inner: Number, out: Array) -> None:
    """g · below · exp(inner · x) where x is not positive, else g · above."""
    wide()
    for i in range(x.size):
        v = x[i]
        bent = exp((v if v < 0 else f(0.0)) * inner) * below
        out[i] = g[i] * (bent if v <= 0 else above)


@compiled
def leaky_relu(x: Array, slope: Number, out: Array) -> None:
    """x where it is positive, else slope · x."""
    for i in range(x.size):
        out[i] = x[i] if x[i] > 0 else x[i] * slope


@compiled
def leaky_relu_backward(g: Array, x: Array, slope: Number, out: Array) -> None:
    """g where x is positive, else slope · g."""
    for i in range(x.size):
        out[i] = g[i] if x[i] > 0 else g[i] * slope


@compiled
def hardtanh_backward(g: Array, x: Array, least: Number, most: Number, out: Array) -> None:
    """0 where x is *least* or less, or *most* or more, else g."""
    for i in range(x.size):
        out[i] = f(0.0) if (x[i] <= least) | (x[i] >= most) else g[i]


@compiled
def hardswish(x: Array, out: Array) -> None:
    """x · (x + 3) / 6, the second factor held between 0 and 6."""
    for i in range(x.size):
        t = x[i] + f(3.0)
        t = f(0.0) if t < 0 else t
        t = f(6.0) if t > 6 else t
        out[i] = x[i] * t / f(6.0)


@compiled
def hardswish_backward(g: Array, x: Array, out: Array) -> None:
    """0 up to -3, g from 3 on, and g · (x / 3 + 1/2) between."""
    for i in range(x.size):
        v = x[i]
        between = g[i] * (v / f(3.0) + f(0.5))
        out[i] = f(0.0) if v <= -3 else between if v < 3 else g[i]


@compiled
def erf(x: Array, out: Array) -> None:
    """The error function."""
    wide()
    for i in range(x.size):
        out[i] = functions.erf(x[i])
