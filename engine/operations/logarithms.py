"""Sums and products in logarithms, and powers in double precision."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import dtypes
from ..registry import Array, composite, operation
from ..registry.operation import Promotion
from ..registry.samples import Maker, binary, each, on, positive, real
from ..tensors.tensor import Tensor
from . import arithmetic

FLOATING = Promotion.FLOATING


@operation(
    lambda g, input, other: g / (1 + np.exp(other - input)),
    lambda g, input, other: g / (1 + np.exp(input - other)),
    promotion=FLOATING,
    broadcasts=True,
    samples=binary(),
)
def logaddexp(input: Array, other: Array) -> Array:
    """The logarithm of exp(input) + exp(other), without overflow.

    >>> import allgrad as torch
    >>> torch.logaddexp(torch.tensor([-100.]), torch.tensor([-100.]))
    tensor([-99.3069])
    """
    if input.dtype.kind != "c":
        return np.logaddexp(input, other)
    first = np.real(input) >= np.real(other)
    greater, less = np.where(first, input, other), np.where(first, other, input)
    return greater + np.log1p(np.exp(less - greater))


@operation(
    lambda g, input, other: g / (1 + np.exp2(other - input)),
    lambda g, input, other: g / (1 + np.exp2(input - other)),
    ufunc=np.logaddexp2,
    promotion=FLOATING,
    broadcasts=True,
    samples=binary(),
)
def logaddexp2(input: Array, other: Array) -> Array:
    """The logarithm to base 2 of 2^input + 2^other, without overflow."""
    return np.logaddexp2(input, other)


@operation(
    lambda g, input, other: np.where((input == 0) & (other <= 0), 0.0, xlogy(g, other)),
    lambda g, input, other: g * (input / other),
    promotion=FLOATING,
    broadcasts=True,
    inplace=True,
    samples=binary(positive),
    refuses="c",
)
def xlogy(input: Array, other: Array) -> Array:
    """input · log(other): 0 where input is 0, whatever *other* is, unless that is nan."""
    product = np.where(input == 0, np.zeros_like(input), input * np.log(other))
    return np.where(np.isnan(other), other, product)


def _logit_rule(g: Any, input: Any, eps: float | None) -> Any:
    low = 0.0 if eps is None else eps
    outside = (input < low) | (input > 1.0 - low)
    return np.where(outside, float("nan") if eps is None else 0.0, g / (input * (1 - input)))


def _inside_unit(*shape: int) -> Maker:
    return real(*shape, low=0.1, high=0.9)


@operation(
    _logit_rule,
    promotion=FLOATING,
    inplace=True,
    samples=each(on(_inside_unit(3, 4)), on(_inside_unit()), on(real(5, low=-0.2, high=1.2), 0.25)),
    refuses="c",
)
def logit(input: Array, eps: float | None = None) -> Array:
    """log(input / (1 - input)), with input first held between *eps* and 1 - *eps* if that is given.

    Without *eps*, nan outside [0, 1].
    """
    held = input if eps is None else np.clip(input, eps, 1.0 - eps)
    return np.log(held / (1 - held))


def _double(value: Any) -> Any:
    if not isinstance(value, Tensor):
        return value if isinstance(value, complex) else float(value)
    return value.to(dtypes.complex128 if value.is_complex() else dtypes.float64)


@composite(out=True, inplace=True)
def float_power(input: Any, exponent: Any) -> Tensor:
    """input to the power of exponent, computed in double precision; either may be a Python number.

    >>> import allgrad as torch
    >>> torch.float_power(torch.tensor([2, 3]), 2)
    tensor([4., 9.], dtype=torch.float64)
    """
    return arithmetic.pow(_double(input), _double(exponent))
