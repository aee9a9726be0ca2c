"""Normalisation: values brought to mean 0 and variance 1 over a batch, a layer or a vector."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..registry import composite
from ..registry.samples import each, on, real
from ..tape.mode import no_grad
from ..tensors.tensor import Tensor


def _standardized(input: Tensor, mean: Tensor, variance: Tensor, eps: float) -> Tensor:
    return (input - mean) * (variance + eps).rsqrt()


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
    dims = tuple(range(-len(shape), 0))
    result = _standardized(input, input.mean(dims, keepdim=True), input.var(dims, correction=0, keepdim=True), eps)
    if weight is not None:
        result = result * weight
    return result if bias is None else result + bias


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
        count = input._array.size // max(input._array.shape[1], 1)
        if count <= 1:
            raise ValueError(f"Expected more than 1 value per channel when training, got input size {input.shape}")
        dims = (0, *range(2, input._array.ndim))
        mean, variance = input.mean(dims, keepdim=True), input.var(dims, correction=0, keepdim=True)
        with no_grad():
            if running_mean is not None:
                running_mean.mul_(1 - momentum).add_(mean.detach().reshape(-1), alpha=momentum)
            if running_var is not None:
                unbiased = variance.detach().reshape(-1) * (count / (count - 1))
                running_var.mul_(1 - momentum).add_(unbiased, alpha=momentum)
    elif running_mean is None or running_var is None:
        raise RuntimeError("Expected running_mean and running_var to be defined when training=False")
    else:
        mean, variance = running_mean.reshape(column), running_var.reshape(column)
    result = _standardized(input, mean, variance, eps)
    if weight is not None:
        result = result * weight.reshape(column)
    return result if bias is None else result + bias.reshape(column)


@composite(method=False, samples=on(real(3, 4)))
def normalize(input: Tensor, p: float = 2.0, dim: int = 1, eps: float = 1e-12) -> Tensor:
    """input divided by its norm along *dim*, or by *eps* where that is smaller."""
    return input / input.norm(p, dim, keepdim=True).clamp(min=eps)
