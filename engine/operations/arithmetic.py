"""Arithmetic of two operands: sums, products, quotients, remainders and powers."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..registry import Array, composite, operation
from ..registry.operation import Promotion
from ..registry.samples import binary, each, on, positive, real
from ..tensors.tensor import Tensor

ARITHMETIC = Promotion.ARITHMETIC


@operation(
    lambda g: g,
    lambda g: g,
    ufunc=np.add,
    promotion=ARITHMETIC,
    broadcasts=True,
    node_name="AddBackward0",
    dunder="__add__",
    reflected="__radd__",
    inplace=True,
    public=False,
    samples=binary(),
)
def plus(input: Array, other: Array) -> Array:
    """The sum input + other, element by element: what the operator ``+`` calls."""
    return np.add(input, other)


@operation(
    lambda g: g,
    lambda g: -g,
    ufunc=np.subtract,
    promotion=ARITHMETIC,
    broadcasts=True,
    node_name="SubBackward0",
    dunder="__sub__",
    inplace=True,
    public=False,
    refuses="b",
    samples=binary(),
)
def minus(input: Array, other: Array) -> Array:
    """The difference input - other, element by element: what the operator ``-`` calls."""
    return np.subtract(input, other)


@composite(out=True, inplace=True, samples=each(binary(), on(real(3, 4), real(4), alpha=2.0)))
def add(input: Tensor, other: Any, *, alpha: Any = 1) -> Tensor:
    """The sum input + alpha · other, element by element, broadcast and promoted as PyTorch does.

    >>> import allgrad as torch
    >>> torch.add(torch.tensor([1, 2]), 10, alpha=2)
    tensor([21, 22])
    """
    return plus(input, other if alpha == 1 else other * alpha)


@composite(out=True, inplace=True, aliases=("subtract",), samples=each(binary(), on(real(3, 4), real(4), alpha=2.0)))
def sub(input: Tensor, other: Any, *, alpha: Any = 1) -> Tensor:
    """The difference input - alpha · other, element by element, broadcast and promoted as PyTorch does."""
    return minus(input, other if alpha == 1 else other * alpha)


@composite(out=True, dunder="__rsub__", samples=binary())
def rsub(input: Tensor, other: Any, *, alpha: Any = 1) -> Tensor:
    """The difference other - alpha · input: what the operator ``-`` calls when a number stands before a tensor."""
    return minus(other, input if alpha == 1 else input * alpha)


@operation(
    lambda g, other: g * other,
    lambda g, input: g * input,
    ufunc=np.multiply,
    promotion=ARITHMETIC,
    broadcasts=True,
    aliases=("multiply",),
    dunder="__mul__",
    reflected="__rmul__",
    inplace=True,
    samples=binary(),
)
def mul(input: Array, other: Array) -> Array:
    """The product input * other, element by element, broadcast and promoted as PyTorch does.

    >>> import allgrad as torch
    >>> torch.mul(torch.tensor([1, 2]), 2.5)
    tensor([2.5000, 5.0000])
    """
    return np.multiply(input, other)


@operation(
    lambda g, other: g / other,
    lambda g, other, y: -g * y / other,
    ufunc=np.true_divide,
    promotion=Promotion.FLOATING,
    broadcasts=True,
    node_name="DivBackward0",
    dunder="__truediv__",
    inplace=True,
    public=False,
    samples=binary(positive),
)
def quotient(input: Array, other: Array) -> Array:
    """The quotient input / other, element by element: what the operator ``/`` calls."""
    return np.true_divide(input, other)


@operation(promotion=ARITHMETIC, dunder="__floordiv__", inplace=True, samples=binary(positive))
def floor_divide(input: Array, other: Array) -> Array:
    """The quotient input / other rounded down, element by element. Division of an integer by 0 raises."""
    _refuse_whole_zero(other, "floor_divide")
    return np.floor_divide(input, other)


@operation(
    lambda g: np.zeros_like(g),
    lambda g: np.zeros_like(g),
    promotion=ARITHMETIC,
    broadcasts=True,
    node_name="DivBackward0",
    public=False,
    samples=on(np.array([2.5, -3.5, 0.7]), np.array([1.2, 2.1, 0.5])),
)
def floored_quotient(input: Array, other: Array) -> Array:
    """``floor_divide`` as ``div`` has it: its derivative is zero, where that of ``floor_divide`` is missing."""
    _refuse_whole_zero(other, "div")
    return np.floor_divide(input, other)


def _refuse_whole_zero(divisor: Array, name: str) -> None:
    kind = divisor.dtype.kind
    if kind in "iu" and not divisor.all():
        raise RuntimeError(f"ZeroDivisionError: {name}() of whole numbers by 0")
    if kind == "b":
        raise NotImplementedError(f"{name}() is not implemented for bool tensors: convert them first")


@composite(out=True, inplace=True, aliases=("divide", "true_divide"), samples=each(binary(positive)))
def div(input: Tensor, other: Any, *, rounding_mode: str | None = None) -> Tensor:
    """The quotient input / other; *rounding_mode* "floor" rounds it down, "trunc" towards zero.

    >>> import allgrad as torch
    >>> torch.div(torch.tensor([-7.0]), 2, rounding_mode="trunc")
    tensor([-3.])
    """
    if rounding_mode is None:
        return quotient(input, other)
    if rounding_mode == "floor":
        return floored_quotient(input, other)
    if rounding_mode != "trunc":
        raise RuntimeError(
            f"div expected rounding_mode to be one of None, 'trunc', or 'floor' but found '{rounding_mode}'"
        )
    truncated: Tensor = quotient(input, other).trunc()
    return truncated if input.is_floating_point() else truncated.to(plus(input, other).dtype)


@composite(dunder="__rtruediv__", reflected="__rdiv__", method=False)
def divide_into(input: Tensor, other: Any) -> Tensor:
    """The quotient other / input: what ``/`` calls when a number stands before a tensor."""
    return quotient(other, input)


@composite(dunder="__rfloordiv__", method=False)
def floor_divide_into(input: Tensor, other: Any) -> Tensor:
    """The quotient other / input rounded down: what ``//`` calls when a number stands before a tensor."""
    return floor_divide(other, input)


@operation(
    lambda g: g,
    lambda g, input, other: -g * floored_quotient(input, other),
    promotion=ARITHMETIC,
    broadcasts=True,
    dunder="__mod__",
    inplace=True,
    samples=on(real(3, 4), positive(4)),
)
def remainder(input: Array, other: Array) -> Array:
    """What is left of input after taking other from it as often as rounding down says; has the sign of other."""
    _refuse_whole_zero(other, "remainder")
    return np.remainder(input, other)


@operation(
    lambda g: g,
    lambda g, input, other: -g * np.trunc(input / other),
    promotion=ARITHMETIC,
    broadcasts=True,
    inplace=True,
    samples=on(real(3, 4), positive(4)),
)
def fmod(input: Array, other: Array) -> Array:
    """What is left of input after taking other from it as often as truncation says; has the sign of input."""
    _refuse_whole_zero(other, "fmod")
    return np.fmod(input, other)


@composite(dunder="__rmod__", method=False)
def remainder_of(input: Tensor, other: Any) -> Tensor:
    """What is left of other after dividing it by input: what ``%`` calls when a number stands before a tensor."""
    return remainder(other, input)


def _power_of_exponent_less_one(g: Any, input: Any, exponent: Any) -> Any:
    if np.ndim(exponent) == 0 and not hasattr(exponent, "shape"):
        return _times_power(g, input, exponent)
    zero = exponent == 0
    return np.where(zero, np.zeros_like(g), g * exponent * input ** np.where(zero, exponent, exponent - 1))


def _times_power(g: Any, input: Any, exponent: Any) -> Any:
    if exponent == 0:
        return np.zeros_like(g)
    if exponent == 2:
        return g * (input * 2.0) if _is_inexact(input) else g * input * 2
    return g * (exponent * input ** (exponent - 1))


def _is_inexact(value: Any) -> bool:
    return np.result_type(getattr(value, "_array", value)).kind in "fc"


@operation(
    lambda g, input, exponent: _times_power(g, input, exponent),
    node_name="PowBackward0",
    public=False,
    samples=each(*(on(positive(3, 4), exponent) for exponent in (2, 3, 0.5, -1.5, 0, 1))),
)
def pow_number(input: Array, exponent: Any) -> Array:
    """input to the power of the Python number *exponent*, in the type of input."""
    if exponent == 2:
        return np.square(input)
    if exponent == 3 and input.dtype.kind == "f":
        return input * input * input
    if input.dtype.kind in "iu" and exponent < 0:
        raise RuntimeError("Integers to negative integer powers are not allowed.")
    return np.power(input, np.asarray(exponent).astype(input.dtype))


@operation(
    _power_of_exponent_less_one,
    lambda g, input, exponent, y: np.where(
        (input == 0) & (np.real(exponent) >= 0),
        np.zeros_like(g),
        g * y * np.log(np.where(input == 0, input + 1, input)),
    ),
    promotion=ARITHMETIC,
    broadcasts=True,
    node_name="PowBackward1",
    public=False,
    samples=binary(positive),
)
def pow_tensor(input: Array, exponent: Array) -> Array:
    """input to the power of exponent, element by element."""
    if input.dtype == bool:
        raise NotImplementedError("pow() is not implemented for bool tensors: convert them first")
    if input.dtype.kind != "i" or not (exponent < 0).any():
        return np.power(input, exponent)
    ones = np.where(input == -1, 1 - 2 * (exponent % 2), np.where(input == 1, 1, 0)).astype(input.dtype)
    return np.where(exponent < 0, ones, np.power(input, np.maximum(exponent, 0)))  # whole numbers: 1/2 rounds to 0


@composite(
    out=True, dunder="__pow__", inplace=True, samples=each(binary(positive), on(positive(3), 2), on(positive(3), 0.5))
)
def pow(input: Any, exponent: Any) -> Tensor:
    """input to the power of exponent, element by element; either may be a Python number.

    >>> import allgrad as torch
    >>> torch.pow(torch.tensor([2., 3.]), 2)
    tensor([4., 9.])
    """
    kind = type(exponent)
    if (kind is int or kind is float) and isinstance(input, Tensor):
        numeric = input._array.dtype.kind
        if numeric == "f" or (numeric in "iuc" and kind is int):
            return pow_number(input, exponent)
    return pow_tensor(input, exponent)


@composite(dunder="__rpow__", method=False)
def power_of(input: Tensor, other: Any) -> Tensor:
    """other to the power of input: what ``**`` calls when a number stands before a tensor."""
    return pow_tensor(other, input)
