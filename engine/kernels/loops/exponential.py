"""The exponential function of float32 numbers, sixteen at a time, within 1.3 units in the last place."""

from __future__ import annotations

from typing import Any

import numpy as np

from .compiler import compiled
from .lanes import WIDTH, Lanes, Rows, either, lanewise

Array = np.ndarray[Any, Any]

_ROUND = 12582912.0  # adding 1.5 · 2²³ rounds to a whole number, and leaves it in the lowest bits
_AT_ONCE = 4 * WIDTH
_COMMON = 86.0  # up to here 2ⁿ and the result are normal numbers


def _parts(x: Lanes) -> tuple[Lanes, Lanes]:
    """exp(x) = 2ⁿ · p with p around 1 (the polynomial is that of Cephes); p, and n rounded by ``_ROUND``."""
    shifted = x * 1.44269504088896341 + _ROUND
    n = shifted - _ROUND
    r = n * -0.693359375 + x
    r = n * 2.12194440e-4 + r
    p = r * 1.9875691500e-4 + 1.3981999507e-3
    for c in (8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1):
        p = p * r + c
    return p * (r * r) + (r + 1.0), shifted


def _common(x: Lanes) -> Lanes:
    p, shifted = _parts(x)
    return (p.bits() + (shifted.bits() << 23)).numbers()


def _any(x: Lanes) -> Lanes:
    p, shifted = _parts(x.between(-105.0, 89.0))
    n = shifted.bits() - 0x4B400000
    half = n >> 1  # 2ⁿ as two factors: it alone may be too great or too small for a float32
    return p * ((half + 127) << 23).numbers() * ((n - half + 127) << 23).numbers()


@lanewise
def _exp_at_once(x: Rows, out: Rows) -> None:
    seen = [x.load(0, at) for at in range(0, _AT_ONCE, WIDTH)]
    for i, result in enumerate(either(_COMMON, seen, _any, _common)):
        out.store(result, 0, i * WIDTH)


@compiled
def exp(x: Array, out: Array) -> None:
    """out = e to the power of *x*, for flat arrays."""
    whole = x.size // 64 * 64
    for i in range(0, whole, 64):
        _exp_at_once(x, i, 0, out, i, 0)
    if whole < x.size:
        rest = np.zeros(64, x.dtype)
        rest[: x.size - whole] = x[whole:]
        _exp_at_once(rest, 0, 0, rest, 0, 0)
        out[whole:] = rest[: x.size - whole]
