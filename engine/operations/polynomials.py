"""Orthogonal polynomials: Chebyshev's of four kinds and their shifted forms, Hermite's, Laguerre's and Legendre's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..registry import Array, operation
from ..registry.operation import Promotion
from ..registry.samples import Samples, each, on, real, whole
from .special import as_constants, real_numbers, without_derivative

SAMPLES: Samples = as_constants(each(on(real(3, 4), whole(3, 4, below=12)), on(real(5), whole(5, below=4))))

# (x, n) -> the polynomials of degree 1, and the value of degree k + 1 from those of degrees k and k - 1.
First = Callable[[Array], Array]
Next = Callable[[Array, int, Array, Array], Array]


def by_recurrence(x: Array, n: Array, first: First, following: Next) -> Array:
    """The polynomials of degrees *n* at *x*, element by element; 0 where a degree is negative."""
    x, degrees = np.broadcast_arrays(x, np.trunc(n))
    before, current = np.ones_like(x), first(x)
    result = np.where(degrees == 0, before, np.where(degrees == 1, current, 0))
    highest = int(np.max(degrees, initial=0, where=np.isfinite(degrees)))
    with np.errstate(all="ignore"):
        for k in range(1, highest):
            before, current = current, following(x, k, current, before)
            result = np.where(degrees == k + 1, current, result)
    return result.astype(x.dtype, copy=False)


def _chebyshev_step(x: Array, k: int, current: Array, before: Array) -> Array:
    return (x + x) * current - before


def _polynomial(name: str, doc: str, forward: Callable[[Array, Array], Array]) -> Callable[..., Any]:
    """Register ``special.<name>`` of the points *input* and the degrees *n*, a number or a tensor."""

    def evaluated(input: Array, n: Array) -> Array:
        return forward(real_numbers(f"special.{name}", input), real_numbers(f"special.{name}", n))

    evaluated.__name__, evaluated.__doc__ = name, f"{doc}, of degree *n* (below 0: 0), at input."
    return operation(
        without_derivative(f"special_{name}: x"),
        without_derivative(f"special_{name}: n"),
        promotion=Promotion.FLOATING,
        broadcasts=True,
        namespace="special",
        samples=SAMPLES,
    )(evaluated)


def _chebyshev(first: First) -> Callable[[Array, Array], Array]:
    return lambda x, n: by_recurrence(x, n, first, _chebyshev_step)


def _shifted(first: First) -> Callable[[Array, Array], Array]:
    return lambda x, n: by_recurrence(x + x - 1, n, first, _chebyshev_step)


_KINDS: dict[str, tuple[str, First]] = {
    "t": ("first", lambda x: x.copy()),
    "u": ("second", lambda x: x + x),
    "v": ("third", lambda x: x + x - 1),
    "w": ("fourth", lambda x: x + x + 1),
}


def _of_kind(letter: str) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """The Chebyshev polynomial of the kind *letter*, and its shifted form on [0, 1]."""
    kind, first = _KINDS[letter]
    plain = _polynomial(
        f"chebyshev_polynomial_{letter}", f"The Chebyshev polynomial of the {kind} kind", _chebyshev(first)
    )
    name = f"shifted_chebyshev_polynomial_{letter}"
    return plain, _polynomial(name, f"The Chebyshev polynomial of the {kind} kind shifted to [0, 1]", _shifted(first))


chebyshev_polynomial_t, shifted_chebyshev_polynomial_t = _of_kind("t")
chebyshev_polynomial_u, shifted_chebyshev_polynomial_u = _of_kind("u")
chebyshev_polynomial_v, shifted_chebyshev_polynomial_v = _of_kind("v")
chebyshev_polynomial_w, shifted_chebyshev_polynomial_w = _of_kind("w")
hermite_polynomial_h = _polynomial(
    "hermite_polynomial_h",
    "The physicists' Hermite polynomial",
    lambda x, n: by_recurrence(x, n, lambda x: x + x, lambda x, k, p, before: (x + x) * p - 2 * k * before),
)
hermite_polynomial_he = _polynomial(
    "hermite_polynomial_he",
    "The probabilists' Hermite polynomial",
    lambda x, n: by_recurrence(x, n, lambda x: x.copy(), lambda x, k, p, before: x * p - k * before),
)
laguerre_polynomial_l = _polynomial(
    "laguerre_polynomial_l",
    "The Laguerre polynomial",
    lambda x, n: by_recurrence(
        x, n, lambda x: 1 - x, lambda x, k, p, before: ((2 * k + 1 - x) * p - k * before) / (k + 1)
    ),
)
legendre_polynomial_p = _polynomial(
    "legendre_polynomial_p",
    "The Legendre polynomial",
    lambda x, n: by_recurrence(
        x, n, lambda x: x.copy(), lambda x, k, p, before: ((2 * k + 1) * x * p - k * before) / (k + 1)
    ),
)
