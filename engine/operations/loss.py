"""Probabilities of classes, the losses that hold them against the right class, and how losses are reduced."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..batching import anywhere, first_where, zeros
from ..errors import normal_dim
from ..kernels.activation import softmax as softmax_values
from ..kernels.activation import softmax_backward as softmax_gradient
from ..registry import Array, Index, composite, operation
from ..registry.operation import Promotion
from ..registry.samples import each, on, real, whole
from ..tensors.tensor import Tensor
from .indexing import masked_fill


def _softmax_slope(g: Any, grad: Any, result: Any, dim: int, scale: float) -> Any:
    """The gradient of ``softmax_backward`` with respect to *result*."""
    by_grad, by_g = (np.sum(x * result, axis=dim, keepdims=True) for x in (grad, g))
    return (g * (grad - by_grad) - grad * by_g) * scale


@operation(
    lambda g, result, dim, scale: softmax_backward(g, result, dim, scale),
    _softmax_slope,
    public=False,
    samples=each(on(real(3, 4), real(3, 4), 1, 1.0), on(real(2, 3, 4), real(2, 3, 4), 0, 0.5)),
)
def softmax_backward(grad: Array, result: Array, dim: int, scale: float) -> Array:
    """scale · (result · grad - result · sum(result · grad)): the gradient through the softmax of scale · x along *dim*."""
    return softmax_gradient(grad, result, normal_dim(dim, result.ndim), scale)


@operation(
    lambda g, y, dim: softmax_backward(g, y, dim, 1.0),
    promotion=Promotion.NONE,
    node_name="SoftmaxBackward0",
    public=False,
    samples=each(on(real(3, 4), 1), on(real(2, 3, 4), 0)),
)
def softmax_along(input: Array, dim: int) -> Array:
    """exp(input), normalised to a sum of 1 along *dim*."""
    _check_floating("softmax", input)
    dim = normal_dim(dim, input.ndim)
    if not input.size:
        return input.copy()
    return softmax_values(input, dim)


@operation(
    lambda g, y, dim: g - np.exp(y) * np.sum(g, axis=dim, keepdims=True),
    node_name="LogSoftmaxBackward0",
    public=False,
    samples=each(on(real(3, 4), 1), on(real(2, 3, 4), 0)),
)
def log_softmax_along(input: Array, dim: int) -> Array:
    """The logarithm of the softmax along *dim*, without overflow."""
    _check_floating("log_softmax", input)
    dim = normal_dim(dim, input.ndim)
    if not input.size:
        return input.copy()
    axis = dim if input.ndim else None
    shifted = input - np.max(input, axis=axis, keepdims=True)
    shifted -= np.log(np.sum(np.exp(shifted), axis=axis, keepdims=True))
    return shifted


def _check_floating(name: str, input: Array) -> None:
    if input.dtype.kind != "f":
        raise NotImplementedError(f'"{name}_lastdim_kernel_impl" not implemented for {input.dtype}: use .float() first')


@composite(out=True, samples=on(real(3, 4), 1))
def softmax(input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Tensor:
    """exp(input), normalised to a sum of 1 along *dim*.

    >>> import allgrad as torch
    >>> torch.softmax(torch.tensor([0., 0.]), dim=0)
    tensor([0.5000, 0.5000])
    """
    return softmax_along(input if dtype is None else input.to(dtype), _implicit(input, dim))


@composite(out=True, samples=on(real(3, 4), 1))
def log_softmax(input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Tensor:
    """The logarithm of the softmax along *dim*, without overflow."""
    return log_softmax_along(input if dtype is None else input.to(dtype), _implicit(input, dim))


def _implicit(input: Tensor, dim: int | None) -> int:
    """The dimension PyTorch takes where none is named."""
    if dim is not None:
        return dim
    return 0 if input._array.ndim in (0, 1, 3) else 1


def chosen_reduction(size_average: bool | None, reduce: bool | None, reduction: str) -> str:
    """*reduction*, unless PyTorch's two older arguments say otherwise."""
    if size_average is None and reduce is None:
        return reduction
    if reduce is False:
        return "none"
    return "sum" if size_average is False else "mean"


def reduced(loss: Any, reduction: str) -> Any:
    """*loss* as "mean", "sum" or "none" of its elements."""
    if reduction == "mean":
        return loss.mean()
    if reduction == "sum":
        return loss.sum()
    expect_reduction(reduction)
    return loss


def expect_reduction(reduction: str) -> None:
    """ValueError for what is neither "mean", "sum" nor "none"."""
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"{reduction} is not a valid value for reduction: expected 'mean', 'sum' or 'none'")


@operation(
    lambda g, target, weights, input_shape: _picked_zeros(g, target, weights, input_shape),
    node_name="NllLossBackward0",
    public=False,
    samples=each(
        on(real(4, 3), whole(4, below=3), np.array([0.5, 1.0, 2.0, 1.0])),
        on(real(2, 3, 2), whole(2, 2, below=3), np.ones((2, 2))),
    ),
)
def negative_picked(input: Array, target: Index, weights: Any) -> Array:
    """-weights · input at the class *target*, for input (N, C, …), target and weights (N, …)."""
    picked = np.take_along_axis(input, np.expand_dims(target, 1), 1)[:, 0]
    return -picked * weights.astype(input.dtype, copy=False)


@operation(
    lambda g, target, weights: negative_picked(g, target, weights),
    public=False,
    samples=on(real(4), whole(4, below=3), np.ones(4), (4, 3)),
)
def _picked_zeros(g: Array, target: Index, weights: Any, shape: tuple[int, ...]) -> Array:
    """Zeros of *shape* with -weights · g at the class *target*: what ``negative_picked`` sends back."""
    result = zeros(shape, g)
    np.put_along_axis(result, np.expand_dims(target, 1), np.expand_dims(-g * weights.astype(g.dtype, copy=False), 1), 1)
    return result


def _probabilities(input: Any) -> Any:
    """The softmax of input along dimension 1."""
    return softmax_along(input, 1)


def _one_hot(target: Any, shape: tuple[int, ...], like: Any) -> Any:
    """Ones of the type of *like* at the class *target* along dimension 1, zeros elsewhere."""
    grid = np.arange(shape[1]).reshape(-1, *(1,) * (len(shape) - 2))
    return (np.expand_dims(target, 1) == grid) * np.ones_like(np.sum(like))


@operation(
    lambda g, input, target, weights: cross_entropy_input(g, input, target, weights),
    node_name="NllLossBackward0",
    public=False,
    samples=each(
        on(real(4, 3), whole(4, below=3), np.array([0.5, 1.0, 2.0, 1.0], np.float32)),
        on(real(2, 3, 2), whole(2, 2, below=3), np.ones((2, 2), np.float32)),
    ),
)
def class_cross_entropy(input: Array, target: Index, weights: Any) -> Array:
    """-weights · log softmax(input) at the class *target*, for logits input (N, C, …), target and weights (N, …)."""
    _check_floating("log_softmax", input)
    rows = _rows(input)
    shifted = rows - rows.max(axis=1, keepdims=True)
    losses = np.log(np.exp(shifted).sum(axis=1))
    losses -= shifted[np.arange(len(rows)), target.reshape(-1)]
    return losses.reshape(target.shape) * weights


@operation(
    lambda g, input, target, weights: (
        weights * np.sum(g * (_probabilities(input) - _one_hot(target, tuple(input.shape), g)), axis=1)
    ),
    lambda g, grad, input, weights: softmax_backward(
        g * np.expand_dims(grad * weights, 1), _probabilities(input), 1, 1.0
    ),
    public=False,
    samples=on(real(4), real(4, 3), whole(4, below=3), np.array([0.5, 1.0, 2.0, 1.0], np.float32)),
)
def cross_entropy_input(grad: Array, input: Array, target: Index, weights: Any) -> Array:
    """The gradient of ``class_cross_entropy`` with respect to its input, from *grad*, that of its result."""
    rows = _rows(input)
    result = np.exp(rows - rows.max(axis=1, keepdims=True))
    result /= result.sum(axis=1, keepdims=True)
    result[np.arange(len(rows)), target.reshape(-1)] -= 1
    result *= (grad * weights).reshape(-1, 1)
    if input.ndim == 2:
        return result
    return np.moveaxis(result.reshape(*target.shape, input.shape[1]), -1, 1)


def _rows(input: Array) -> Array:
    """input (N, C, …) as a matrix of the classes of one prediction in each row."""
    return input if input.ndim == 2 else np.moveaxis(input, 1, -1).reshape(-1, input.shape[1])


def _check_classes(input: Tensor, target: Tensor, ignore_index: int) -> None:
    shape, classes = input._array.shape, target._array
    if classes.dtype != np.int64:
        raise RuntimeError(
            f"expected scalar type Long but found {target.dtype}: class targets are whole numbers, use .long()"
        )
    expected = (shape[0], *shape[2:])
    if classes.shape != expected:
        raise ValueError(
            f"Expected input batch_size ({shape[0]}) to match target batch_size ({classes.shape[0] if classes.ndim else 1}), "
            f"for input {list(shape)} and target {list(classes.shape)}"
            if not classes.ndim or classes.shape[0] != shape[0]
            else f"Expected target size {list(expected)}, got {list(classes.shape)}, for input {list(shape)}"
        )
    wrong = (classes != ignore_index) & ((classes < 0) | (classes >= shape[1]))
    if anywhere(wrong):
        bad = first_where(classes, wrong)
        raise IndexError(f"Target {bad} is out of bounds: there are {shape[1]} classes, 0 to {shape[1] - 1}.")


@composite(method=False, samples=on(real(4, 3), whole(4, below=3)))
def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: Any = None,
    ignore_index: int = -100,
    reduce: Any = None,
    reduction: str = "mean",
) -> Tensor:
    """The negative log-likelihood of classes: input (N, C, …) or (C) of log-probabilities, target (N, …) int64.

    *weight* (C) weighs classes, targets equal to *ignore_index* do not count; "mean" divides by the total weight.
    """
    reduction = chosen_reduction(size_average, reduce, reduction)
    if not input._array.ndim:
        raise ValueError("Expected 1 or more dimensions (got 0)")
    if input._array.ndim == 1:
        whole_batch = "none" if reduction == "none" else reduction
        loss = nll_loss(input.unsqueeze(0), target.unsqueeze(0), weight, None, ignore_index, None, whole_batch)
        return loss.squeeze(0) if reduction == "none" else loss
    classes, weights = _classes_and_weights(input, target, weight, ignore_index)
    return _averaged(negative_picked(input, classes, weights), weights, reduction)


def _classes_and_weights(input: Tensor, target: Tensor, weight: Tensor | None, ignore_index: int) -> tuple[Tensor, Any]:
    """Classes that can all be looked up, and what each counts: its weight, or 0 where it is ignored."""
    _check_classes(input, target, ignore_index)
    _check_weight(input, weight)
    classes = target._array
    counted = classes != ignore_index
    if not anywhere(~counted):
        weights = np.ones(classes.shape) if weight is None else weight._array[classes]
        return target, weights.astype(input._array.dtype, copy=False)
    safe = np.where(counted, classes, 0)
    weights = counted if weight is None else np.where(counted, weight._array[safe], 0)
    return Tensor._wrap(safe), weights.astype(input._array.dtype)


def _check_weight(input: Tensor, weight: Tensor | None) -> None:
    classes = input._array.shape[min(input._array.ndim - 1, 1)]
    if weight is not None and weight._array.shape != (classes,):
        raise RuntimeError(
            f"weight tensor should be defined either for all {classes} classes or no classes but got weight tensor of "
            f"shape: {list(weight.shape)}"
        )


def _averaged(losses: Tensor, weights: Any, reduction: str) -> Tensor:
    """*losses* reduced; their mean is over the total of *weights*, and where that is 0, nan without a gradient."""
    if reduction != "mean":
        return reduced(losses, reduction)
    total = float(weights.sum())
    return losses.sum() / total if total else losses.sum() * 0.0 + float("nan")


@composite(
    method=False,
    samples=each(on(real(4, 3), whole(4, below=3)), on(real(4, 3), whole(4, below=3), label_smoothing=0.1)),
)
def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: Any = None,
    ignore_index: int = -100,
    reduce: Any = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """The cross entropy of logits input (N, C, …) or (C) and classes target (N, …), or probabilities of input's shape.

    *weight* (C) weighs classes, targets equal to *ignore_index* do not count; *label_smoothing* spreads that part
    of the target evenly over the classes.

    >>> import allgrad as torch
    >>> torch.nn.functional.cross_entropy(torch.zeros(1, 2), torch.tensor([0]))
    tensor(0.6931)
    """
    reduction = chosen_reduction(size_average, reduce, reduction)
    if not 0 <= label_smoothing <= 1:
        raise RuntimeError(f"label_smoothing must be between 0.0 and 1.0. Got: {label_smoothing}")
    if not input._array.ndim:
        raise RuntimeError("cross_entropy: expected logits (N, C, …) or (C), found a tensor without dimensions")
    axis = 0 if input._array.ndim == 1 else 1
    _check_kind(input, target, ignore_index)
    if axis and not label_smoothing and not target.is_floating_point():
        classes, weights = _classes_and_weights(input, target, weight, ignore_index)
        return _averaged(class_cross_entropy(input, classes, weights), weights, reduction)
    logs = log_softmax_along(input, axis)
    if target.is_floating_point():
        return _soft_cross_entropy(logs, target, weight, reduction, label_smoothing, axis)
    loss = nll_loss(logs, target, weight, None, ignore_index, None, reduction)
    if not label_smoothing:
        return loss
    counted = Tensor._wrap(target._array != ignore_index)
    weighted = logs if weight is None else logs * weight.reshape([-1] + [1] * (input._array.ndim - axis - 1))
    even = masked_fill(-weighted.sum(axis), ~counted, 0.0)
    if reduction == "mean":
        total = counted.sum() if weight is None else weight[target.masked_fill(~counted, 0)].mul(counted).sum()
        even = even.sum() / total
    else:
        even = reduced(even, reduction)
    classes = input._array.shape[axis]
    return loss * (1 - label_smoothing) + even * (label_smoothing / classes)


def _check_kind(input: Tensor, target: Tensor, ignore_index: int) -> None:
    """RuntimeError for probabilities that are whole numbers, or of which one is to be ignored."""
    if target.is_floating_point():
        if ignore_index >= 0:
            raise RuntimeError(f"ignore_index is not supported for floating point target, found {ignore_index}")
    elif target._array.shape == input._array.shape:
        found = "Long" if target._array.dtype == np.int64 else target.dtype
        raise RuntimeError(f"Expected floating point type for target with class probabilities, got {found}")


def _soft_cross_entropy(
    logs: Tensor, target: Tensor, weight: Tensor | None, reduction: str, smoothing: float, axis: int
) -> Tensor:
    if target._array.shape != logs._array.shape:
        raise RuntimeError(
            f"cross_entropy: probabilities of shape {list(target.shape)} do not fit an input of shape {list(logs.shape)}: give "
            "one for each class, or class numbers as int64 (.long())"
        )
    _check_weight(logs, weight)
    if smoothing:
        target = target * (1 - smoothing) + smoothing / target._array.shape[axis]
    weighted = logs if weight is None else logs * weight.reshape([-1] + [1] * (logs._array.ndim - axis - 1))
    losses = -(weighted * target).sum(axis)
    if reduction == "mean":
        return losses.sum() / max(losses._array.size, 1)
    return reduced(losses, reduction)
