"""Transcendental functions of one float32, written so that loops over them use the whole width of the processor.

Numba's own call the C library number by number, which takes ten times as long. These are polynomials and quotients of
polynomials after a reduction of the argument: exp is within 2 units in the last place, erf and tanh within 6.
"""

from __future__ import annotations

import numpy as np

from .compiler import exactly_compiled

f = np.float32


@exactly_compiled
def exp(x: np.float32) -> np.float32:
    """e to the power of *x*: exp(x) = 2ⁿ · exp(r) with |r| ≤ log(2) / 2 (the polynomial is that of Cephes)."""
    held = min(max(x, f(-105.0)), f(89.0))
    shifted = np.float32(held * f(1.44269504088896341) + f(12582912.0))  # adding 1.5 · 2²³ rounds to a whole number
    n = shifted - f(12582912.0)
    r = held - n * f(0.693359375)
    r = r - n * f(-2.12194440e-4)
    p = f(1.9875691500e-4)
    p = p * r + f(1.3981999507e-3)
    p = p * r + f(8.3334519073e-3)
    p = p * r + f(4.1665795894e-2)
    p = p * r + f(1.6666665459e-1)
    p = p * r + f(5.0000001201e-1)
    p = p * r * r + r + f(1.0)
    whole = shifted.view(np.int32) - np.int32(0x4B400000)
    half = whole >> 1  # 2ⁿ as two factors: it alone may be too great or too small for a float32
    first = np.int32((half + 127) << 23).view(np.float32)
    second = np.int32((whole - half + 127) << 23).view(np.float32)
    result = p * first * second
    return result if x == x else x


@exactly_compiled
def erf(x: np.float32) -> np.float32:
    """The error function: an odd quotient of polynomials on ±3.83, beyond which it is ±1 in float32."""
    held = min(max(x, f(-3.832506856900711)), f(3.832506856900711))
    s = held * held
    p = f(0.00022905065861350646)
    p = p * s + f(0.0034082910107109506)
    p = p * s + f(0.050955695062380861)
    p = p * s + f(0.18520832239976145)
    p = p * s + f(1.128379143519084)
    q = f(-1.1791602954361697e-7)
    q = q * s + f(0.000023547966471313185)
    q = q * s + f(0.0010179625278914885)
    q = q * s + f(0.014070470171167667)
    q = q * s + f(0.11098505178285362)
    q = q * s + f(0.49746925110067538)
    q = q * s + f(1.0)
    result = min(max(held * p / q, f(-1.0)), f(1.0))
    return result if x == x else x


@exactly_compiled
def tanh(x: np.float32) -> np.float32:
    """The hyperbolic tangent: an odd quotient of polynomials on ±7.9, as in Eigen; ±1 from ±9 on."""
    held = min(max(x, f(-7.90531110763549805)), f(7.90531110763549805))
    s = held * held
    p = f(-2.76076847742355e-16)
    p = p * s + f(2.00018790482477e-13)
    p = p * s + f(-8.60467152213735e-11)
    p = p * s + f(5.12229709037114e-08)
    p = p * s + f(1.48572235717979e-05)
    p = p * s + f(6.37261928875436e-04)
    p = p * s + f(4.89352455891786e-03)
    q = f(1.19825839466702e-06)
    q = q * s + f(1.18534705686654e-04)
    q = q * s + f(2.26843463243900e-03)
    q = q * s + f(4.89352518554385e-03)
    inner = held * p / q
    result = x if abs(x) < f(0.0004) else f(1.0) if x > f(9.0) else f(-1.0) if x < f(-9.0) else inner
    return result if x == x else x


@exactly_compiled
def sigmoid(x: np.float32) -> np.float32:
    """1 / (1 + exp(-x))."""
    result: np.float32 = f(1.0) / (f(1.0) + exp(-x))
    return result


@exactly_compiled
def expm1(x: np.float32) -> np.float32:
    """exp(x) - 1 for *x* up to 80, within 2 ulp: 2ⁿ · (exp(r) - 1) + (2ⁿ - 1), with the polynomial of ``exp``."""
    held = min(max(x, f(-30.0)), f(80.0))
    shifted = np.float32(held * f(1.44269504088896341) + f(12582912.0))
    n = shifted - f(12582912.0)
    r = held - n * f(0.693359375)
    r = r - n * f(-2.12194440e-4)
    p = f(1.9875691500e-4)
    p = p * r + f(1.3981999507e-3)
    p = p * r + f(8.3334519073e-3)
    p = p * r + f(4.1665795894e-2)
    p = p * r + f(1.6666665459e-1)
    p = p * r + f(5.0000001201e-1)
    p = p * r * r + r
    power = np.int32((shifted.view(np.int32) - np.int32(0x4B400000) + 127) << 23).view(np.float32)
    result = p * power + (power - f(1.0))
    return result if x == x else x


@exactly_compiled
def log1p_exp(x: np.float32) -> np.float32:
    """log(1 + exp(x)) for *x* up to 0, within 3 ulp: 2 · artanh(s) with s = z / (2 + z), z = exp(x), by an odd polynomial."""
    z = exp(x)
    s = z / (f(2.0) + z)
    w = s * s
    q = f(0.2686755330106393)
    q = q * w + f(0.2823395515021214)
    q = q * w + f(0.40007670904647175)
    q = q * w + f(0.6666663966502617)
    result: np.float32 = f(2.0) * s + s * w * q
    return result
