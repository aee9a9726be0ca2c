"""Losses that want a margin between what is right and what is wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..registry import composite
from ..registry.samples import Samples, each, on, real, truth, whole
from ..tensors.tensor import Tensor
from .activation import logsigmoid
from .comparison import choose, minimum
from .distances import pairwise_distance
from .gathering import gather
from .loss import chosen_reduction, expect_reduction, reduced


def _signs(*shape: int) -> Any:
    """1 and -1 in about equal parts."""
    return lambda generator: truth(*shape)(generator).astype(np.int64) * 2 - 1


_SIGNED = on(real(3, 4), _signs(3, 4))


@composite(method=False, samples=_SIGNED)
def soft_margin_loss(
    input: Tensor, target: Tensor, size_average: Any = None, reduce: Any = None, reduction: str = "mean"
) -> Tensor:
    """log(1 + exp(-target · input)) for targets of 1 and -1 of input's shape, without overflow.

    >>> import allgrad as torch
    >>> torch.nn.functional.soft_margin_loss(torch.zeros(2), torch.tensor([1., -1.]))
    tensor(0.6931)
    """
    reduction = chosen_reduction(size_average, reduce, reduction)
    return reduced(-logsigmoid(target * input), reduction)


@composite(
    method=False,
    samples=each(on(real(4), real(4, high=1.7), _signs(4)), on(real(4), real(4, high=1.7), _signs(4), margin=0.5)),
)
def margin_ranking_loss(
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: float = 0,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
) -> Tensor:
    """max(0, margin - target · (input1 - input2)): a target of 1 wants input1 to be the greater, -1 input2."""
    dims = {input1._array.ndim, input2._array.ndim, target._array.ndim}
    if len(dims) > 1:
        raise RuntimeError(
            "margin_ranking_loss : All input tensors should have same dimension but got sizes: "
            f"input1: {input1.shape}, input2: {input2.shape}, target: {target.shape} "
        )
    reduction = chosen_reduction(size_average, reduce, reduction)
    return reduced((-target * (input1 - input2) + margin).clamp(min=0), reduction)


@composite(method=False, samples=each(_SIGNED, on(real(3, 4), _signs(3, 4), margin=0.5)))
def hinge_embedding_loss(
    input: Tensor,
    target: Tensor,
    margin: float = 1.0,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
) -> Tensor:
    """input where target is 1, max(0, margin - input) where it is -1: input is a distance of what should be near or far."""
    reduction = chosen_reduction(size_average, reduce, reduction)
    far = choose(target != 1, (margin - input).clamp(min=0), 0.0)
    near = choose(target != -1, input, 0.0)
    return reduced(far + near, reduction)


@composite(
    method=False,
    samples=each(
        on(real(4, 3), real(4, 3, high=1.7), _signs(4)),
        on(real(3), real(3, high=1.7), np.array(-1), margin=-0.5),
    ),
)
def cosine_embedding_loss(
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: float = 0,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
) -> Tensor:
    """1 - cos where target is 1, max(0, cos - margin) where it is -1, of the angle between rows of the inputs.

    Inputs (N, D) with a target (N), or (D) with a target of no dimension.
    """
    dims = target._array.ndim
    if dims not in (0, 1):
        raise RuntimeError(f"0D or 1D target tensor expected, multi-target not supported, found {dims}D")
    if input1._array.ndim != dims + 1 or input2._array.ndim != dims + 1:
        raise RuntimeError(
            f"{dims}D target tensor expects {dims + 1}D input tensors, but found inputs with sizes {list(input1.shape)} and "
            f"{list(input2.shape)}."
        )
    reduction = chosen_reduction(size_average, reduce, reduction)
    lengths = ((input1 * input1).sum(dims) + 1e-12) * ((input2 * input2).sum(dims) + 1e-12)
    cosine = (input1 * input2).sum(dims) / lengths.sqrt()
    losses = choose(target == 1, 1 - cosine, 0.0) + choose(target == -1, (cosine - margin).clamp(min=0), 0.0)
    return reduced(losses, reduction)


def _expect_index(name: str, target: Tensor) -> None:
    if target._array.dtype != np.int64:
        raise RuntimeError(
            f"{name}: expected scalar type Long but found {target.dtype}: class targets are whole numbers, use .long()"
        )


def _rows_of(name: str, input: Tensor) -> Tensor:
    """*input* (N, C), (C) or without dimensions as a matrix; the error of a wrong one."""
    if input._array.dtype.kind != "f":
        raise NotImplementedError(f"{name} is not implemented for {input.dtype}: use .float() first")
    if input._array.ndim > 2:
        raise RuntimeError(f"{name}: Expected non-empty vector or matrix with optional 0-dim batch size, but got: "
                           f"{list(input.shape)}")  # fmt: skip
    rows: Tensor = input if input._array.ndim == 2 else input.reshape(1, -1)
    return rows


@composite(
    method=False,
    samples=each(
        on(real(4, 3), whole(4, below=3)),
        on(real(4, 3), whole(4, below=3), 2, 0.7, np.array([0.5, 1.0, 2.0])),
        on(real(3), np.array(1)),
    ),
)
def multi_margin_loss(
    input: Tensor,
    target: Tensor,
    p: int = 1,
    margin: float = 1.0,
    weight: Tensor | None = None,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
) -> Tensor:
    """Σ over the other classes of max(0, margin - input[target] + input[other])^p, divided by the number of classes.

    input (N, C) or (C), target (N) or one class, int64; *p* 1 or 2; *weight* (C) weighs the targets' classes.
    """
    expect_reduction(reduction)
    if p not in (1, 2):
        raise ValueError(f"only p == 1 and p == 2 supported, found {p}")
    if weight is not None and weight._array.ndim != 1:
        raise ValueError(f"weight must be one-dimensional, found shape {list(weight.shape)}")
    rows = _rows_of("multi_margin_loss", input)
    batch, classes = rows._array.shape
    _expect_index("multi_margin_loss", target)
    if target._array.size != batch or target._array.ndim > 1:
        raise RuntimeError(
            "multi_margin_loss: target tensor should be 1-D with size equal to the number of input samples (batch size). "
            f"Expected target size [{batch}], but got {list(target.shape)}. Input has shape {list(input.shape)}."
        )
    if target._array.size and not 0 <= target._array.min() <= target._array.max() < classes:
        raise RuntimeError(f"target out of range: there are {classes} classes, found {target.tolist()}")
    if weight is not None and weight._array.shape != (classes,):
        raise RuntimeError(f"inconsistent weight size, expected {classes} but got {list(weight.shape)}")
    reduction = chosen_reduction(size_average, reduce, reduction)
    right = target.reshape(-1, 1)
    losses = (margin - gather(rows, 1, right) + rows).clamp(min=0)
    losses = choose(Tensor._wrap(np.arange(classes) == right._array) | (losses <= 0), 0.0, losses)
    if p == 2:
        losses = losses.square()
    if weight is not None:
        losses = losses * weight[right]
    losses = losses.sum(1) / classes
    return reduced(losses if target._array.ndim else losses.squeeze(0), reduction)


@composite(
    by_example=True,
    method=False,
    samples=each(
        on(real(2, 4), np.array([[1, 3, -1, 0], [2, -1, 0, 0]])),
        on(real(4), np.array([0, 2, -1, -1])),
    ),
)
def multilabel_margin_loss(
    input: Tensor, target: Tensor, size_average: Any = None, reduce: Any = None, reduction: str = "mean"
) -> Tensor:
    """Σ of max(0, 1 - input[right] + input[wrong]) over all pairs of right and wrong classes, divided by their number C.

    input (N, C) or (C); target of the same shape, int64, lists the right classes, ended by -1.
    """
    expect_reduction(reduction)
    rows = _rows_of("multilabel_margin_loss", input)
    _expect_index("multilabel_margin_loss", target)
    if target._array.shape != input._array.shape:
        raise RuntimeError(f"inconsistent target size: {list(target.shape)} for input of size: {list(input.shape)}")
    classes = rows._array.shape[1]
    listed = target._array.reshape(rows._array.shape)
    if listed.size and (listed.min() < -1 or listed.max() >= classes):
        raise RuntimeError(
            f"argument #2 'target' is out of range: expected -1 to {classes - 1}, found {target.tolist()}"
        )
    counted = np.cumsum(listed < 0, axis=1) == 0
    known = np.where(counted, listed, 0)
    right = np.zeros((*listed.shape[:1], classes), dtype=bool)
    sample, place = np.nonzero(counted)
    right[sample, listed[sample, place]] = True
    pairs = 1 - gather(rows, 1, Tensor._wrap(known)).unsqueeze(2) + rows.unsqueeze(1)
    pairs = choose(Tensor._wrap(counted[:, :, None] & ~right[:, None, :]) & (pairs > 0), pairs, 0.0)
    losses = pairs.sum((1, 2)) / max(classes, 1)
    reduction = chosen_reduction(size_average, reduce, reduction)
    return reduced(losses if input._array.ndim == 2 else losses.squeeze(0), reduction)


@composite(
    method=False,
    samples=each(on(real(3, 4), whole(3, 4, below=2)), on(real(3, 4), whole(3, 4, below=2), real(4))),
)
def multilabel_soft_margin_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
) -> Tensor:
    """The cross entropy of sigmoid(input) and targets 0 or 1, (…, C) both, averaged over the classes; *weight* (C)."""
    reduction = chosen_reduction(size_average, reduce, reduction)
    losses = -(target * logsigmoid(input) + (1 - target) * logsigmoid(-input))
    if weight is not None:
        losses = losses * weight
    return reduced(losses.sum(-1) / input._array.shape[-1], reduction)


def _triplets() -> Samples:
    three = (real(4, 3), real(4, 3, high=1.7), real(4, 3, low=-1.5))
    return each(on(*three), on(*three, swap=True, margin=2.0), on(*three, p=1.0))


@composite(method=False, samples=_triplets())
def triplet_margin_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    margin: float = 1.0,
    p: float = 2,
    eps: float = 1e-6,
    swap: bool = False,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
) -> Tensor:
    """max(0, margin + ‖anchor - positive‖ - ‖anchor - negative‖) for vectors (…, D), in the *p*-norm.

    *swap* takes ‖positive - negative‖ where that is less (V. Balntas et al., Learning shallow convolutional feature
    descriptors with triplet losses, 2016). *eps* is added to the differences.
    """
    reduction = chosen_reduction(size_average, reduce, reduction)

    def distance(a: Tensor, b: Tensor) -> Tensor:
        return pairwise_distance(a, b, p, eps)

    return triplet_margin_with_distance_loss(
        anchor, positive, negative, distance_function=distance, margin=margin, swap=swap, reduction=reduction
    )


@composite(method=False, samples=on(real(4, 3), real(4, 3, high=1.7), real(4, 3, low=-1.5), margin=2.0))
def triplet_margin_with_distance_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    *,
    distance_function: Callable[[Tensor, Tensor], Tensor] | None = None,
    margin: float = 1.0,
    swap: bool = False,
    reduction: str = "mean",
) -> Tensor:
    """``triplet_margin_loss`` with any distance of two tensors, ``pairwise_distance`` if None.

    ValueError for a margin that is not positive, RuntimeError for unequal numbers of dimensions.
    """
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"{reduction} is not a valid value for reduction: expected 'mean', 'sum' or 'none'")
    if margin <= 0:
        raise ValueError(f"margin must be greater than 0, got {margin}")
    dims = [t._array.ndim for t in (anchor, positive, negative)]
    if len(set(dims)) > 1:
        raise RuntimeError(
            "The anchor, positive, and negative tensors are expected to have the same number of dimensions, but got: "
            f"anchor {dims[0]}D, positive {dims[1]}D, and negative {dims[2]}D inputs"
        )
    distance = distance_function or pairwise_distance
    near, far = distance(anchor, positive), distance(anchor, negative)
    if swap:
        far = minimum(far, distance(positive, negative))
    return reduced((near - far + margin).clamp(min=0), reduction)
