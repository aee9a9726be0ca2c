"""Losses against numbers: how far values, or the parameters of a distribution, are from what was observed."""

from __future__ import annotations

import math
import warnings
from typing import Any

from ..registry import composite
from ..registry.samples import each, on, positive, real, whole
from ..tape.mode import no_grad
from ..tensors.tensor import Tensor
from .comparison import choose
from .logarithms import xlogy
from .loss import chosen_reduction, reduced


def warn_of_broadcast(input: Tensor, target: Tensor) -> None:
    if input._array.shape != target._array.shape:
        warnings.warn(
            f"Using a target size ({target.shape}) that is different to the input size ({input.shape}). This will likely "
            "lead to incorrect results due to broadcasting. Please ensure they have the same size.",
            UserWarning,
            stacklevel=3,
        )


def _weighted(losses: Tensor, input: Tensor, weight: Tensor | None, reduction: str) -> Tensor:
    """*losses* times *weight*, reduced; their mean is over the total of the weights."""
    if weight is None:
        return reduced(losses, reduction)
    _check_weight(input, weight)
    weighted = losses * weight
    return weighted.sum() / weight.sum() if reduction == "mean" else reduced(weighted, reduction)


def _check_weight(input: Tensor, weight: Tensor) -> None:
    if weight._array.shape != input._array.shape:
        raise ValueError(
            f"Weights and input must have the same size, found {list(weight.shape)} and {list(input.shape)}."
        )


@composite(method=False, samples=each(on(real(3, 4), positive(3, 4)), on(real(4), real(4), weight=positive(4))))
def mse_loss(
    input: Tensor,
    target: Tensor,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """The mean of (input - target)², or its "sum" or "none"; *weight*, of input's shape, weighs the elements."""
    reduction = chosen_reduction(size_average, reduce, reduction)
    warn_of_broadcast(input, target)
    return _weighted((input - target).square(), input, weight, reduction)


@composite(method=False, samples=each(on(real(3, 4), positive(3, 4)), on(real(4), real(4), weight=positive(4))))
def l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """The mean of |input - target|, or its "sum" or "none"; *weight*, of input's shape, weighs the elements."""
    reduction = chosen_reduction(size_average, reduce, reduction)
    warn_of_broadcast(input, target)
    return _weighted((input - target).abs(), input, weight, reduction)


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
    if beta < 0:
        raise RuntimeError(f"smooth_l1_loss does not support negative values for beta, found {beta}.")
    if beta == 0:
        return l1_loss(input, target, reduction=reduction)
    difference = input - target
    size = difference.abs()
    return reduced(choose(size < beta, difference.square() * (0.5 / beta), size - 0.5 * beta), reduction)


@composite(method=False, samples=on(real(3, 4), positive(3, 4)))
def huber_loss(
    input: Tensor, target: Tensor, reduction: str = "mean", delta: float = 1.0, weight: Tensor | None = None
) -> Tensor:
    """d² / 2 for differences |d| of at most *delta*, delta · (|d| - delta / 2) above (Huber 1964)."""
    if not isinstance(delta, (int, float)):
        raise TypeError(f"delta must be a float or int, got: {type(delta)}")
    warn_of_broadcast(input, target)
    if delta <= 0:
        raise RuntimeError(f"huber_loss does not support non-positive values for delta, found {delta}.")
    difference = input - target
    size = difference.abs()
    losses = choose(size <= delta, difference.square() * 0.5, (size - 0.5 * delta) * delta)
    if weight is not None:
        _check_weight(input, weight)
        losses = losses * weight
    return reduced(losses, reduction)


@composite(
    method=False,
    samples=each(
        on(real(3, 4), positive(3, 4), reduction="sum"),
        on(real(3, 4), real(3, 4), reduction="batchmean", log_target=True),
    ),
)
def kl_div(
    input: Tensor,
    target: Tensor,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
    log_target: bool = False,
) -> Tensor:
    """target · (log target - input): the divergence of log-probabilities input from probabilities target.

    S. Kullback and R. Leibler, On information and sufficiency (1951). *log_target*: target holds logarithms too.
    *reduction* "batchmean", the sum divided by the first dimension, is the divergence; "mean" divides by all elements,
    of which it warns.

    >>> import allgrad as torch
    >>> p = torch.tensor([[0.5, 0.5]])
    >>> torch.nn.functional.kl_div(p.log(), p, reduction="batchmean")
    tensor(0.)
    """
    older = size_average is not None or reduce is not None
    reduction = chosen_reduction(size_average, reduce, reduction)
    if reduction == "mean" and not older:
        warnings.warn(
            "reduction: 'mean' divides the total loss by both the batch size and the support size."
            "'batchmean' divides only by the batch size, and aligns with the KL div math definition.",
            UserWarning,
            stacklevel=2,
        )
    losses = target.exp() * (target - input) if log_target else xlogy(target, target) - target * input
    if reduction != "batchmean":
        return reduced(losses, reduction)
    total: Tensor = losses.sum()
    return total / input._array.shape[0] if input._array.ndim else total


@composite(
    method=False,
    samples=each(
        on(real(3, 4), positive(3, 4)),
        on(positive(4), whole(4, below=4), log_input=False, full=True, reduction="sum"),
    ),
)
def poisson_nll_loss(
    input: Tensor,
    target: Tensor,
    log_input: bool = True,
    full: bool = False,
    size_average: Any = None,
    eps: float = 1e-8,
    reduce: Any = None,
    reduction: str = "mean",
) -> Tensor:
    """The negative log-likelihood of counts *target*, whose mean is exp(input), or input unless *log_input*.

    Without the logarithm of target's factorial, or with Stirling's approximation of it if *full*. *eps* keeps
    log(input) finite.
    """
    reduction = chosen_reduction(size_average, reduce, reduction)
    losses = input.exp() - target * input if log_input else input - target * (input + eps).log()
    if full:
        stirling = target * target.log() - target + 0.5 * (2 * math.pi * target).log()
        losses = losses + choose(target <= 1, 0.0, stirling)
    return reduced(losses, reduction)


@composite(
    method=False,
    samples=each(
        on(real(3, 4), real(3, 4, high=1.7), positive(3, 4)),
        on(real(3, 4), real(3, 4, high=1.7), positive(3), full=True, reduction="sum"),
    ),
)
def gaussian_nll_loss(
    input: Tensor, target: Tensor, var: Any, full: bool = False, eps: float = 1e-6, reduction: str = "mean"
) -> Tensor:
    """(log var + (input - target)² / var) / 2: the negative log-likelihood of *target* under a mean input and variance *var*.

    D. Nix and A. Weigend, Estimating the mean and variance of the target probability distribution (1994). *var* is a
    number or of input's shape, or one for each row (without the last dimension, or of length 1 in one); held above
    *eps*, without effect on its gradient. *full* adds log(2π) / 2. ValueError if it is negative or does not fit.
    """
    variance = input.new_full(input.shape, var) if isinstance(var, (int, float)) else var
    if (variance._array < 0).any():
        raise ValueError("var has negative entry/entries: a variance is at least 0")
    variance = _fitting_variance(input, variance).clone()
    with no_grad():
        variance.clamp_(min=eps)
    losses = 0.5 * (variance.log() + (input - target).square() / variance)
    return reduced(losses + 0.5 * math.log(2 * math.pi) if full else losses, reduction)


def _fitting_variance(input: Tensor, variance: Tensor) -> Tensor:
    wanted, found = input._array.shape, variance._array.shape
    if found == wanted:
        return variance
    if found == wanted[:-1]:
        row: Tensor = variance.unsqueeze(-1)
        return row
    if len(found) == len(wanted) and sum(b for a, b in zip(wanted, found, strict=True) if a != b) == 1:
        return variance
    raise ValueError(
        f"var is of incorrect size: expected {list(wanted)}, or without its last dimension or with one dimension of 1, "
        f"found {list(found)}"
    )
