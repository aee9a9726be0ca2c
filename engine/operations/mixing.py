"""Mixing operands: interpolation, fused multiply-adds, and the extremes that ignore nan."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..registry import Array, composite, operation
from ..registry.operation import Promotion
from ..registry.samples import each, on, positive, real, unit
from ..tensors.tensor import Tensor
from .arithmetic import mul, plus, quotient
from .comparison import clamp

ARITHMETIC = Promotion.ARITHMETIC
APART = each(on(real(3, 4), real(3, 4, high=1.7)), on(real(3, 1), real(4)), on(real(), real(2, 3)))  # no ties


def _interpolated(start: Any, end: Any, weight: Any) -> Any:
    """The form that is exact at both ends."""
    return np.where(np.less(weight, 0.5), start + weight * (end - start), end - (end - start) * (1 - weight))


@operation(
    lambda g, weight: g * (1 - weight),
    lambda g, weight: g * weight,
    promotion=ARITHMETIC,
    broadcasts=True,
    node_name="LerpBackward0",
    public=False,
    samples=each(on(real(3, 4), real(4), 0.3), on(real(3, 1), real(4), 0.8)),
)
def lerp_number(input: Array, end: Array, weight: Any) -> Array:
    """input moved towards *end* by the number *weight*."""
    return _interpolated(input, end, weight)


@operation(
    lambda g, weight: g * (1 - weight),
    lambda g, weight: g * weight,
    lambda g, input, end: g * (end - input),
    promotion=ARITHMETIC,
    broadcasts=True,
    node_name="LerpBackward1",
    public=False,
    samples=each(on(real(3, 4), real(3, 4), unit(3, 4)), on(real(3, 1), real(4), unit())),
)
def lerp_tensor(input: Array, end: Array, weight: Array) -> Array:
    """input moved towards *end* by *weight*, element by element."""
    return _interpolated(input, end, weight)


@composite(out=True, inplace=True, samples=each(on(real(3, 4), real(4), 0.3), on(real(3), real(3), unit(3))))
def lerp(input: Tensor, end: Tensor, weight: Any) -> Tensor:
    """input + weight · (end - input): *weight*, a number or tensor, says how far to go from input to *end*.

    >>> import allgrad as torch
    >>> torch.lerp(torch.tensor([0., 10.]), torch.tensor([1., 20.]), 0.5)
    tensor([ 0.5000, 15.0000])
    """
    for name, value in (("end", end), ("weight", weight)):
        if isinstance(value, Tensor) and value.dtype is not input.dtype:
            raise RuntimeError(f"expected dtype {input.dtype} for `{name}` but got dtype {value.dtype}")
    return (lerp_tensor if isinstance(weight, Tensor) else lerp_number)(input, end, weight)


@composite(
    out=True, inplace=True, samples=each(on(real(3, 4), real(4), real(3, 1)), on(real(3), real(3), real(3), value=0.5))
)
def addcmul(input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: Any = 1) -> Tensor:
    """input + value · tensor1 · tensor2, element by element.

    >>> import allgrad as torch
    >>> torch.addcmul(torch.tensor([1.]), torch.tensor([2.]), torch.tensor([3.]), value=10)
    tensor([61.])
    """
    product = mul(tensor1, tensor2)
    return plus(input, product if value == 1 else mul(product, value))


@composite(
    out=True,
    inplace=True,
    samples=each(on(real(3, 4), real(4), positive(3, 1)), on(real(3), real(3), positive(3), value=0.5)),
)
def addcdiv(input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: Any = 1) -> Tensor:
    """input + value · tensor1 / tensor2, element by element; of floating types."""
    if not any(t.is_floating_point() or t.is_complex() for t in (tensor1, tensor2)):
        raise RuntimeError(
            "Integer division with addcdiv is no longer supported: make one of the tensors floating, or use "
            "addcmul of div(..., rounding_mode=...)"
        )
    return plus(input, quotient(tensor1 if value == 1 else mul(tensor1, value), tensor2))


def _first_wins(least: bool, input: Any, other: Any) -> Any:
    return (input <= other if least else input >= other) | (other != other)


@operation(
    lambda g, input, other: np.where(_first_wins(False, input, other), g, 0.0),
    lambda g, input, other: np.where(_first_wins(False, input, other), 0.0, g),
    ufunc=np.fmax,
    promotion=ARITHMETIC,
    broadcasts=True,
    samples=APART,
    refuses="c",
)
def fmax(input: Array, other: Array) -> Array:
    """The greater of the two, element by element; a nan loses against a number. At ties input has the gradient.

    >>> import allgrad as torch
    >>> torch.fmax(torch.tensor([1., float("nan")]), torch.tensor([2., 0.]))
    tensor([2., 0.])
    """
    return np.fmax(input, other)


@operation(
    lambda g, input, other: np.where(_first_wins(True, input, other), g, 0.0),
    lambda g, input, other: np.where(_first_wins(True, input, other), 0.0, g),
    ufunc=np.fmin,
    promotion=ARITHMETIC,
    broadcasts=True,
    samples=APART,
    refuses="c",
)
def fmin(input: Array, other: Array) -> Array:
    """The lesser of the two, element by element; a nan loses against a number. At ties input has the gradient."""
    return np.fmin(input, other)


@composite(out=True, inplace=True, samples=each(on(real(3, 4), -0.5), on(real(3, 4), real(4))))
def clamp_min(input: Tensor, min: Any) -> Tensor:
    """input, but nowhere below *min*, a number or tensor.

    >>> import allgrad as torch
    >>> torch.clamp_min(torch.tensor([-1., 2.]), 0.)
    tensor([0., 2.])
    """
    return clamp(input, min=min)


@composite(out=True, inplace=True, samples=each(on(real(3, 4), 0.5), on(real(3, 4), real(4))))
def clamp_max(input: Tensor, max: Any) -> Tensor:
    """input, but nowhere above *max*, a number or tensor."""
    return clamp(input, max=max)
