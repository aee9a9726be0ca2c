"""Holding gradients in bounds, by their common norm or element by element."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from ...tensors.tensor import Tensor

Tensors = Tensor | Iterable[Tensor]


def _gradients(parameters: Tensors) -> list[Tensor]:
    listed = [parameters] if isinstance(parameters, Tensor) else parameters
    return [parameter.grad for parameter in listed if parameter.grad is not None]


def get_total_norm(tensors: Tensors, norm_type: float = 2.0, error_if_nonfinite: bool = False) -> Tensor:
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
    gradients = _gradients(parameters)
    total = get_total_norm(gradients, norm_type, error_if_nonfinite)
    factor = float(max_norm) / (float(total) + 1e-6)
    if not factor >= 1.0:
        for gradient in gradients:
            gradient._array *= factor
    return total


def clip_grad_value_(parameters: Tensors, clip_value: float, foreach: bool | None = None) -> None:
    """Hold every element of the gradients of *parameters* between -*clip_value* and *clip_value*."""
    for gradient in _gradients(parameters):
        np.clip(gradient._array, -clip_value, clip_value, out=gradient._array)
