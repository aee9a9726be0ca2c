"""Questions about a value that are functions in PyTorch."""

from __future__ import annotations

from typing import Any

from .tensor import Tensor


def is_tensor(obj: Any) -> bool:
    """Whether *obj* is a Tensor."""
    return isinstance(obj, Tensor)


def is_floating_point(input: Tensor) -> bool:
    """Whether the elements of input are floating-point numbers."""
    return input.is_floating_point()


def is_complex(input: Tensor) -> bool:
    """Whether the elements of input are complex numbers."""
    return input.is_complex()


def numel(input: Tensor) -> int:
    """The number of elements of input."""
    return input.numel()
