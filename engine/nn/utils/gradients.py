"""Holding gradients in bounds, by their common norm or element by element."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable
from types import GeneratorType
from typing import Any

import numpy as np
import numpy.typing as npt

from ...tensors.tensor import Tensor

Tensors = Tensor | Iterable[Tensor]


def _gradients(parameters: Tensors) -> list[Tensor]:
    listed = [parameters] if isinstance(parameters, Tensor) else parameters
    return [parameter.grad for parameter in listed if parameter.grad is not None]


def get_total_norm(
    tensors: Tensors, norm_type: float = 2.0, error_if_nonfinite: bool = False, foreach: bool | None = None
) -> Tensor:
    """Return the norm of all elements of *tensors* together, 0-d; *norm_type* may be infinity.

    RuntimeError if it is not finite and *error_if_nonfinite*.
    """
    arrays = [t._array for t in ([tensors] if isinstance(tensors, Tensor) else tensors)]
    if not arrays:
        return Tensor._wrap(np.zeros((), np.float32))
    norms = [float(np.linalg.norm(array.reshape(-1), norm_type)) for array in arrays]
    total = max(norms) if norm_type == math.inf else float(np.linalg.norm(norms, norm_type))
    if error_if_nonfinite and not math.isfinite(total):
        raise RuntimeError(
            f"The total norm of order {norm_type} for gradients from `parameters` is non-finite, so it cannot be "
            "clipped. To disable this error and scale the gradients by the non-finite norm anyway, set "
            "`error_if_nonfinite=False`"
        )
    return Tensor._wrap(np.asarray(total, arrays[0].dtype))


def clip_grad_norm_(
    parameters: Tensors,
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """Scale the gradients of *parameters* so that their common norm is at most *max_norm*; return the norm before.

    RuntimeError if that is not finite and *error_if_nonfinite*.
    """
    is_generator = isinstance(parameters, GeneratorType)
    listed = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    if is_generator and not listed:
        warnings.warn("`parameters` is an empty generator, no gradient clipping will occur.", stacklevel=2)
    total = get_total_norm(_gradients(listed), norm_type, error_if_nonfinite)
    clip_grads_with_norm_(listed, max_norm, total)
    return total


def clip_grads_with_norm_(
    parameters: Tensors, max_norm: float, total_norm: Tensor, foreach: bool | None = None
) -> None:
    """Scale the gradients of *parameters*, whose common norm is *total_norm*, such that it is at most *max_norm*.

    For gradients whose norm takes more than these parameters: those of all ranks, say.
    """
    hold_norm([gradient._array for gradient in _gradients(parameters)], float(total_norm), float(max_norm))


def hold_norm(arrays: Iterable[npt.NDArray[Any]], total: float, most: float) -> None:
    """Scale *arrays*, whose common norm is *total*, such that it is at most *most*; a norm of NaN scales too."""
    factor = most / (total + 1e-6)
    if not factor >= 1.0:
        for array in arrays:
            array *= factor


def clip_grad_norm(
    parameters: Tensors,
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """The older name of ``clip_grad_norm_``, which warns as PyTorch's does."""
    warnings.warn(
        "`torch.nn.utils.clip_grad_norm` is now deprecated in favor of `torch.nn.utils.clip_grad_norm_`.",
        FutureWarning,
        stacklevel=2,
    )
    return clip_grad_norm_(parameters, max_norm, norm_type, error_if_nonfinite)


def clip_grad_value_(parameters: Tensors, clip_value: float, foreach: bool | None = None) -> None:
    """Hold every element of the gradients of *parameters* between -*clip_value* and *clip_value*."""
    for gradient in _gradients(parameters):
        np.clip(gradient._array, -clip_value, clip_value, out=gradient._array)
