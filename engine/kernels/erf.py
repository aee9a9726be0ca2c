"""The error function, which NumPy lacks: Cody's rational approximations (Math. Comp. 23, 1969), to double precision."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

# Numerator and denominator for |x| <= 0.46875 in x², up to 4 in |x|, and beyond in 1 / x²; highest power first.
_SMALL = (
    (
        1.85777706184603153e-1,
        3.16112374387056560e0,
        1.13864154151050156e2,
        3.77485237685302021e2,
        3.20937758913846947e3,
    ),
    (1.0, 2.36012909523441209e1, 2.44024637934444173e2, 1.28261652607737228e3, 2.84423683343917062e3),
)
_MIDDLE = (
    (2.15311535474403846e-8, 5.64188496988670089e-1, 8.88314979438837594e0, 6.61191906371416295e1,
     2.98635138197400131e2, 8.81952221241769090e2, 1.71204761263407058e3, 2.05107837782607147e3,
     1.23033935479799725e3),
    (1.0, 1.57449261107098347e1, 1.17693950891312499e2, 5.37181101862009858e2, 1.62138957456669019e3,
     3.29079923573345963e3, 4.36261909014324716e3, 3.43936767414372164e3, 1.23033935480374942e3),
)  # fmt: skip
_LARGE = (
    (1.63153871373020978e-2, 3.05326634961232344e-1, 3.60344899949804439e-1, 1.25781726111229246e-1,
     1.60837851487422766e-2, 6.58749161529837803e-4),
    (1.0, 2.56852019228982242e0, 1.87295284992346725e0, 5.27905102951428412e-1, 6.05183413124413191e-2,
     2.33520497626869185e-3),
)  # fmt: skip
_SQRT_PI = 1.7724538509055160273


def erf(x: Array) -> Array:
    """2 / sqrt(π) times the integral of exp(-t²) from 0 to x, for a floating array."""
    return _piecewise(x, complement=False)


def erfc(x: Array) -> Array:
    """1 - erf(x), precise where that is tiny."""
    return _piecewise(x, complement=True)


def _piecewise(x: Array, *, complement: bool) -> Array:
    flat = np.asarray(x, np.float64).reshape(-1)
    size = np.abs(flat)
    result = np.full_like(flat, np.nan)
    small, large = size <= 0.46875, size > 4.0
    middle = (size > 0.46875) & ~large
    inner = flat[small]
    result[small] = inner * _ratio(inner * inner, _SMALL)
    for where, tail in ((middle, _middle_tail), (large, _large_tail)):
        rest = tail(size[where])
        result[where] = np.copysign(rest if complement else 1.0 - rest, flat[where])
    if complement:
        result[small] = 1.0 - result[small]
        outside = (middle | large) & (flat < 0)
        result[outside] += 2.0
    return result.reshape(np.shape(x)).astype(np.asarray(x).dtype)


def _ratio(x: Array, polynomials: tuple[tuple[float, ...], tuple[float, ...]]) -> Array:
    numerator, denominator = (np.polyval(coefficients, x) for coefficients in polynomials)
    quotient: Array = numerator / denominator
    return quotient


def _square_exp(x: Array) -> Array:
    """exp(-x²) without the rounding error of x², by splitting x at multiples of 1/16."""
    head = np.trunc(x * 16) / 16
    power: Array = np.exp(-head * head) * np.exp(-(x - head) * (x + head))
    return power


def _middle_tail(x: Array) -> Array:
    tail: Array = _square_exp(x) * _ratio(x, _MIDDLE)
    return tail


def _large_tail(x: Array) -> Array:
    x = np.minimum(x, 30.0)  # exp(-900) is 0
    inverse = 1.0 / (x * x)
    tail: Array = _square_exp(x) * (1.0 / _SQRT_PI - inverse * _ratio(inverse, _LARGE)) / x
    return tail
