"""Settings of PyTorch that have one value here: they can be asked for, and set to it."""

from __future__ import annotations

import warnings
from typing import Any

from . import dtypes
from .devices import CPU, device

_PRECISIONS = ("highest", "high", "medium")
_chosen = {"precision": "highest", "warn_always": False}


def get_default_device() -> device:
    """Where tensors are made: the CPU."""
    return CPU


def set_default_device(device: Any) -> None:
    """Accept the CPU, or None. RuntimeError for another device."""
    if device is not None:
        type(CPU)(device)


def get_float32_matmul_precision() -> str:
    """What ``set_float32_matmul_precision`` was told last, "highest" at first."""
    return str(_chosen["precision"])


def set_float32_matmul_precision(precision: str) -> None:
    """Accept "highest", "high" or "medium": products of float32 matrices are always computed in float32."""
    if precision not in _PRECISIONS:
        raise RuntimeError(f"Invalid precision {precision!r}: choose one of {', '.join(_PRECISIONS)}")
    _chosen["precision"] = precision


def set_flush_denormal(mode: bool) -> bool:
    """False: NumPy computes with denormal numbers as with others."""
    return False


def set_warn_always(b: bool) -> None:
    """Remember whether every warning is wanted; Python's ``warnings`` filters decide."""
    _chosen["warn_always"] = b


def is_warn_always_enabled() -> bool:
    """What ``set_warn_always`` was told last."""
    return bool(_chosen["warn_always"])


def set_default_tensor_type(t: Any) -> None:
    """Make the type of *t*, such as ``torch.DoubleTensor`` or its name, the default floating type; it is deprecated."""
    warnings.warn(
        "torch.set_default_tensor_type() is deprecated as of PyTorch 2.1, please use torch.set_default_dtype() and "
        "torch.set_default_device() as alternatives.",
        UserWarning,
        stacklevel=2,
    )
    dtypes.set_default_dtype(t.dtype if hasattr(t, "dtype") else dtypes.of_tensor_type(t))
