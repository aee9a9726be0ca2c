"""Arithmetic of whole numbers: divisors, multiples and shifts."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..registry import Array, composite, operation
from ..registry.operation import Promotion
from ..tensors.tensor import Tensor

ARITHMETIC = Promotion.ARITHMETIC


@operation(ufunc=np.gcd, promotion=ARITHMETIC, inplace=True)
def gcd(input: Array, other: Array) -> Array:
    """The greatest common divisor, element by element.

    >>> import allgrad as torch
    >>> torch.gcd(torch.tensor([12, 0]), torch.tensor([18, 5]))
    tensor([6, 5])
    """
    return np.gcd(input, other)


@operation(ufunc=np.lcm, promotion=ARITHMETIC, inplace=True)
def lcm(input: Array, other: Array) -> Array:
    """The least common multiple, element by element.

    >>> import allgrad as torch
    >>> torch.lcm(torch.tensor([4, 0]), torch.tensor([6, 5]))
    tensor([12,  0])
    """
    return np.lcm(input, other)


@operation(ufunc=np.left_shift, promotion=ARITHMETIC, dunder="__lshift__", inplace=True)
def bitwise_left_shift(input: Array, other: Array) -> Array:
    """The bits of input moved to the left by *other* places; 0 where that is as many as it has.

    >>> import allgrad as torch
    >>> torch.bitwise_left_shift(torch.tensor([1, 3]), 2)
    tensor([ 4, 12])
    """
    return np.left_shift(input, other)


@operation(ufunc=np.right_shift, promotion=ARITHMETIC, dunder="__rshift__", inplace=True)
def bitwise_right_shift(input: Array, other: Array) -> Array:
    """The bits of input moved to the right by *other* places, the sign kept.

    >>> import allgrad as torch
    >>> torch.bitwise_right_shift(torch.tensor([-8, 9]), torch.tensor([1, 3]))
    tensor([-4,  1])
    """
    return np.right_shift(input, other)


@composite(dunder="__rlshift__", method=False)
def shift_left_by(input: Tensor, other: Any) -> Tensor:
    """other moved to the left by input places: what ``<<`` calls when a number stands before a tensor."""
    return bitwise_left_shift(Tensor._wrap(np.asarray(other, dtype=input._array.dtype)), input)


@composite(dunder="__rrshift__", method=False)
def shift_right_by(input: Tensor, other: Any) -> Tensor:
    """other moved to the right by input places: what ``>>`` calls when a number stands before a tensor."""
    return bitwise_right_shift(Tensor._wrap(np.asarray(other, dtype=input._array.dtype)), input)
