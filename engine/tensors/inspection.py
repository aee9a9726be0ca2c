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


def is_nonzero(input: Tensor) -> bool:
    """Whether the only element of input is not zero. RuntimeError if there is not exactly one."""
    return input.is_nonzero()


def is_same_size(input: Tensor, other: Tensor) -> bool:
    """Whether both have the same shape."""
    return input.is_same_size(other)


def is_signed(input: Tensor) -> bool:
    """Whether the elements of input can be negative."""
    return input.is_signed()


def is_conj(input: Tensor) -> bool:
    """False: conjugates are computed at once."""
    return input.is_conj()


def is_neg(input: Tensor) -> bool:
    """False: negatives are computed at once."""
    return input.is_neg()


def is_inference(input: Tensor) -> bool:
    """False: a tensor made inside ``inference_mode`` is like any other here."""
    return input.is_inference()


def get_device(input: Tensor) -> int:
    """-1: the number of the CPU."""
    return input.get_device()


def typename(obj: Any) -> str:
    """PyTorch's name for the class of *obj*, such as "torch.FloatTensor" for a tensor."""
    if isinstance(obj, Tensor):
        return str(obj.type())
    kind = obj if isinstance(obj, type) else type(obj)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
