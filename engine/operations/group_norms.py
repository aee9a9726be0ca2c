"""Normalisation within one example: over groups of channels, over each channel, by the root mean square, by neighbours."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import dtypes
from ..registry import Array, composite, operation
from ..registry.samples import each, on, real
from ..tape.mode import no_grad
from ..tensors.tensor import Tensor
from .normalization import batch_norm, standardized_over
from .padding import constant_pad_nd
from .rectifiers import check_floating
from .reduction import sum_over
from .strides import unfold


def _check_vector(name: str, vector: Tensor | None, input: Tensor) -> None:
    """RuntimeError unless *vector*, a weight or bias, has one number for each channel of *input*."""
    shape = input._array.shape
    if vector is not None and vector._array.shape != (shape[1],):
        raise RuntimeError(
            f"Expected {name} to be a vector of size equal to the number of channels in input, but got {name} of shape "
            f"{list(vector.shape)} and input of shape {list(shape)}"
        )


def _by_channel(input: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    """input · weight + bias, which hold a number for each channel."""
    column = (-1,) + (1,) * (input._array.ndim - 2)
    if weight is not None:
        input = input * weight.reshape(column)
    return input if bias is None else input + bias.reshape(column)


@composite(
    method=False,
    samples=each(on(real(2, 4, 3), 2), on(real(2, 6), 3, real(6), real(6)), on(real(1, 4, 2, 2), 1, real(4))),
)
def group_norm(
    input: Tensor, num_groups: int, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5
) -> Tensor:
    """input (N, C, …) with mean 0 and variance 1 within each of *num_groups* groups of channels; · weight + bias.

    Args:
        input: (N, C, …), floating.
        num_groups: a divisor of C.
        weight: (C), or none.
        bias: (C), or none.
        eps: added to the variance.

    Raises:
        RuntimeError: groups that do not divide the channels, or a weight or bias of another size.
        ValueError: one value in every group, whose variance would be 0.

    Example:
        >>> import allgrad as torch
        >>> torch.nn.functional.group_norm(torch.tensor([[1.0, 3.0, 10.0, 30.0]]), 2)
        tensor([[-1.0000,  1.0000, -1.0000,  1.0000]])
    """
    shape = input._array.shape
    if len(shape) < 2:
        raise RuntimeError(f"Expected at least 2 dimensions for input tensor but received {len(shape)}")
    if num_groups > 0 and shape[0] * shape[1] // num_groups * math.prod(shape[2:]) == 1:
        raise ValueError(f"Expected more than 1 value per channel when training, got input size {list(shape)}")
    if num_groups <= 0 or shape[1] % num_groups:
        raise RuntimeError(
            "Expected number of channels in input to be divisible by num_groups, but got input of shape "
            f"{list(shape)} and num_groups={num_groups}"
        )
    check_floating("GroupNormKernelImpl", input._array)
    _check_vector("weight", weight, input)
    _check_vector("bias", bias, input)
    if not math.prod(shape[1:]):
        return _by_channel(input, weight, bias)
    each = (num_groups, shape[1] // num_groups)
    grouped = input.reshape(shape[0], *each, math.prod(shape[2:]))
    return standardized_over(grouped, (2, 3), (1, *each, 1), weight, bias, eps).reshape(shape)


@composite(
    method=False,
    samples=each(
        on(real(2, 3, 4)),
        on(real(2, 3, 2, 2), None, None, real(3), real(3)),
        on(real(2, 3, 4), np.array([0.1, 0.2, 0.3]), np.array([1.0, 2.0, 0.5]), use_input_stats=False),
    ),
)
def instance_norm(
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """input (N, C, …) with mean 0 and variance 1 within each channel of each example; · weight + bias.

    The running statistics (C) follow those of the examples by *momentum*, or are used where *use_input_stats* is
    False (Ulyanov et al. 2016).

    Raises:
        ValueError: only one value in each channel.
        RuntimeError: no running statistics to use.
    """
    shape = input._array.shape
    if use_input_stats and math.prod(shape[2:]) == 1:
        raise ValueError(f"Expected more than 1 spatial element when training, got input size {input.shape}")
    if not use_input_stats and (running_mean is None or running_var is None):
        raise RuntimeError("Expected running_mean and running_var to be defined when use_input_stats is false")
    examples, channels = shape[:2]
    mean, variance, scale, shift = (
        None if v is None else v.repeat(examples) for v in (running_mean, running_var, weight, bias)
    )
    flat = input.reshape(1, examples * channels, *shape[2:])
    result = batch_norm(flat, mean, variance, scale, shift, use_input_stats, momentum, eps).reshape(shape)
    if use_input_stats:
        with no_grad():
            for running, drawn in ((running_mean, mean), (running_var, variance)):
                if running is not None and drawn is not None:
                    running.copy_(drawn.reshape(examples, channels).mean(0))
    return result


def _rms_rule(g: Any, input: Any, dims: tuple[int, ...], eps: float) -> Any:
    scale = 1.0 / np.sqrt(np.mean(input * input, axis=dims, keepdims=True) + eps)
    return scale * (g - input * (scale * scale) * np.mean(g * input, axis=dims, keepdims=True))


@operation(_rms_rule, public=False, node_name="FusedRmsNormBackward0", samples=on(real(2, 3, 4), (-2, -1), 0.1))
def rms_scaled(input: Array, dims: tuple[int, ...], eps: float) -> Array:
    """input divided by the root of its mean square over *dims*, to which *eps* is added."""
    return input / np.sqrt(np.mean(input * input, axis=dims, keepdims=True) + np.asarray(eps, dtype=input.dtype))


@composite(
    method=False, samples=each(on(real(2, 3, 4), [4]), on(real(2, 3, 4), [3, 4], real(3, 4), 1e-3), on(real(0, 3), [3]))
)
def rms_norm(
    input: Tensor, normalized_shape: Sequence[int], weight: Tensor | None = None, eps: float | None = None
) -> Tensor:
    """input divided by the root of its mean square over its last dimensions, *normalized_shape*; · weight.

    *eps*, added to the mean square, is by default the machine epsilon of input's type (Zhang and Sennrich 2019).
    RuntimeError where the last dimensions are others.

    >>> import allgrad as torch
    >>> torch.nn.functional.rms_norm(torch.tensor([3.0, 3.0, 3.0, 3.0]), [4])
    tensor([1., 1., 1., 1.])
    """
    shape, count = tuple(normalized_shape), len(normalized_shape)
    if not count:
        raise RuntimeError(
            "Expected normalized_shape to be at least 1-dimensional, i.e., containing at least one element, but got "
            "normalized_shape = []"
        )
    if weight is not None and tuple(weight.shape) != shape:
        raise RuntimeError(
            "Expected weight to be of same shape as normalized_shape, but got weight of shape "
            f"{list(weight.shape)} and normalized_shape = {list(shape)}"
        )
    if input._array.ndim < count or input._array.shape[-count:] != shape:
        raise RuntimeError(
            f"Given normalized_shape={list(shape)}, expected input with shape [*, {', '.join(map(str, shape))}], "
            f"but got input of size{list(input.shape)}"
        )
    check_floating("rms_norm", input._array)
    smallest = dtypes.finfo(input.dtype).eps if eps is None else eps
    result = rms_scaled(input, tuple(range(-count, 0)), smallest)
    return result if weight is None else result * weight


@composite(method=False, samples=each(on(real(2, 4, 3), 3), on(real(1, 3, 2, 2), 2, 0.1, 0.5, 2.0)))
def local_response_norm(input: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> Tensor:
    """input (N, C, …) divided by (k + alpha · the mean square of *size* neighbouring channels) to the power of *beta*.

    (Krizhevsky et al. 2012.) ValueError for fewer than 3 dimensions, RuntimeError for a *size* below 1.
    """
    ndim = input._array.ndim
    if ndim < 3:
        raise ValueError(f"Expected 3D or higher dimensionality input (got {ndim} dimensions)")
    if size < 1:
        raise RuntimeError(f"local_response_norm(): size should be greater than zero, but got {size}")
    if not input._array.size:
        return input
    around = (0, 0) * (ndim - 2) + (size // 2, (size - 1) // 2)
    sums = sum_over(unfold(constant_pad_nd(input * input, around), 1, size, 1), -1)
    squares = sums / size if input.is_floating_point() else sums // size  # PyTorch's mean of whole numbers is one
    return input / (squares * alpha + k) ** beta
