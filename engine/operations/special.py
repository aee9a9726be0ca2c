"""Special functions of one or two operands: the error function and the normal distribution, entropy, Bessel functions."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..batching import as_array
from ..kernels import error_function
from ..kernels.pointwise import in_one_pass
from ..kernels.scipy_functions import special
from ..registry import Array, operation
from ..registry.operation import Promotion
from ..registry.samples import Samples, around, binary, each, on, positive, real, unary, unit

FLOATING = Promotion.FLOATING
TWO_OVER_SQRT_PI = 2.0 / math.sqrt(math.pi)
HALF_SQRT_PI = 0.5 * math.sqrt(math.pi)
SQRT_HALF = math.sqrt(0.5)
SQRT_2PI = math.sqrt(2.0 * math.pi)


def by_scipy(operation_name: str, name: str, *operands: Array) -> Array:
    """The function *name* of scipy.special of real *operands*, in their type; NotImplementedError for complex ones."""
    numbers = [real_numbers(operation_name, operand) for operand in operands]
    result = special(name, operation_name)(*numbers)
    return as_array(result).astype(numbers[0].dtype, copy=False)


def real_numbers(name: str, x: Array) -> Array:
    """*x* if it is of floating type; NotImplementedError, as PyTorch's kernels raise, if it is complex.

    Bools and integers become float64: the fast path tries the forward on them before it sees that they must be promoted.
    """
    if x.dtype.kind == "c":
        raise NotImplementedError(f"{name}() is not implemented for {x.dtype.name}: it takes real numbers only")
    return x if x.dtype.kind == "f" else x.astype(np.float64)


def without_derivative(what: str) -> Callable[[Any], Any]:
    """The rule of an operand by which PyTorch cannot differentiate either: it raises NotImplementedError."""

    def rule(g: Any) -> Any:
        raise NotImplementedError(
            f"the derivative for '{what}' is not implemented: detach() that operand if it is constant"
        )

    return rule


def as_constants(samples: Samples) -> Samples:
    """*samples* whose tensors are detached before the call: nothing of them can be differentiated."""
    return around(lambda function: lambda *args: function(*(a.detach() for a in args)), samples)


def _erf_like(name: str, x: Array) -> Array:
    fused = in_one_pass("erf", x) if name == "erf" else None
    return error_function.fastest(name, real_numbers(name, x)) if fused is None else fused


@operation(
    lambda g, input: g * (TWO_OVER_SQRT_PI * np.exp(-input * input)),
    promotion=FLOATING,
    inplace=True,
    samples=unary(),
)
def erf(input: Array) -> Array:
    """The error function, 2/√π times the integral of exp(-t²) from 0 to input (W. J. Cody, Math. Comp. 23, 1969).

    >>> import allgrad as torch
    >>> torch.erf(torch.tensor([0., 1., -1.]))
    tensor([ 0.0000,  0.8427, -0.8427])
    """
    return _erf_like("erf", input)


@operation(
    lambda g, input: g * (-TWO_OVER_SQRT_PI * np.exp(-input * input)),
    promotion=FLOATING,
    inplace=True,
    samples=unary(),
)
def erfc(input: Array) -> Array:
    """1 - erf(input), precise also where that is tiny."""
    return _erf_like("erfc", input)


@operation(
    lambda g, input, y: g * (2.0 * input * y - TWO_OVER_SQRT_PI),
    promotion=FLOATING,
    namespace="special",
    samples=unary(),
)
def erfcx(input: Array) -> Array:
    """exp(input²) · erfc(input), which does not underflow for great input."""
    return _erf_like("erfcx", input)


@operation(lambda g, y: g * (HALF_SQRT_PI * np.exp(y * y)), promotion=FLOATING, inplace=True, samples=unary(unit))
def erfinv(input: Array) -> Array:
    """The number whose error function is input; ±inf at ±1, nan outside. Needs SciPy."""
    return by_scipy("erfinv", "erfinv", input)


@operation(
    lambda g, input: g * (np.exp(-0.5 * input * input) / SQRT_2PI),
    promotion=FLOATING,
    namespace="special",
    samples=unary(),
)
def ndtr(input: Array) -> Array:
    """The probability that a standard normal number is below input."""
    input = real_numbers("special.ndtr", input)
    t = input * SQRT_HALF
    tail = 0.5 * error_function.fastest("erfc", np.absolute(t))
    return np.where(t < -SQRT_HALF, tail, 0.5 + 0.5 * error_function.fastest("erf", t)).astype(input.dtype, copy=False)


@operation(
    lambda g, y: g * (SQRT_2PI * np.exp(0.5 * y * y)),
    promotion=FLOATING,
    namespace="special",
    samples=unary(lambda *shape: real(*shape, low=0.1, high=0.9)),
)
def ndtri(input: Array) -> Array:
    """The number below which a standard normal one is with probability input; ±inf at 1 and 0. Needs SciPy."""
    return by_scipy("special.ndtri", "ndtri", input)


@operation(
    lambda g, input: g * ((1.0 / HALF_SQRT_PI * SQRT_HALF) / erfcx(input * -SQRT_HALF)),
    promotion=FLOATING,
    namespace="special",
    samples=unary(),
)
def log_ndtr(input: Array) -> Array:
    """The logarithm of ``ndtr``, precise also where that underflows."""
    input = real_numbers("special.log_ndtr", input)
    t = input * SQRT_HALF
    with np.errstate(all="ignore"):
        low = np.log(0.5 * error_function.fastest("erfcx", np.maximum(-t, SQRT_HALF))) - t * t
        high = np.log1p(-0.5 * error_function.fastest("erfc", t))
    return np.where(t < -SQRT_HALF, low, high).astype(input.dtype, copy=False)


@operation(
    lambda g, input: g * (-1.0 - np.log(input)), promotion=FLOATING, namespace="special", samples=unary(positive)
)
def entr(input: Array) -> Array:
    """-input · log(input): 0 at 0, -inf below (the entropy of one outcome)."""
    input = real_numbers("special.entr", input)
    with np.errstate(all="ignore"):
        inside = -input * np.log(np.where(input > 0, input, 1.0).astype(input.dtype, copy=False))
    return np.where(input < 0, -np.inf, inside).astype(input.dtype, copy=False)


def _xlog1py_rule(g: Any, input: Any, other: Any) -> Any:
    counts = (input != 0) | (other > -1)
    return g * np.where(counts, np.log1p(np.where(counts, other, 0.0)), 0.0)


@operation(
    _xlog1py_rule,
    lambda g, input, other: g * input / (other + 1),
    promotion=FLOATING,
    broadcasts=True,
    namespace="special",
    samples=binary(positive),
)
def xlog1py(input: Array, other: Array) -> Array:
    """input · log1p(other); 0 where input is 0 and other is not nan, whatever else it is."""
    input, other = real_numbers("special.xlog1py", input), real_numbers("special.xlog1py", other)
    with np.errstate(all="ignore"):
        product = input * np.log1p(other)
    return np.where((input == 0) & ~np.isnan(other), 0, product).astype(input.dtype, copy=False)


@operation(
    without_derivative("special_zeta: self"),
    lambda g, input, other: -g * (input * zeta(input + 1.0, other)),
    promotion=FLOATING,
    broadcasts=True,
    namespace="special",
    samples=around(lambda zeta: lambda q: zeta(q.detach() * 0 + 2.5, q), each(on(positive(3, 4)), on(positive()))),
)
def zeta(input: Array, other: Array) -> Array:
    """The Hurwitz zeta function: the sum of (k + other)^(-input) over k = 0, 1, 2 and so on. Needs SciPy."""
    return by_scipy("special.zeta", "zeta", input, other)


@operation(lambda g, input: g * i1(input), promotion=FLOATING, inplace=True, samples=unary())
def i0(input: Array) -> Array:
    """The modified Bessel function of the first kind and order 0. Needs SciPy."""
    return by_scipy("i0", "i0", input)


@operation(
    lambda g, input, y: g * (i1e(input) - np.sign(input) * y),
    promotion=FLOATING,
    namespace="special",
    samples=unary(),
)
def i0e(input: Array) -> Array:
    """exp(-|input|) · i0(input). Needs SciPy."""
    return by_scipy("special.i0e", "i0e", input)


def _away_from_zero(input: Any) -> tuple[Any, Any]:
    """Where *input* is not 0, and *input* with 1 in the places where it is."""
    away = input != 0
    return away, np.where(away, input, 1.0)


def _i1_rule(g: Any, input: Any, y: Any) -> Any:
    away, safe = _away_from_zero(input)
    return g * np.where(away, i0(input) - y / safe, 0.5)


def _i1e_rule(g: Any, input: Any, y: Any) -> Any:
    away, safe = _away_from_zero(input)
    return g * np.where(away, i0e(input) - y * (np.sign(safe) + 1.0 / safe), 0.5)


@operation(_i1_rule, promotion=FLOATING, namespace="special", samples=unary())
def i1(input: Array) -> Array:
    """The modified Bessel function of the first kind and order 1. Needs SciPy."""
    return by_scipy("special.i1", "i1", input)


@operation(_i1e_rule, promotion=FLOATING, namespace="special", samples=unary())
def i1e(input: Array) -> Array:
    """exp(-|input|) · i1(input). Needs SciPy."""
    return by_scipy("special.i1e", "i1e", input)


def _bessel(name: str, scipy_name: str, doc: str) -> Callable[..., Any]:
    """Register ``special.<name>``, a function of one operand that SciPy has as *scipy_name*."""

    def forward(input: Array) -> Array:
        return by_scipy(f"special.{name}", scipy_name, input)

    forward.__name__, forward.__doc__ = name, f"{doc}. Needs SciPy."
    return operation(
        without_derivative(f"special_{name}: input"),
        promotion=FLOATING,
        namespace="special",
        samples=as_constants(unary(positive)),
    )(forward)


bessel_j0 = _bessel("bessel_j0", "j0", "The Bessel function of the first kind and order 0")
bessel_j1 = _bessel("bessel_j1", "j1", "The Bessel function of the first kind and order 1")
bessel_y0 = _bessel("bessel_y0", "y0", "The Bessel function of the second kind and order 0")
bessel_y1 = _bessel("bessel_y1", "y1", "The Bessel function of the second kind and order 1")
modified_bessel_i0 = _bessel("modified_bessel_i0", "i0", "The modified Bessel function of the first kind, order 0")
modified_bessel_i1 = _bessel("modified_bessel_i1", "i1", "The modified Bessel function of the first kind, order 1")
modified_bessel_k0 = _bessel("modified_bessel_k0", "k0", "The modified Bessel function of the second kind, order 0")
modified_bessel_k1 = _bessel("modified_bessel_k1", "k1", "The modified Bessel function of the second kind, order 1")
scaled_modified_bessel_k0 = _bessel("scaled_modified_bessel_k0", "k0e", "exp(input) · modified_bessel_k0(input)")
scaled_modified_bessel_k1 = _bessel("scaled_modified_bessel_k1", "k1e", "exp(input) · modified_bessel_k1(input)")


@operation(
    without_derivative("special_airy_ai: x"),
    promotion=FLOATING,
    namespace="special",
    samples=as_constants(unary()),
)
def airy_ai(input: Array) -> Array:
    """The Airy function Ai. Needs SciPy."""
    input = real_numbers("special.airy_ai", input)
    return as_array(special("airy", "special.airy_ai")(input)[0]).astype(input.dtype, copy=False)


@operation(
    without_derivative("special_spherical_bessel_j0: x"),
    promotion=FLOATING,
    namespace="special",
    samples=as_constants(unary()),
)
def spherical_bessel_j0(input: Array) -> Array:
    """The spherical Bessel function of the first kind and order 0, sin(input) / input; 1 at 0 and 0 at ±inf."""
    input = real_numbers("special.spherical_bessel_j0", input)
    regular = np.isfinite(input) & (input != 0)
    safe = np.where(regular, input, 1.0).astype(input.dtype, copy=False)
    ends = np.where(input == 0, 1.0, np.where(np.isinf(input), 0.0, input))
    return np.where(regular, np.sin(safe) / safe, ends).astype(input.dtype, copy=False)
