"""Filling a tensor with random numbers, in place: the methods that end in an underscore."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..random import Generator, numpy_generator
from ..registry.inplace import check_may_change, rewrite_history
from ..tensors.tensor import Tensor, add_method
from .random_tensors import random_array


def _random_in_place(name: str, draw: Callable[..., Any], doc: str) -> None:
    def method(self: Tensor, *parameters: Any, generator: Generator | None = None, **named: Any) -> Tensor:
        check_may_change(self)
        self._array[...] = draw(numpy_generator(generator), self._array, *parameters, **named)
        rewrite_history(self, None)
        return self

    method.__name__, method.__doc__ = name, doc
    add_method(name, method)


def _uniform(source: np.random.Generator, array: Any, a: float = 0.0, b: float = 1.0, **names: float) -> Any:
    low, high = names.get("from", a), names.get("to", b)
    return random_array(source.random, array.shape, array.dtype) * array.dtype.type(high - low) + array.dtype.type(low)


def _normal(source: np.random.Generator, array: Any, mean: float = 0.0, std: float = 1.0) -> Any:
    return random_array(source.standard_normal, array.shape, array.dtype) * array.dtype.type(std) + array.dtype.type(
        mean
    )


_random_in_place("uniform_", _uniform, "Fill with random numbers evenly distributed over [a, b), in place.")


_random_in_place("normal_", _normal, "Fill with normal random numbers, in place.")


_random_in_place(
    "bernoulli_",
    lambda source, array, p=0.5: source.random(array.shape) < (p._array if isinstance(p, Tensor) else p),
    "Fill with ones with probability *p*, else zeros, in place.",
)


_random_in_place(
    "exponential_",
    lambda source, array, lambd=1.0: source.exponential(1.0 / lambd, array.shape),
    "Fill with exponentially distributed random numbers of rate *lambd*, in place.",
)


_random_in_place(
    "random_",
    lambda source, array, low=0, high=None: source.integers(
        *((0, low) if high is None and low else (low, high or 2**24)), array.shape
    ),
    "Fill with random whole numbers from *low* up to, not including, *high*, in place.",
)


def _log_normal(source: np.random.Generator, array: Any, mean: float = 1.0, std: float = 2.0) -> Any:
    if std <= 0:
        raise RuntimeError(f"log_normal_ expects std > 0.0, but found std={std}")
    return np.exp(_normal(source, array, mean, std))


def _cauchy(source: np.random.Generator, array: Any, median: float = 0.0, sigma: float = 1.0) -> Any:
    if array.dtype.kind != "f":
        raise RuntimeError(
            "Cauchy distribution is a continuous probability distribution. dtype must be a floating point but you "
            f"specified {array.dtype}"
        )
    if sigma <= 0:
        raise RuntimeError(f"cauchy_ expects sigma > 0.0, but found sigma={sigma}")
    return median + sigma * source.standard_cauchy(array.shape)


def _geometric(source: np.random.Generator, array: Any, p: float) -> Any:
    if not 0 < p < 1:
        raise RuntimeError(f"geometric_ expects p to be in (0, 1), but got p={p}")
    return source.geometric(p, array.shape)


_random_in_place(
    "log_normal_", _log_normal, "Fill with numbers whose logarithms are normal, of *mean* and *std*, in place."
)
_random_in_place("cauchy_", _cauchy, "Fill with random numbers of the Cauchy distribution, in place.")
_random_in_place("geometric_", _geometric, "Fill with how many trials of probability *p* it took to succeed, in place.")
