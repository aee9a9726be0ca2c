"""Losses against numbers: how far values, or the parameters of a distribution, are from what was observed."""

from __future__ import annotations

import warnings
from typing import Any

from ..registry import composite
from ..registry.samples import on, positive, real
from ..tensors.tensor import Tensor
from .comparison import choose
from .loss import chosen_reduction, reduced


def warn_of_broadcast(input: Tensor, target: Tensor) -> None:
    if input._array.shape != target._array.shape:
        warnings.warn(
            f"Using a target size ({target.shape}) that is different to the input size ({input.shape}). This will likely "
            "lead to incorrect results due to broadcasting. Please ensure they have the same size.",
            UserWarning,
            stacklevel=3,
        )


@composite(method=False, samples=on(real(3, 4), positive(3, 4)))
def mse_loss(
    input: Tensor, target: Tensor, size_average: Any = None, reduce: Any = None, reduction: str = "mean"
) -> Tensor:
    """The mean of (input - target)², or its "sum" or "none"."""
    reduction = chosen_reduction(size_average, reduce, reduction)
    warn_of_broadcast(input, target)
    return reduced((input - target).square(), reduction)


@composite(method=False, samples=on(real(3, 4), positive(3, 4)))
def l1_loss(
    input: Tensor, target: Tensor, size_average: Any = None, reduce: Any = None, reduction: str = "mean"
) -> Tensor:
    """The mean of |input - target|, or its "sum" or "none"."""
    reduction = chosen_reduction(size_average, reduce, reduction)
    warn_of_broadcast(input, target)
    return reduced((input - target).abs(), reduction)


@composite(method=False, samples=on(real(3, 4), positive(3, 4)))
def smooth_l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
    beta: float = 1.0,
) -> Tensor:
    """|d| - beta / 2 for differences |d| of at least *beta*, d² / (2 · beta) below (Girshick 2015, eq. 3)."""
    reduction = chosen_reduction(size_average, reduce, reduction)
    warn_of_broadcast(input, target)
    if beta == 0:
        return l1_loss(input, target, reduction=reduction)
    size = (input - target).abs()
    return reduced(choose(size < beta, size.square() * (0.5 / beta), size - 0.5 * beta), reduction)


@composite(method=False, samples=on(real(3, 4), positive(3, 4)))
def huber_loss(
    input: Tensor, target: Tensor, reduction: str = "mean", delta: float = 1.0, weight: Any = None
) -> Tensor:
    """d² / 2 for differences |d| of at most *delta*, delta · (|d| - delta / 2) above (Huber 1964)."""
    warn_of_broadcast(input, target)
    size = (input - target).abs()
    losses = choose(size <= delta, size.square() * 0.5, (size - 0.5 * delta) * delta)
    return reduced(losses if weight is None else losses * weight, reduction)
