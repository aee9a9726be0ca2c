"""Losses of what a matrix makes of their input: logits that the caller never holds."""

from __future__ import annotations

import math

from ..registry import composite
from ..registry.samples import each, on, real, whole
from ..tensors.tensor import Tensor
from .linear import linear
from .loss import cross_entropy


def _check_projection(input: Tensor, weight: Tensor, bias: Tensor | None) -> None:
    """Refuse a matrix, or a bias, that does not belong to *input*."""
    if input.ndim not in (1, 2):
        raise RuntimeError(f"expected input with dimensionality 1 or 2, got {input.ndim}")
    if weight.ndim < 2:
        raise RuntimeError(f"expected linear_weight with dimensionality at least 2, got {weight.ndim}")
    if input.shape[-1] != weight.shape[-1]:
        raise RuntimeError(
            "expected equal input and linear_weight last dimensions (in_features), "
            f"got {input.shape[-1]} and {weight.shape[-1]}, respectively"
        )
    if bias is not None and bias.shape != weight.shape[:-1]:
        raise RuntimeError(f"expected linear_bias shape {tuple(weight.shape[:-1])}, got {tuple(bias.shape)}")
    if weight.ndim > 2 and input.ndim == 1:
        raise RuntimeError(
            f"K-dimensional loss defined by linear_weight shape {tuple(weight.shape)} requires batched input, "
            f"(N, {input.shape[-1]}), got unbatched input with shape {tuple(input.shape)}"
        )


@composite(
    method=False,
    samples=each(
        on(real(4, 3), real(5, 3), whole(4, below=5)),
        on(real(4, 3), real(5, 2, 3), whole(4, 2, below=5), linear_bias=real(5, 2)),
    ),
)
def linear_cross_entropy(
    input: Tensor,
    linear_weight: Tensor,
    target: Tensor,
    *,
    linear_bias: Tensor | None = None,
    weight: Tensor | None = None,
    reduction: str = "mean",
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    options: None = None,
) -> Tensor:
    """The cross entropy of the logits that a linear layer makes of *input*, and *target*.

    Args:
        input: (N, in) or (in).
        linear_weight: (C, in), or (C, d1, …, in) for several predictions of each example.
        target: classes (N, d1, …), or probabilities (N, C, d1, …).
        linear_bias: (C, d1, …).
        weight: weighs classes, (C).
        reduction: "mean", "sum" or "none".
        ignore_index: classes that do not count (default -100).
        label_smoothing: the part of the target that is spread evenly over the classes.
        options: None: the logits are computed at once.

    Raises:
        RuntimeError: shapes that do not fit, *ignore_index* beside probabilities, or any *options*.

    >>> import allgrad as torch
    >>> x, weight = torch.ones(1, 3), torch.zeros(2, 3)
    >>> torch.nn.functional.linear_cross_entropy(x, weight, torch.tensor([0]))
    tensor(0.6931)
    """
    if options is not None:
        raise RuntimeError("linear_cross_entropy computes all logits at once: leave options=None")
    _check_projection(input, linear_weight, linear_bias)
    classes, *several = linear_weight.shape[:-1]
    rows = math.prod(several, start=classes)
    flat_bias = None if linear_bias is None else linear_bias.reshape(rows)
    logits = linear(input, linear_weight.reshape(rows, linear_weight.shape[-1]), flat_bias)
    logits = logits.reshape(*input.shape[:-1], classes, *several)
    if target.shape == logits.shape and ignore_index is not None:
        raise RuntimeError("ignore_index cannot be specified when target contains probabilities")
    ignored = -100 if ignore_index is None else ignore_index
    return cross_entropy(
        logits, target, weight, ignore_index=ignored, reduction=reduction, label_smoothing=label_smoothing
    )
