"""erf, erfc and erfcx by the rational approximations of W. J. Cody (Math. Comp. 23, 1969), to full double precision.

SciPy computes them where it is installed: it is 2 to 3 times as fast on a million numbers, and 100 times on ten.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..batching import as_array
from .scipy_functions import installed

Array = np.ndarray[Any, Any]

_BLOCK = 8192  # elements worked on at a time, so that what lies between two steps stays in the cache

# |x| <= 0.46875: erf(x) = x P(x²)/Q(x²). Highest power first, as everywhere below.
_ERF = (
    (
        1.85777706184603153e-1,
        3.16112374387056560e00,
        1.13864154151050156e02,
        3.77485237685302021e02,
        3.20937758913846947e03,
    ),
    (1.0, 2.36012909523441209e01, 2.44024637934444173e02, 1.28261652607737228e03, 2.84423683343917062e03),
)
# 0.46875 < |x| <= 4: erfcx(x) = P(x)/Q(x).
_ERFCX_MIDDLE = (
    (
        2.15311535474403846e-8, 5.64188496988670089e-1, 8.88314979438837594e00, 6.61191906371416295e01,
        2.98635138197400131e02, 8.81952221241769090e02, 1.71204761263407058e03, 2.05107837782607147e03,
        1.23033935479799725e03,
    ),
    (
        1.0, 1.57449261107098347e01, 1.17693950891312499e02, 5.37181101862009858e02, 1.62138957456669019e03,
        3.29079923573345963e03, 4.36261909014324716e03, 3.43936767414372164e03, 1.23033935480374942e03,
    ),
)  # fmt: skip
# |x| > 4: erfcx(x) = (1/sqrt(pi) - z P(z)/Q(z)) / x with z = 1/x².
_ERFCX_FAR = (
    (
        1.63153871373020978e-2, 3.05326634961232344e-1, 3.60344899949804439e-1, 1.25781726111229246e-1,
        1.60837851487422766e-2, 6.58749161529837803e-4,
    ),
    (
        1.0, 2.56852019228982242e00, 1.87295284992346725e00, 5.27905102951428412e-1, 6.05183413124413191e-2,
        2.33520497626869185e-3,
    ),
)  # fmt: skip
_SMALL, _FAR = 0.46875, 4.0
_ONE_OVER_SQRT_PI = 5.6418958354775628695e-1


def erf(x: Array) -> Array:
    """The error function of real *x*, in its type (float16 by way of float32)."""
    return _in_blocks(_erf_block, x)


def erfc(x: Array) -> Array:
    """1 - erf(x) without cancellation: precise also where erf is close to 1."""
    return _in_blocks(_erfc_block, x)


def erfcx(x: Array) -> Array:
    """exp(x²) erfc(x), which neither underflows for great x nor loses digits; inf for x below about -26."""
    return _in_blocks(_erfcx_block, x)


def fastest(name: str, x: Array) -> Array:
    """The function *name* of this module, by SciPy where it is installed."""
    faster = installed("special")
    if faster is None:
        result: Array = globals()[name](x)
        return result
    found: Array = as_array(getattr(faster, name)(x)).astype(x.dtype, copy=False)
    return found


def _in_blocks(function: Any, x: Array) -> Array:
    working = np.float32 if x.dtype == np.float16 else x.dtype
    flat = np.ascontiguousarray(x, dtype=working).reshape(-1)
    result = np.empty_like(flat)
    with np.errstate(all="ignore"):
        for start in range(0, flat.size, _BLOCK):
            result[start : start + _BLOCK] = function(flat[start : start + _BLOCK])
    return result.astype(x.dtype, copy=False).reshape(x.shape)


def _ratio(coefficients: tuple[tuple[float, ...], tuple[float, ...]], t: Array) -> Array:
    """P(t)/Q(t) by Horner's scheme."""
    above, below = (_polynomial(c, t) for c in coefficients)
    above /= below
    return above


def _polynomial(coefficients: tuple[float, ...], t: Array) -> Array:
    total = t * coefficients[0]
    for c in coefficients[1:-1]:
        total += c
        total *= t
    total += coefficients[-1]
    return total


def _erf_near(x: Array) -> Array:
    """erf(x), right for |x| up to 0.46875 and finite beyond."""
    nearest = np.clip(x, -_SMALL, _SMALL)
    result = _ratio(_ERF, nearest * nearest)
    result *= nearest
    return result


def _erfcx_away(size: Array) -> Array:
    """erfcx(size), right for *size* of 0.46875 or more and finite below."""
    result = _ratio(_ERFCX_MIDDLE, np.clip(size, _SMALL, _FAR))
    far = size > _FAR
    if far.any():
        distant = size[far]
        z = 1.0 / (distant * distant)
        result[far] = (_ONE_OVER_SQRT_PI - z * _ratio(_ERFCX_FAR, z)) / distant
    return result


def _exp_of_square(size: Array, sign: float) -> Array:
    """exp(±size²) to the last digit: the square is split into a part exact in few bits and a small one."""
    held = np.minimum(size, 30.0)  # beyond, the result is 0 or inf in every type
    coarse = np.trunc(held * 16.0)
    coarse *= 0.0625
    fine = held - coarse
    held += coarse
    fine *= held
    coarse *= coarse
    coarse *= sign
    fine *= sign
    np.exp(coarse, out=coarse)
    np.exp(fine, out=fine)
    coarse *= fine
    return coarse


def _erf_block(x: Array) -> Array:
    size = np.absolute(x)
    # 1 - erf is below a half ulp beyond 6, and small enough from 4 on for the formula of the middle to serve.
    tail = _ratio(_ERFCX_MIDDLE, np.clip(size, _SMALL, 6.0))
    tail *= _exp_of_square(size, -1.0)
    away = np.copysign(np.subtract(1.0, tail, out=tail), x, out=tail)
    return np.where(size > _SMALL, away, _erf_near(x))


def _erfc_block(x: Array) -> Array:
    size = np.absolute(x)
    tail = _exp_of_square(size, -1.0) * _erfcx_away(size)
    away = np.where(x < 0, 2.0 - tail, tail)
    return np.where(size > _SMALL, away, 1.0 - _erf_near(x))


def _erfcx_block(x: Array) -> Array:
    size = np.absolute(x)
    tail, grown = _erfcx_away(size), _exp_of_square(size, 1.0)
    away = np.where(x < 0, 2.0 * grown - tail, tail)
    return np.where(size > _SMALL, away, grown * (1.0 - _erf_near(x)))
