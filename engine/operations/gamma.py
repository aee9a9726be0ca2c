"""The gamma function's family: its logarithm and the derivatives of that, and its incomplete forms. They need SciPy."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..batching import as_array
from ..kernels.scipy_functions import special
from ..registry import Array, composite, operation
from ..registry.inplace import apply
from ..registry.operation import Promotion
from ..registry.samples import around, each, on, positive, real, unary
from ..tensors.tensor import Tensor, add_method
from .special import by_scipy, real_numbers, without_derivative

FLOATING = Promotion.FLOATING


@operation(lambda g, input: g * digamma(input), promotion=FLOATING, inplace=True, samples=unary(positive))
def lgamma(input: Array) -> Array:
    """The logarithm of the absolute value of the gamma function; inf at 0, -1, -2 and so on.

    >>> import allgrad as torch
    >>> torch.lgamma(torch.tensor([1., 4.]))
    tensor([0.0000, 1.7918])
    """
    result = by_scipy("lgamma", "gammaln", input)
    return np.where(np.isneginf(result) & np.isinf(input), np.inf, result).astype(result.dtype, copy=False)


@operation(lambda g, input: g * polygamma_of(input, 1), promotion=FLOATING, inplace=True, samples=unary(positive))
def digamma(input: Array) -> Array:
    """The derivative of lgamma; -inf at 0, inf at -0.0, nan at -1, -2 and so on."""
    input = real_numbers("digamma", input)
    result = by_scipy("digamma", "psi", input)
    return np.where(input == 0, np.copysign(np.inf, -input), result).astype(input.dtype, copy=False)


@operation(
    lambda g, input, n: g * polygamma_of(input, n + 1),
    promotion=FLOATING,
    node_name="PolygammaBackward0",
    public=False,
    samples=each(*(on(positive(3, 4), n) for n in range(5)), on(positive(), 1), on(positive(0, 2), 2)),
)
def polygamma_of(input: Array, n: int) -> Array:
    """The *n*-th derivative of digamma."""
    if n < 0:
        raise RuntimeError(f"polygamma(n, x) does not support negative n, found n = {n}")
    if not n:
        return digamma.__wrapped__(input)  # type: ignore[attr-defined] # the forward on arrays
    input = real_numbers("polygamma", input)
    order = as_array(n + 1, dtype=input.dtype)
    sums = as_array(special("zeta", "polygamma")(order, input))
    return (sums * (math.factorial(n) * (1.0 if n % 2 else -1.0))).astype(input.dtype, copy=False)


@composite(out=True, method=False, samples=on(2, positive(3, 4)))
def polygamma(n: int, input: Tensor) -> Tensor:
    """The *n*-th derivative of digamma at input: (-1)^(n+1) n! times the sum of (k + input)^(-n-1) over k.

    RuntimeError for a negative *n*.
    """
    return polygamma_of(input, n)


def _polygamma_(self: Tensor, n: int) -> Tensor:
    """In-place version of :func:`polygamma`: changes this tensor and returns it."""
    return apply(polygamma_of, "polygamma_", self, (n,), {}, copies=True)


add_method("polygamma", lambda self, n: polygamma_of(self, n))
add_method("polygamma_", _polygamma_)


@composite(
    out=True,
    inplace=True,
    aliases=("multigammaln",),
    samples=each(*(on(real(3, 4, low=2.5, high=5.0), p) for p in (1, 3, 5)), on(real(low=2.5, high=5.0), 2)),
)
def mvlgamma(input: Tensor, p: int) -> Tensor:
    """The logarithm of the *p*-dimensional gamma function: p(p-1)/4 · log π + the sum of lgamma(input - i/2), i < p.

    RuntimeError for a *p* below 1.
    """
    if p < 1:
        raise RuntimeError(f"mvlgamma: p has to be greater than or equal to 1, found {p}")
    total = lgamma(input)
    for i in range(1, p):
        total = total + lgamma(input - i / 2)
    return total + p * (p - 1) / 4 * math.log(math.pi)


def _incomplete_rule(g: Any, input: Any, other: Any) -> Any:
    return g * np.exp((input - 1.0) * np.log(other) - other - lgamma(input))


_OF_SECOND = around(lambda f: lambda x: f(x.detach() * 0 + 1.7, x), each(on(positive(3, 4)), on(positive())))


@operation(
    without_derivative("igamma: input"),
    lambda g, input, other: _incomplete_rule(g, input, other),
    promotion=FLOATING,
    broadcasts=True,
    inplace=True,
    aliases=("gammainc",),
    samples=_OF_SECOND,
)
def igamma(input: Array, other: Array) -> Array:
    """The regularised lower incomplete gamma function P(input, other), differentiable by other."""
    return by_scipy("igamma", "gammainc", input, other)


@operation(
    without_derivative("igammac: input"),
    lambda g, input, other: -_incomplete_rule(g, input, other),
    promotion=FLOATING,
    broadcasts=True,
    inplace=True,
    aliases=("gammaincc",),
    samples=_OF_SECOND,
)
def igammac(input: Array, other: Array) -> Array:
    """The regularised upper incomplete gamma function Q(input, other) = 1 - P(input, other)."""
    return by_scipy("igammac", "gammaincc", input, other)
