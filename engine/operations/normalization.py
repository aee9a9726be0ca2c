"""Normalisation: values brought to mean 0 and variance 1 over a batch, a layer or a vector."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..kernels import normalization as kernels
from ..registry import Array, composite, operation
from ..registry.operation import Promotion
from ..registry.samples import each, on, real
from ..tape.mode import no_grad
from ..tensors.tensor import Tensor
from .rectifiers import check_floating

Dims = tuple[int, ...]


def _mean(x: Any, dims: Dims) -> Any:
    return np.sum(x, axis=dims, keepdims=True) * (1 / math.prod(tuple(x.shape)[d] for d in dims))


def _unit(input: Any, dims: Dims, eps: float) -> tuple[Any, Any]:
    """input with mean 0 and variance 1, and 1 / sqrt(variance + eps)."""
    centered = input - _mean(input, dims)
    scale = 1 / np.sqrt(_mean(centered * centered, dims) + eps)
    return centered * scale, scale


def _through(u: Any, unit: Any, scale: Any, dims: Dims) -> Any:
    """The gradient with respect to what *unit* was made of, if *u* is that of unit; the same is so for their tangents."""
    return (u - _mean(u, dims) - unit * _mean(u * unit, dims)) * scale


def _slope_by_input(g: Any, grad: Any, input: Any, weight: Any, dims: Dims, eps: float) -> Any:
    """The gradient of ``standardize_input`` with respect to input."""
    unit, scale = _unit(input, dims, eps)
    inner = grad * weight
    by_g, by_inner = _mean(g * unit, dims), _mean(inner * unit, dims)
    by_unit = -(g * by_inner + inner * by_g) * scale
    by_scale = _mean(g * (inner - _mean(inner, dims) - unit * by_inner), dims)
    return _through(by_unit, unit, scale, dims) - unit * scale * scale * by_scale


def _slope_by_weight(g: Any, grad: Any, input: Any, dims: Dims, eps: float) -> Any:
    return grad * _through(g, *_unit(input, dims, eps), dims)


def _slope_by_grad(g: Any, input: Any, weight: Any, dims: Dims, eps: float) -> Any:
    return weight * _through(g, *_unit(input, dims, eps), dims)


@operation(
    _slope_by_grad,
    _slope_by_input,
    _slope_by_weight,
    broadcasts=True,
    promotion=Promotion.ARITHMETIC,
    public=False,
    samples=each(
        on(real(2, 3, 4), real(2, 3, 4), real(4), (2,), 0.1),
        on(real(4, 2, 3), real(4, 2, 3), real(1, 2, 1), (0, 2), 0.1),
    ),
)
def standardize_input(grad: Array, input: Array, weight: Array, dims: Dims, eps: float) -> Array:
    """The gradient of ``standardized`` with respect to input, from *grad*, that of its result."""
    return kernels.standardize_input(grad, input, weight, dims, eps)


@operation(
    lambda g, input, dims, eps: g * _unit(input, dims, eps)[0],
    lambda g, grad, input, dims, eps: standardize_input(grad, input, g, dims, eps),
    promotion=Promotion.ARITHMETIC,
    public=False,
    samples=each(
        on(real(2, 3, 4), real(2, 3, 4), (4,), (2,), 0.1),
        on(real(4, 2, 3), real(4, 2, 3), (1, 2, 1), (0, 2), 0.1),
    ),
)
def standardize_weight(grad: Array, input: Array, shape: tuple[int, ...], dims: Dims, eps: float) -> Array:
    """The gradient of ``standardized`` with respect to a weight of *shape*, from *grad*, that of its result."""
    return kernels.standardize_weight(grad, input, shape, dims, eps)


def _norm_name(node: Any) -> str:
    dims = node._saved_dims
    if len(node._saved_weight_shape) == len(dims):
        return "NativeLayerNormBackward0"
    return "NativeBatchNormBackward0" if dims[0] == 0 else "NativeGroupNormBackward0"


@operation(
    lambda g, input, weight, dims, eps: standardize_input(g, input, weight, dims, eps),
    lambda g, input, weight_shape, dims, eps: standardize_weight(g, input, weight_shape, dims, eps),
    lambda g: g,
    broadcasts=True,
    promotion=Promotion.ARITHMETIC,
    node_name=_norm_name,
    public=False,
    samples=each(
        on(real(2, 3, 4), real(4), real(4), (2,), 0.1),
        on(real(4, 2, 3), real(1, 2, 1), real(1, 2, 1), (0, 2), 0.1),
        on(real(2, 2, 3, 2), real(1, 2, 3, 1), real(1, 2, 3, 1), (2, 3), 0.1),
    ),
)
def standardized(input: Array, weight: Array, bias: Array, dims: Dims, eps: float) -> Array:
    """input with mean 0 and variance 1 over *dims*, times weight, plus bias; both broadcast to input."""
    return kernels.standardize(input, weight, bias, dims, eps)


def standardized_over(
    input: Tensor, dims: Dims, shape: tuple[int, ...], weight: Tensor | None, bias: Tensor | None, eps: float
) -> Tensor:
    """``standardized`` with a weight and a bias seen in *shape*, 1 and 0 where there is none."""
    scale, shift = (
        Tensor._wrap(np.full(shape, missing, input._array.dtype))
        if given is None
        else given if given._array.shape == shape else given.reshape(shape)
        for given, missing in ((weight, 1), (bias, 0))
    )  # fmt: skip
    return standardized(input, scale, shift, dims, float(eps))


@composite(method=False, samples=each(on(real(2, 3, 4), [4]), on(real(2, 3, 4), [3, 4], real(3, 4), real(3, 4))))
def layer_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """input with mean 0 and variance 1 over its last dimensions, which are *normalized_shape*; · weight + bias."""
    shape = tuple(normalized_shape)
    if input._array.shape[input._array.ndim - len(shape) :] != shape or not shape:
        raise RuntimeError(
            f"Given normalized_shape={list(shape)}, expected input with shape [*, {', '.join(map(str, shape))}], "
            f"but got input of size{list(input.shape)}"
        )
    check_floating("LayerNormKernelImpl", input._array)
    ndim = input._array.ndim
    return standardized_over(input, tuple(range(ndim - len(shape), ndim)), shape, weight, bias, eps)


@composite(
    method=False,
    samples=each(
        on(real(4, 3), None, None, None, None, True),
        on(real(2, 3, 2, 2), None, None, real(3), real(3), True),
        on(real(4, 3), np.array([0.1, 0.2, 0.3]), np.array([1.0, 2.0, 0.5]), real(3), real(3)),
    ),
)
def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """input (N, C, …) with mean 0 and variance 1 per channel; · weight + bias.

    While *training*, the batch's own statistics count and the running ones follow them by *momentum* (their
    variance unbiased); otherwise the running ones count.
    """
    column = (1, -1) + (1,) * (input._array.ndim - 2)
    if training:
        count = math.prod(input._array.shape[:1] + input._array.shape[2:])
        if count == 1:
            raise ValueError(f"Expected more than 1 value per channel when training, got input size {input.shape}")
        if not input._array.size:
            return _of_nothing(input, weight, bias, column)
        _follow(running_mean, running_var, input, count, momentum)
        shape = (1, input._array.shape[1]) + column[2:]
        return standardized_over(input, (0, *range(2, input._array.ndim)), shape, weight, bias, eps)
    if running_mean is None or running_var is None:
        raise RuntimeError("Expected running_mean and running_var to be defined when training=False")
    scale = (running_var + eps).rsqrt()
    if weight is not None:
        scale = scale * weight
    shift = -running_mean * scale if bias is None else bias - running_mean * scale
    return input * scale.reshape(column) + shift.reshape(column)


def _of_nothing(input: Tensor, weight: Tensor | None, bias: Tensor | None, column: tuple[int, ...]) -> Tensor:
    """An empty batch as it is, with gradients of 0 for *weight* and *bias*; it tells no statistics."""
    result = input * 1 if weight is None else input * weight.reshape(column)
    return result if bias is None else result + bias.reshape(column)


def _follow(
    running_mean: Tensor | None, running_var: Tensor | None, input: Tensor, count: int, momentum: float
) -> None:
    """Move the running statistics towards those of *input*, which has *count* values in each channel."""
    if running_mean is None and running_var is None:
        return
    mean, variance = kernels.channel_moments(input._array)
    with no_grad():
        if running_mean is not None:
            running_mean.mul_(1 - momentum).add_(Tensor._wrap(mean), alpha=momentum)
        if running_var is not None:
            running_var.mul_(1 - momentum).add_(Tensor._wrap(variance * (count / (count - 1))), alpha=momentum)


@composite(out=True, method=False, samples=on(real(3, 4)))
def normalize(input: Tensor, p: float = 2.0, dim: int = 1, eps: float = 1e-12) -> Tensor:
    """input divided by its norm along *dim*, or by *eps* where that is smaller."""
    return input / input.norm(p, dim, keepdim=True).clamp(min=eps)
