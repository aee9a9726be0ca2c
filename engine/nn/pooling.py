"""Modules that reduce every window of sequences, images and volumes to one number."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from ..operations.geometry import Size, each_dimension
from ..operations.pooling import (
    avg_pool1d,
    avg_pool2d,
    avg_pool3d,
    lp_pool1d,
    lp_pool2d,
    lp_pool3d,
    max_pool1d,
    max_pool2d,
    max_pool3d,
)
from ..operations.unpooling import max_unpool1d, max_unpool2d, max_unpool3d
from ..tensors.tensor import Tensor
from .module import Module


class _MaxPool(Module):
    """The greatest element of every window."""

    function: ClassVar[Callable[..., Any]]

    def __init__(
        self,
        kernel_size: Size,
        stride: Size | None = None,
        padding: Size = 0,
        dilation: Size = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        self.dilation = dilation
        self.return_indices = return_indices
        self.ceil_mode = ceil_mode

    def forward(self, input: Tensor) -> Any:
        """Return the greatest element of every window."""
        return type(self).function(
            input, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode, self.return_indices
        )

    def extra_repr(self) -> str:
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, dilation={self.dilation}, "
            f"ceil_mode={self.ceil_mode}"
        )


class MaxPool1d(_MaxPool):
    """The greatest element of every window of sequences (N, C, L) or (C, L): as ``MaxPool2d``, for one dimension."""

    function = max_pool1d


class MaxPool2d(_MaxPool):
    """The greatest element of every window of images (N, C, H, W) or (C, H, W).

    *stride* defaults to *kernel_size*; *return_indices* also gives where in its image (flat) each was. The arguments
    are those of ``nn.functional.max_pool2d``.

    Example:
        >>> import allgrad as torch
        >>> torch.nn.MaxPool2d(3, stride=2)(torch.zeros(20, 16, 50, 32)).shape
        torch.Size([20, 16, 24, 15])
    """

    function = max_pool2d


class MaxPool3d(_MaxPool):
    """The greatest element of every window of volumes (N, C, D, H, W) or (C, D, H, W): as ``MaxPool2d``, for three."""

    function = max_pool3d


class _MaxUnpool(Module):
    """Elements put where their greatest ones stood."""

    dimensions: ClassVar[int]
    function: ClassVar[Callable[..., Any]]

    def __init__(self, kernel_size: Size, stride: Size | None = None, padding: Size = 0) -> None:
        super().__init__()
        name, steps = self._get_name(), kernel_size if stride is None else stride
        self.kernel_size = each_dimension(kernel_size, self.dimensions, name, "kernel_size")
        self.stride = each_dimension(steps, self.dimensions, name, "stride")
        self.padding = each_dimension(padding, self.dimensions, name, "padding")

    def forward(self, input: Tensor, indices: Tensor, output_size: Sequence[int] | None = None) -> Any:
        """Return zeros with *input* at *indices*, of *output_size* where several are possible."""
        return type(self).function(input, indices, self.kernel_size, self.stride, self.padding, output_size)

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class MaxUnpool1d(_MaxUnpool):
    """Sequences of zeros with *input* (N, C, L) or (C, L) at the indices that ``MaxPool1d`` returned."""

    dimensions = 1
    function = max_unpool1d


class MaxUnpool2d(_MaxUnpool):
    """Images of zeros with *input* (N, C, H, W) or (C, H, W) at the indices that ``MaxPool2d`` returned.

    Example:
        >>> import allgrad as torch
        >>> values, indices = torch.nn.MaxPool2d(2, return_indices=True)(torch.arange(4.0).reshape(1, 2, 2))
        >>> torch.nn.MaxUnpool2d(2)(values, indices)
        tensor([[[0., 0.],
                 [0., 3.]]])
    """

    dimensions = 2
    function = max_unpool2d


class MaxUnpool3d(_MaxUnpool):
    """Volumes of zeros with *input* (N, C, D, H, W) or (C, D, H, W) at the indices that ``MaxPool3d`` returned."""

    dimensions = 3
    function = max_unpool3d


class AvgPool1d(Module):
    """The mean of every window of sequences (N, C, L) or (C, L); *stride* defaults to *kernel_size*.

    Example:
        >>> import allgrad as torch
        >>> torch.nn.AvgPool1d(3, stride=2)(torch.tensor([[1.0, 2, 3, 4, 5, 6, 7]]))
        tensor([[2., 4., 6.]])
    """

    def __init__(
        self,
        kernel_size: Size,
        stride: Size | None = None,
        padding: Size = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        super().__init__()
        steps = kernel_size if stride is None else stride
        self.kernel_size = each_dimension(kernel_size, 1, "AvgPool1d", "kernel_size")
        self.stride = each_dimension(steps, 1, "AvgPool1d", "stride")
        self.padding = each_dimension(padding, 1, "AvgPool1d", "padding")
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad

    def forward(self, input: Tensor) -> Tensor:
        """Return the mean of every window."""
        return avg_pool1d(input, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad)

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class _AvgPool(Module):
    """The mean of every window."""

    function: ClassVar[Callable[..., Any]]

    def __init__(
        self,
        kernel_size: Size,
        stride: Size | None = None,
        padding: Size = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad
        self.divisor_override = divisor_override

    def forward(self, input: Tensor) -> Any:
        """Return the mean of every window."""
        return type(self).function(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
            self.divisor_override,
        )

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AvgPool2d(_AvgPool):
    """The mean of every window of images (N, C, H, W) or (C, H, W); *stride* defaults to *kernel_size*.

    The arguments are those of ``nn.functional.avg_pool2d``.

    Example:
        >>> import allgrad as torch
        >>> torch.nn.AvgPool2d((3, 2), stride=(2, 1))(torch.zeros(20, 16, 50, 32)).shape
        torch.Size([20, 16, 24, 31])
    """

    function = avg_pool2d


class AvgPool3d(_AvgPool):
    """The mean of every window of volumes (N, C, D, H, W) or (C, D, H, W); *stride* defaults to *kernel_size*."""

    function = avg_pool3d


class _LPPool(Module):
    """The p-norm of every window."""

    function: ClassVar[Callable[..., Any]]

    def __init__(
        self, norm_type: float, kernel_size: Size, stride: Size | None = None, ceil_mode: bool = False
    ) -> None:
        super().__init__()
        self.norm_type = norm_type
        self.kernel_size = kernel_size
        self.stride = stride
        self.ceil_mode = ceil_mode

    def forward(self, input: Tensor) -> Any:
        """Return the norm of every window."""
        return type(self).function(input, float(self.norm_type), self.kernel_size, self.stride, self.ceil_mode)

    def extra_repr(self) -> str:
        return (
            f"norm_type={self.norm_type}, kernel_size={self.kernel_size}, stride={self.stride}, "
            f"ceil_mode={self.ceil_mode}"
        )


class LPPool1d(_LPPool):
    """The p-norm, p being *norm_type*, of every window of sequences (N, C, L) or (C, L).

    Example:
        >>> import allgrad as torch
        >>> torch.nn.LPPool1d(2, 2)(torch.tensor([[3.0, 4.0, 6.0, 8.0]]))
        tensor([[ 5., 10.]])
    """

    function = lp_pool1d


class LPPool2d(_LPPool):
    """The p-norm, p being *norm_type*, of every window of images (N, C, H, W) or (C, H, W)."""

    function = lp_pool2d


class LPPool3d(_LPPool):
    """The p-norm, p being *norm_type*, of every window of volumes (N, C, D, H, W) or (C, D, H, W)."""

    function = lp_pool3d
