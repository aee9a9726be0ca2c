"""Modules that convolve sequences, images and volumes, and their transposes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from ..operations.convolution import conv1d, conv2d, conv3d, conv_transpose1d, conv_transpose2d, conv_transpose3d
from ..operations.creation import empty
from ..operations.geometry import Size, Sizes, each_dimension
from ..operations.padding import pad
from ..tensors.parameter import Parameter
from ..tensors.tensor import Tensor
from . import init
from .module import Module

_PADDING_MODES = ("zeros", "reflect", "replicate", "circular")


class _Convolution(Module):
    """What all convolutions share: their sizes, weight and bias, and how they are printed."""

    dimensions: ClassVar[int]
    function: ClassVar[Callable[..., Tensor]]

    kernel_size: Sizes
    stride: Sizes
    padding: Sizes | str
    dilation: Sizes
    output_padding: Sizes

    def _set_sizes(self, **sizes: Any) -> None:
        for name, value in sizes.items():
            named = name == "padding" and isinstance(value, str)
            setattr(self, name, value if named else each_dimension(value, self.dimensions, self._get_name(), name))

    def _set_channels(self, in_channels: int, out_channels: int, groups: int, padding_mode: str) -> None:
        if groups <= 0:
            raise ValueError(f"groups must be a positive integer, found {groups}")
        if in_channels % groups:
            raise ValueError(f"in_channels must be divisible by groups, found {in_channels} and {groups}")
        if out_channels % groups:
            raise ValueError(f"out_channels must be divisible by groups, found {out_channels} and {groups}")
        if padding_mode not in _PADDING_MODES:
            raise ValueError(f"padding_mode must be one of {_PADDING_MODES}, but got padding_mode={padding_mode!r}")
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.groups = groups
        self.padding_mode = padding_mode

    def _make_parameters(self, channels: tuple[int, int], bias: bool, device: Any, dtype: Any) -> None:
        self.weight = Parameter(empty(*channels, *self.kernel_size, device=device, dtype=dtype))
        values = Parameter(empty(self.out_channels, device=device, dtype=dtype)) if bias else None
        self.register_parameter("bias", values)
        self.reset_parameters()

    def _margin(self) -> Sizes:
        assert not isinstance(self.padding, str)
        return self.padding

    def reset_parameters(self) -> None:
        """Draw the parameters anew."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        fan_in = math.prod(self.weight.shape[1:])
        if self.bias is not None and fan_in:
            init.uniform_(self.bias, -1 / math.sqrt(fan_in), 1 / math.sqrt(fan_in))

    def extra_repr(self) -> str:
        return ", ".join(
            [
                f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}",
                *([f"padding={self.padding}"] if self.padding != (0,) * self.dimensions else []),
                *([f"dilation={self.dilation}"] if max(self.dilation) > 1 else []),
                *([f"output_padding={self.output_padding}"] if any(self.output_padding) else []),
                *([f"groups={self.groups}"] if self.groups != 1 else []),
                *(["bias=False"] if self.bias is None else []),
                *([f"padding_mode={self.padding_mode}"] if self.padding_mode != "zeros" else []),
            ]
        )

    def summary(self) -> str:
        return f"{self._get_name()} {self.in_channels}→{self.out_channels}"


class _Forward(_Convolution):
    """A convolution."""

    transposed = False

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Size | str = 0,
        dilation: Size = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self._set_channels(in_channels, out_channels, groups, padding_mode)
        self._set_sizes(kernel_size=kernel_size, stride=stride, padding=padding, dilation=dilation, output_padding=0)
        if isinstance(padding, str):
            if padding not in ("same", "valid"):
                raise ValueError(f"Invalid padding string {padding!r}, should be one of 'same', 'valid'")
            if padding == "same" and max(self.stride) > 1:
                raise ValueError("padding='same' is not supported for strided convolutions")
        self._make_parameters((out_channels, in_channels // groups), bias, device, dtype)

    def forward(self, input: Tensor) -> Tensor:
        """Return *input* convolved with the filters."""
        padding: Size | str = self.padding
        if self.padding_mode != "zeros":
            input, padding = pad(input, self._sides(), self.padding_mode), 0
        return type(self).function(input, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)

    def _sides(self) -> list[int]:
        """The padding as ``pad`` takes it: before and after, the last dimension first."""
        if self.padding == "valid":
            return [0] * (2 * self.dimensions)
        if self.padding == "same":
            total = [d * (k - 1) for d, k in zip(self.dilation, self.kernel_size, strict=True)]
            return [side for n in reversed(total) for side in (n // 2, n - n // 2)]
        return [side for n in reversed(self._margin()) for side in (n, n)]


class Conv1d(_Forward):
    """Cross-correlates sequences (N, in_channels, L) or (in_channels, L) with learned filters.

    Arguments and errors are as those of ``Conv2d``, for one dimension.

    Example:
        >>> import allgrad as torch
        >>> torch.nn.Conv1d(16, 33, 3, stride=2)(torch.zeros(20, 16, 50)).shape
        torch.Size([20, 33, 24])
    """

    dimensions = 1
    function = conv1d


class Conv2d(_Forward):
    """Cross-correlates images (N, in_channels, H, W) or (in_channels, H, W) with learned filters.

    Weight (out_channels, in_channels / groups, kernel height, kernel width) and bias (out_channels) begin evenly
    distributed over ±1 / sqrt(in_channels / groups · kernel height · kernel width).

    Args:
        in_channels: channels of the images.
        out_channels: channels of the result.
        kernel_size: height and width of the filters; one number for both, or a pair.
        stride: steps between neighbouring results.
        padding: what is added around the image: a number, a pair, "valid" (nothing) or "same" (the size stays).
        dilation: steps between the elements of a filter.
        groups: channels are divided into this many groups that do not mix.
        bias: add a learned number per channel.
        padding_mode: what is added: "zeros", or what ``nn.functional.pad`` calls "reflect", "replicate", "circular".

    Raises:
        ValueError: channels that groups do not divide, or a padding that does not exist.

    Example:
        >>> import allgrad as torch
        >>> torch.nn.Conv2d(1, 4, 3, padding=1)(torch.zeros(2, 1, 8, 8)).shape
        torch.Size([2, 4, 8, 8])
    """

    dimensions = 2
    function = conv2d


class Conv3d(_Forward):
    """Cross-correlates volumes (N, in_channels, D, H, W) or (in_channels, D, H, W) with learned filters.

    Arguments and errors are as those of ``Conv2d``, for three dimensions.

    Example:
        >>> import allgrad as torch
        >>> torch.nn.Conv3d(3, 4, (3, 2, 2), padding=(1, 0, 0))(torch.zeros(1, 3, 5, 6, 6)).shape
        torch.Size([1, 4, 5, 5, 5])
    """

    dimensions = 3
    function = conv3d


class _Transposed(_Convolution):
    """A transposed convolution."""

    transposed = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Size = 0,
        output_padding: Size = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Size = 1,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        if padding_mode != "zeros":
            raise ValueError(
                f'Only "zeros" padding mode is supported for {type(self).__name__}, found {padding_mode!r}'
            )
        super().__init__()
        self._set_channels(in_channels, out_channels, groups, padding_mode)
        self._set_sizes(
            kernel_size=kernel_size, stride=stride, padding=padding, dilation=dilation, output_padding=output_padding
        )
        self._make_parameters((in_channels, out_channels // groups), bias, device, dtype)

    def forward(self, input: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        """Return the transposed convolution of *input*, of *output_size* where several are possible."""
        more = self.output_padding if output_size is None else self._padding_for(input, output_size)
        return type(self).function(
            input, self.weight, self.bias, self.stride, self.padding, more, self.groups, self.dilation
        )

    def _padding_for(self, input: Tensor, output_size: Sequence[int]) -> Sizes:
        """The output padding that makes the result *output_size*, with or without batch and channels."""
        dims, wanted = self.dimensions, tuple(output_size)
        outer = input.dim() - dims
        if len(wanted) == outer + dims:
            wanted = wanted[outer:]
        if len(wanted) != dims:
            raise ValueError(
                f"ConvTranspose{dims}D: for {input.dim()}D input, output_size must have {dims} or {outer + dims} "
                f"elements (got {len(wanted)})"
            )
        sizes = zip(input.shape[outer:], self.stride, self._margin(), self.dilation, self.kernel_size, strict=True)
        least = [(n - 1) * s - 2 * p + d * (k - 1) + 1 for n, s, p, d, k in sizes]
        most = [n + s - 1 for n, s in zip(least, self.stride, strict=True)]
        if any(not low <= n <= high for n, low, high in zip(wanted, least, most, strict=True)):
            raise ValueError(
                f"requested an output size of {list(wanted)}, but valid sizes range from {least} to {most} (for an "
                f"input of {list(input.shape[outer:])})"
            )
        return tuple(n - low for n, low in zip(wanted, least, strict=True))


class ConvTranspose1d(_Transposed):
    """The transpose of ``Conv1d``, for sequences (N, in_channels, L) or (in_channels, L).

    Arguments and errors are as those of ``ConvTranspose2d``, for one dimension.

    Example:
        >>> import allgrad as torch
        >>> torch.nn.ConvTranspose1d(2, 3, 4, stride=2, padding=1)(torch.zeros(1, 2, 5)).shape
        torch.Size([1, 3, 10])
    """

    dimensions = 1
    function = conv_transpose1d


class ConvTranspose2d(_Transposed):
    """The transpose of ``Conv2d``, for images (N, in_channels, H, W) or (in_channels, H, W).

    Weight is (in_channels, out_channels / groups, kernel height, kernel width), bias (out_channels). Called with
    *output_size* it chooses the padding at the end itself, where stride makes several sizes possible.

    Args:
        in_channels: channels of the images.
        out_channels: channels of the result.
        kernel_size: height and width of the filters; one number for both, or a pair.
        stride: steps between what neighbouring elements are spread over.
        padding: rows and columns removed around the result.
        output_padding: rows and columns added at the end of the result.
        groups: channels are divided into this many groups that do not mix.
        bias: add a learned number per channel.
        dilation: steps between the elements of a filter.
        padding_mode: only "zeros".

    Raises:
        ValueError: channels that groups do not divide, or another padding mode.

    Example:
        >>> import allgrad as torch
        >>> up = torch.nn.ConvTranspose2d(16, 16, 3, stride=2, padding=1)
        >>> up(torch.zeros(1, 16, 6, 6), output_size=(12, 12)).shape
        torch.Size([1, 16, 12, 12])
    """

    dimensions = 2
    function = conv_transpose2d


class ConvTranspose3d(_Transposed):
    """The transpose of ``Conv3d``, for volumes (N, in_channels, D, H, W) or (in_channels, D, H, W).

    Arguments and errors are as those of ``ConvTranspose2d``, for three dimensions.

    Example:
        >>> import allgrad as torch
        >>> torch.nn.ConvTranspose3d(2, 3, 2, stride=2)(torch.zeros(1, 2, 4, 4, 4)).shape
        torch.Size([1, 3, 8, 8, 8])
    """

    dimensions = 3
    function = conv_transpose3d
