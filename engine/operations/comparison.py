"""Comparing two operands, choosing between them, and logic."""

from __future__ import annotations

import builtins
from typing import Any

import numpy as np

from ..batching import as_array
from ..registry import Array, Index, composite, operation
from ..registry.operation import Promotion
from ..registry.samples import binary, each, on, real, truth
from ..tensors.tensor import Tensor, add_method

COMPARISON = Promotion.COMPARISON
ARITHMETIC = Promotion.ARITHMETIC


@operation(ufunc=np.equal, promotion=COMPARISON, dunder="__eq__", inplace=True)
def eq(input: Array, other: Array) -> Array:
    """Whether input equals other, element by element."""
    return np.equal(input, other)


@operation(ufunc=np.not_equal, promotion=COMPARISON, aliases=("not_equal",), dunder="__ne__", inplace=True)
def ne(input: Array, other: Array) -> Array:
    """Whether input differs from other, element by element."""
    return np.not_equal(input, other)


@operation(ufunc=np.less, promotion=COMPARISON, aliases=("less",), dunder="__lt__", refuses="c", inplace=True)
def lt(input: Array, other: Array) -> Array:
    """Whether input is less than other, element by element."""
    return np.less(input, other)


@operation(
    ufunc=np.less_equal, promotion=COMPARISON, aliases=("less_equal",), dunder="__le__", refuses="c", inplace=True
)
def le(input: Array, other: Array) -> Array:
    """Whether input is at most other, element by element."""
    return np.less_equal(input, other)


@operation(ufunc=np.greater, promotion=COMPARISON, aliases=("greater",), dunder="__gt__", refuses="c", inplace=True)
def gt(input: Array, other: Array) -> Array:
    """Whether input is greater than other, element by element."""
    return np.greater(input, other)


@operation(
    ufunc=np.greater_equal, promotion=COMPARISON, aliases=("greater_equal",), dunder="__ge__", refuses="c", inplace=True
)
def ge(input: Array, other: Array) -> Array:
    """Whether input is at least other, element by element."""
    return np.greater_equal(input, other)


@operation(ufunc=np.bitwise_and, promotion=ARITHMETIC, dunder="__and__", reflected="__rand__", inplace=True)
def bitwise_and(input: Array, other: Array) -> Array:
    """The bits that both have; of bools, and."""
    return np.bitwise_and(input, other)


@operation(ufunc=np.bitwise_or, promotion=ARITHMETIC, dunder="__or__", reflected="__ror__", inplace=True)
def bitwise_or(input: Array, other: Array) -> Array:
    """The bits that either has; of bools, or."""
    return np.bitwise_or(input, other)


@operation(ufunc=np.bitwise_xor, promotion=ARITHMETIC, dunder="__xor__", reflected="__rxor__", inplace=True)
def bitwise_xor(input: Array, other: Array) -> Array:
    """The bits that just one has; of bools, exclusive or."""
    return np.bitwise_xor(input, other)


@operation(ufunc=np.logical_and, promotion=COMPARISON, inplace=True)
def logical_and(input: Array, other: Array) -> Array:
    """Whether both are true (not zero)."""
    return np.logical_and(input, other)


@operation(ufunc=np.logical_or, promotion=COMPARISON, inplace=True)
def logical_or(input: Array, other: Array) -> Array:
    """Whether either is true (not zero)."""
    return np.logical_or(input, other)


@operation(ufunc=np.logical_xor, promotion=COMPARISON, inplace=True)
def logical_xor(input: Array, other: Array) -> Array:
    """Whether just one is true (not zero)."""
    return np.logical_xor(input, other)


def _share(g: Any, mine: Any, other: Any) -> Any:
    """*g* where *mine* won, half of it where both are equal; both have all of it where one is nan."""
    return np.where(mine == other, g / 2, np.where(mine < other, 0.0, g))


@operation(
    lambda g, input, other: _share(g, input, other),
    lambda g, input, other: _share(g, other, input),
    ufunc=np.maximum,
    promotion=ARITHMETIC,
    broadcasts=True,
    refuses="c",
    samples=binary(),
)
def maximum(input: Array, other: Array) -> Array:
    """The greater of the two, element by element; nan if either is. At ties each gets half of the gradient."""
    return np.maximum(input, other)


@operation(
    lambda g, input, other: _share(g, -input, -other),
    lambda g, input, other: _share(g, -other, -input),
    ufunc=np.minimum,
    promotion=ARITHMETIC,
    broadcasts=True,
    refuses="c",
    samples=binary(),
)
def minimum(input: Array, other: Array) -> Array:
    """The lesser of the two, element by element; nan if either is. At ties each gets half of the gradient."""
    return np.minimum(input, other)


@operation(
    None,
    lambda g, condition: np.where(condition, g, 0.0),
    lambda g, condition: np.where(condition, 0.0, g),
    promotion=ARITHMETIC,
    broadcasts=True,
    node_name="WhereBackward0",
    method=False,
    public=False,
    samples=each(on(truth(3, 4), real(3, 4), real(4)), on(truth(4), real(3, 1), real(3, 4))),
)
def choose(condition: Index, input: Array, other: Array) -> Array:
    """input where *condition* holds, else other."""
    if condition.dtype != np.bool_:
        raise RuntimeError(f"where expected condition to be a boolean tensor, but got a tensor of {condition.dtype}")
    return np.where(condition, input, other)


@composite(out=True, method=False, samples=on(truth(3, 4), real(3, 4), real(4)))
def where(condition: Tensor, input: Any = None, other: Any = None) -> Any:
    """input where *condition* holds, else other; with *condition* alone, the indices of its true elements.

    >>> import allgrad as torch
    >>> torch.where(torch.tensor([True, False]), torch.tensor([1., 2.]), 0.)
    tensor([1., 0.])
    """
    if input is None and other is None:
        return condition.nonzero(as_tuple=True)
    return choose(condition, input, other)


def _where_method(self: Tensor, condition: Tensor, other: Any) -> Tensor:
    return choose(condition, self, other)


add_method("where", _where_method)


@operation(
    lambda g, input, min, max: g * _inside(input, min, max),
    node_name="ClampBackward1",
    public=False,
    samples=each(on(real(3, 4), -0.8, 0.7), on(real(5), None, 0.5), on(real(5), 0.1, None)),
    refuses="c",
)
def clamp_numbers(input: Array, min: Any, max: Any) -> Array:
    """input held between the numbers *min* and *max*."""
    lower = input if min is None else np.maximum(input, np.asarray(min, dtype=input.dtype))
    return lower if max is None else np.minimum(lower, np.asarray(max, dtype=input.dtype))


def _inside(input: Any, low: Any, high: Any) -> Any:
    if low is None:
        return input <= high
    return input >= low if high is None else (input >= low) & (input <= high)


def _held_low(input: Any, low: Any, high: Any) -> Any:
    return input < low if high is None else (input < low) & (low < high)


def _held_high(input: Any, low: Any, high: Any) -> Any:
    return input > high if low is None else (input > high) | (low > high)


@operation(
    lambda g, input, min, max: np.where(_inside(input, min, max), g, 0.0),
    lambda g, input, min, max: np.where(_held_low(input, min, max), g, 0.0),
    lambda g, input, min, max: np.where(_held_high(input, min, max), g, 0.0),
    promotion=ARITHMETIC,
    broadcasts=True,
    node_name="ClampBackward0",
    public=False,
    samples=each(on(real(3, 4), real(4), real(3, 1)), on(real(5), None, real(5, high=1.0)), on(real(5), real(1), None)),
    refuses="c",
)
def clamp_tensors(input: Array, min: Array | None, max: Array | None) -> Array:
    """input held between *min* and *max*, element by element; *max* where they cross."""
    lower = input if min is None else np.maximum(input, min)
    return lower if max is None else np.minimum(lower, max)


@composite(out=True, inplace=True, aliases=("clip",), samples=each(on(real(3, 4), -0.8, 0.7), on(real(5), max=0.5)))
def clamp(input: Tensor, min: Any = None, max: Any = None) -> Tensor:
    """input held between *min* and *max*, numbers or tensors; the gradient is 0 where it was held.

    >>> import allgrad as torch
    >>> torch.clamp(torch.tensor([-2., 0.5, 3.]), min=-1, max=1)
    tensor([-1.0000,  0.5000,  1.0000])
    """
    if min is None and max is None:
        raise RuntimeError("torch.clamp: At least one of 'min' or 'max' must not be None")
    if isinstance(min, Tensor) or isinstance(max, Tensor):
        return clamp_tensors(input, min, max)
    if not input.is_floating_point() and any(isinstance(bound, float) for bound in (min, max)):
        input = input.to(plus_dtype(input, 0.0))
    return clamp_numbers(input, min, max)


def plus_dtype(input: Tensor, number: Any) -> Any:
    """The type of input + number."""
    from ..registry.record import result_dtype

    return result_dtype([input, number])


@composite(method=True)
def equal(input: Tensor, other: Tensor) -> bool:
    """Whether both have the same shape and equal elements."""
    return input._array.shape == other._array.shape and builtins.bool(np.array_equal(input._array, other._array))


@composite()
def isclose(input: Tensor, other: Tensor, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> Tensor:
    """Whether |input - other| <= atol + rtol · |other|, element by element."""
    for name, tolerance in (("rtol", rtol), ("atol", atol)):
        if tolerance < 0:
            raise RuntimeError(f"{name} must be greater than or equal to zero, but got {tolerance}")
    return Tensor._wrap(as_array(np.isclose(input._array, other._array, rtol, atol, equal_nan)))


@composite()
def allclose(input: Tensor, other: Tensor, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> bool:
    """Whether |input - other| <= atol + rtol · |other| for all elements."""
    return builtins.bool(np.allclose(input._array, other._array, rtol, atol, equal_nan))
