"""Modules that pad the last one, two or three dimensions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from ..operations.padding import pad
from ..tensors.tensor import Tensor
from .module import Module


class _Pad(Module):
    """Pads the last *dimensions* dimensions; *padding* is one number for every side, or two for each dimension."""

    dimensions: ClassVar[int]
    mode: ClassVar[str]

    def __init__(self, padding: int | Sequence[int]) -> None:
        super().__init__()
        self.padding = _sides(padding, self.dimensions)

    def forward(self, input: Tensor) -> Tensor:
        """Return *input* padded."""
        return pad(input, self.padding, self.mode)

    def extra_repr(self) -> str:
        return f"{self.padding}"


def _sides(padding: int | Sequence[int], dimensions: int) -> tuple[int, ...]:
    if isinstance(padding, int):
        return (padding,) * (2 * dimensions)
    return tuple(padding)


class _ConstantPad(_Pad):
    """Pads by a constant *value*."""

    def __init__(self, padding: int | Sequence[int], value: float) -> None:
        super().__init__(padding)
        self.value = value

    def forward(self, input: Tensor) -> Tensor:
        """Return *input* padded."""
        return pad(input, self.padding, "constant", self.value)

    def extra_repr(self) -> str:
        return f"padding={self.padding}, value={self.value}"


class ConstantPad1d(_ConstantPad):
    """Adds *value* at both ends of the last dimension: *padding* is a number or (left, right)."""

    dimensions = 1


class ConstantPad2d(_ConstantPad):
    """Adds *value* around images: *padding* is a number or (left, right, top, bottom); negative numbers crop.

    Example:
        >>> import allgrad as torch
        >>> torch.nn.ConstantPad2d((1, 0, 0, 1), 3.5)(torch.zeros(1, 1, 2))
        tensor([[[3.5000, 0.0000, 0.0000],
                 [3.5000, 3.5000, 3.5000]]])
    """

    dimensions = 2


class ConstantPad3d(_ConstantPad):
    """Adds *value* around volumes: *padding* is a number or (left, right, top, bottom, front, back)."""

    dimensions = 3


class _ZeroPad(_ConstantPad):
    """Pads by zeros."""

    def __init__(self, padding: int | Sequence[int]) -> None:
        super().__init__(padding, 0.0)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class ZeroPad1d(_ZeroPad):
    """Adds zeros at both ends of the last dimension: *padding* is a number or (left, right)."""

    dimensions = 1


class ZeroPad2d(_ZeroPad):
    """Adds zeros around images: *padding* is a number or (left, right, top, bottom); negative numbers crop."""

    dimensions = 2


class ZeroPad3d(_ZeroPad):
    """Adds zeros around volumes: *padding* is a number or (left, right, top, bottom, front, back)."""

    dimensions = 3


class ReflectionPad1d(_Pad):
    """Mirrors sequences (N, C, W) or (C, W) at their outermost elements.

    Example:
        >>> import allgrad as torch
        >>> torch.nn.ReflectionPad1d(2)(torch.arange(4.0).reshape(1, 4))
        tensor([[2., 1., 0., 1., 2., 3., 2., 1.]])
    """

    dimensions = 1
    mode = "reflect"


class ReflectionPad2d(_Pad):
    """Mirrors images (N, C, H, W) or (C, H, W) at their outermost elements."""

    dimensions = 2
    mode = "reflect"


class ReflectionPad3d(_Pad):
    """Mirrors volumes (N, C, D, H, W) or (C, D, H, W) at their outermost elements."""

    dimensions = 3
    mode = "reflect"


class ReplicationPad1d(_Pad):
    """Repeats the outermost elements of sequences (N, C, W) or (C, W)."""

    dimensions = 1
    mode = "replicate"


class ReplicationPad2d(_Pad):
    """Repeats the outermost elements of images (N, C, H, W) or (C, H, W)."""

    dimensions = 2
    mode = "replicate"


class ReplicationPad3d(_Pad):
    """Repeats the outermost elements of volumes (N, C, D, H, W) or (C, D, H, W)."""

    dimensions = 3
    mode = "replicate"


class _CircularPad(_Pad):
    """Continues a dimension at its other end."""

    mode = "circular"

    def forward(self, input: Tensor) -> Tensor:
        """Return *input* padded."""
        if input.ndim not in (self.dimensions + 1, self.dimensions + 2):
            wanted = f"{self.dimensions + 1}D or {self.dimensions + 2}D"
            raise ValueError(f"expected {wanted} input (got {input.ndim}D input)")
        return super().forward(input)


class CircularPad1d(_CircularPad):
    """Continues sequences (N, C, W) or (C, W) at their other end."""

    dimensions = 1


class CircularPad2d(_CircularPad):
    """Continues images (N, C, H, W) or (C, H, W) at their other end."""

    dimensions = 2


class CircularPad3d(_CircularPad):
    """Continues volumes (N, C, D, H, W) or (C, D, H, W) at their other end."""

    dimensions = 3
