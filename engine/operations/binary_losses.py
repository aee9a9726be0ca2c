"""Losses against yes or no: cross entropy of single probabilities."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..registry import Array, composite, operation
from ..registry.operation import Promotion
from ..registry.samples import on, real, unit
from ..tensors.tensor import Tensor
from .activation import logsigmoid
from .loss import chosen_reduction, reduced


@composite(method=False, samples=on(unit(3, 4), unit(3, 4)))
def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """The cross entropy of the probabilities sigmoid(input) and *target* in [0, 1], without overflow."""
    reduction = chosen_reduction(size_average, reduce, reduction)
    if target._array.shape != input._array.shape:
        raise ValueError(f"Target size ({target.shape}) must be the same as input size ({input.shape})")
    tail = logsigmoid(input)
    if pos_weight is not None:
        tail = tail * (target * (pos_weight - 1) + 1)
    losses = (1 - target) * input - tail
    return reduced(losses if weight is None else losses * weight, reduction)


def _held_log(x: Any) -> Any:
    """log(x), held above -100."""
    return np.maximum(np.log(x), -100.0)


@operation(
    lambda g, input, target: g * ((input - target) / np.maximum((1 - input) * input, 1e-12)),
    lambda g, input: g * (_held_log(1 - input) - _held_log(input)),
    promotion=Promotion.FLOATING,
    node_name="BinaryCrossEntropyBackward0",
    public=False,
    refuses="c",
    samples=on(real(3, 4, low=0.1, high=0.9), real(3, 4, low=0.1, high=0.9)),
)
def cross_entropy_of_probabilities(input: Array, target: Array) -> Array:
    """-(target · log input + (1 - target) · log(1 - input)), logarithms held above -100; no gradient is nan at 0 and 1."""
    return -(target * _held_log(input) + (1 - target) * _held_log(1 - input))


@composite(method=False, samples=on(real(3, 4, low=0.1, high=0.9), real(3, 4, low=0.1, high=0.9)))
def binary_cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
) -> Tensor:
    """The cross entropy of probabilities input and *target*, both in [0, 1]; logarithms are held above -100."""
    reduction = chosen_reduction(size_average, reduce, reduction)
    if target._array.shape != input._array.shape:
        raise ValueError(
            f"Using a target size ({target.shape}) that is different to the input size ({input.shape}) is deprecated. "
            "Please ensure they have the same size."
        )
    if input._array.size and (input._array.min() < 0 or input._array.max() > 1):
        raise RuntimeError("all elements of input should be between 0 and 1")
    losses = cross_entropy_of_probabilities(input, target)
    return reduced(losses if weight is None else losses * weight, reduction)
