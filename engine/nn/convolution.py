"""Modules that convolve images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..operations.convolution import conv2d, pair
from ..operations.creation import empty
from ..tensors.parameter import Parameter
from ..tensors.tensor import Tensor
from . import init
from .module import Module


class Conv2d(Module):
    """Cross-correlates images (N, in_channels, H, W) or (in_channels, H, W) with learned filters.

    Weight (out_channels, in_channels / groups, kernel height, kernel width) and bias (out_channels) begin evenly
    distributed over ±1 / sqrt(in_channels / groups · kernel height · kernel width).

    Args:
        in_channels: channels of the images.
        out_channels: channels of the result.
        kernel_size: height and width of the filters; one number for both, or a pair.
        stride: steps between neighbouring results.
        padding: zeros around the image: a number, a pair, "valid" (none) or "same" (the size stays).
        dilation: steps between the elements of a filter.
        groups: channels are divided into this many groups that do not mix.
        bias: add a learned number per channel.
        padding_mode: only "zeros".

    Raises:
        ValueError: channels that groups do not divide, or another padding mode.

    Example:
        >>> import allgrad as torch
        >>> torch.nn.Conv2d(1, 4, 3, padding=1)(torch.zeros(2, 1, 8, 8)).shape
        torch.Size([2, 4, 8, 8])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int] = 1,
        padding: int | Sequence[int] | str = 0,
        dilation: int | Sequence[int] = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        if in_channels % groups:
            raise ValueError(f"in_channels must be divisible by groups, found {in_channels} and {groups}")
        if out_channels % groups:
            raise ValueError(f"out_channels must be divisible by groups, found {out_channels} and {groups}")
        if padding_mode != "zeros":
            raise ValueError(f"padding_mode must be 'zeros', but got padding_mode={padding_mode!r}")
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel_size = pair(kernel_size)
        self.stride = pair(stride)
        self.padding = padding if isinstance(padding, str) else pair(padding)
        self.dilation = pair(dilation)
        self.groups = groups
        self.padding_mode = padding_mode
        self.weight = Parameter(
            empty(out_channels, in_channels // groups, *self.kernel_size, device=device, dtype=dtype)
        )
        self.register_parameter("bias", Parameter(empty(out_channels, device=device, dtype=dtype)) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the parameters anew."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        fan_in = math.prod(self.weight.shape[1:])
        if self.bias is not None and fan_in:
            init.uniform_(self.bias, -1 / math.sqrt(fan_in), 1 / math.sqrt(fan_in))

    def forward(self, input: Tensor) -> Tensor:
        """Return the images convolved with the filters."""
        return conv2d(input, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups)

    def extra_repr(self) -> str:
        parts = [
            f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}",
            f"padding={self.padding}" if self.padding != (0, 0) else "",
            f"dilation={self.dilation}" if self.dilation != (1, 1) else "",
            f"groups={self.groups}" if self.groups != 1 else "",
            "bias=False" if self.bias is None else "",
        ]
        return ", ".join(part for part in parts if part)

    def summary(self) -> str:
        return f"{self._get_name()} {self.in_channels}→{self.out_channels}"
