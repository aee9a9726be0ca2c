"""Angles: of points, of complex numbers, in degrees; and the inverse hyperbolic functions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..registry import Array, operation
from ..registry.operation import Promotion
from ..registry.samples import Maker, binary, each, on, real, unary, unit

FLOATING = Promotion.FLOATING
DEGREES = 180.0 / math.pi


def _above_one(*shape: int) -> Maker:
    return real(*shape, low=1.2, high=4.0)


@operation(
    lambda g, input: g / np.sqrt(input * input - 1),
    ufunc=np.arccosh,
    promotion=FLOATING,
    aliases=("arccosh",),
    inplace=True,
    samples=unary(_above_one),
)
def acosh(input: Array) -> Array:
    """The number whose hyperbolic cosine is input; nan below 1."""
    return np.arccosh(input)


@operation(
    lambda g, input: g / np.sqrt(input * input + 1),
    ufunc=np.arcsinh,
    promotion=FLOATING,
    aliases=("arcsinh",),
    inplace=True,
    samples=unary(),
)
def asinh(input: Array) -> Array:
    """The number whose hyperbolic sine is input."""
    return np.arcsinh(input)


@operation(
    lambda g, input: g / (1 - input * input),
    ufunc=np.arctanh,
    promotion=FLOATING,
    aliases=("arctanh",),
    inplace=True,
    samples=unary(unit),
)
def atanh(input: Array) -> Array:
    """The number whose hyperbolic tangent is input; infinite at -1 and 1, nan outside."""
    return np.arctanh(input)


def _real_only(name: str, input: Array) -> Array:
    if input.dtype.kind == "c":
        raise RuntimeError(f"{name} is not supported for complex tensors, found {input.dtype}")
    return input


@operation(
    lambda g: g * (1.0 / DEGREES),
    promotion=FLOATING,
    inplace=True,
    samples=unary(),
)
def deg2rad(input: Array) -> Array:
    """The angle input, in degrees, in radians.

    >>> import allgrad as torch
    >>> torch.deg2rad(torch.tensor([180., 90.]))
    tensor([3.1416, 1.5708])
    """
    return _real_only("deg2rad", input) * (1.0 / DEGREES)


@operation(lambda g: g * DEGREES, promotion=FLOATING, inplace=True, samples=unary())
def rad2deg(input: Array) -> Array:
    """The angle input, in radians, in degrees."""
    return _real_only("rad2deg", input) * DEGREES


def _over_square(x: Any, a: Any, b: Any) -> Any:
    """x / (a² + b²), and 0 at the origin."""
    square = a * a + b * b
    origin = square == 0
    return np.where(origin, 0.0, x / np.where(origin, 1.0, square))


@operation(
    lambda g, input, other: g * _over_square(other, input, other),
    lambda g, input, other: g * _over_square(-input, input, other),
    ufunc=np.arctan2,
    promotion=FLOATING,
    broadcasts=True,
    aliases=("arctan2",),
    inplace=True,
    samples=binary(),
)
def atan2(input: Array, other: Array) -> Array:
    """The angle in radians, from -π to π, of the point with height input and width *other*.

    >>> import allgrad as torch
    >>> torch.atan2(torch.tensor([1., -1.]), torch.tensor([1., -1.]))
    tensor([ 0.7854, -2.3562])
    """
    return np.arctan2(input, other)


@operation(
    lambda g, input, y: g * (input / y),
    lambda g, other, y: g * (other / y),
    ufunc=np.hypot,
    promotion=FLOATING,
    broadcasts=True,
    inplace=True,
    samples=binary(),
)
def hypot(input: Array, other: Array) -> Array:
    """The length √(input² + other²) of the longest side of a right-angled triangle, without overflow.

    >>> import allgrad as torch
    >>> torch.hypot(torch.tensor([3.]), torch.tensor([4.]))
    tensor([5.])
    """
    return np.hypot(input, other)


def _angle_rule(g: Any, input: Any) -> Any:
    if not np.iscomplexobj(input):
        return np.zeros_like(g)
    return g * _over_square(-1j * np.conjugate(input), np.real(input), np.imag(input))


@operation(_angle_rule, promotion=FLOATING, samples=unary())
def angle(input: Array) -> Array:
    """The angle in radians of a complex number; of a real one 0, π where it is negative, nan where it is nan."""
    if input.dtype.kind == "c":
        return np.angle(input)
    return np.where(input < 0, math.pi, np.where(np.isnan(input), input, 0.0))


def _sinc_rule(g: Any, input: Any) -> Any:
    zero = input == 0
    turn = math.pi * np.where(zero, 1.0, input)
    return g * np.where(zero, 0.0, (turn * np.cos(turn) - np.sin(turn)) / (turn * np.where(zero, 1.0, input)))


@operation(_sinc_rule, promotion=FLOATING, inplace=True, samples=each(unary(), on(real(4, low=-3.0, high=3.0))))
def sinc(input: Array) -> Array:
    """sin(π·input) / (π·input), and 1 at 0.

    >>> import allgrad as torch
    >>> torch.sinc(torch.tensor([0., 0.5]))
    tensor([1.0000, 0.6366])
    """
    return np.sinc(input)
