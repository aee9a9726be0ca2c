"""Modules that pool to a given size, by windows that are evenly spread or at random places."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from ..operations.adaptive_pooling import (
    OutputSize,
    adaptive_avg_pool1d,
    adaptive_avg_pool2d,
    adaptive_avg_pool3d,
    adaptive_max_pool1d,
    adaptive_max_pool2d,
    adaptive_max_pool3d,
)
from ..operations.fractional_pooling import fractional_max_pool2d, fractional_max_pool3d
from ..operations.geometry import Size, each_dimension
from ..tensors.tensor import Tensor
from .module import Module


class _AdaptiveAvgPool(Module):
    """The means of evenly spread windows, as many as the result has elements."""

    function: ClassVar[Callable[..., Any]]

    def __init__(self, output_size: OutputSize) -> None:
        super().__init__()
        self.output_size = output_size

    def forward(self, input: Tensor) -> Any:
        """Return the means."""
        return type(self).function(input, self.output_size)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class AdaptiveAvgPool1d(_AdaptiveAvgPool):
    """The means of *output_size* windows, evenly spread over sequences (N, C, L) or (C, L)."""

    function = adaptive_avg_pool1d


class AdaptiveAvgPool2d(_AdaptiveAvgPool):
    """The means of windows, evenly spread over images (N, C, H, W) or (C, H, W), so that the result is *output_size*.

    *output_size* is a number for height and width, or one each; None keeps that of the image.

    Example:
        >>> import allgrad as torch
        >>> torch.nn.AdaptiveAvgPool2d((None, 7))(torch.zeros(1, 64, 10, 9)).shape
        torch.Size([1, 64, 10, 7])
    """

    function = adaptive_avg_pool2d


class AdaptiveAvgPool3d(_AdaptiveAvgPool):
    """The means of windows, evenly spread over volumes (N, C, D, H, W) or (C, D, H, W)."""

    function = adaptive_avg_pool3d


class _AdaptiveMaxPool(Module):
    """The greatest elements of evenly spread windows, as many as the result has elements."""

    function: ClassVar[Callable[..., Any]]

    def __init__(self, output_size: OutputSize, return_indices: bool = False) -> None:
        super().__init__()
        self.output_size = output_size
        self.return_indices = return_indices

    def forward(self, input: Tensor) -> Any:
        """Return the greatest elements and, if asked for, where they were."""
        return type(self).function(input, self.output_size, self.return_indices)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class AdaptiveMaxPool1d(_AdaptiveMaxPool):
    """The greatest elements of *output_size* windows, evenly spread over sequences (N, C, L) or (C, L)."""

    function = adaptive_max_pool1d


class AdaptiveMaxPool2d(_AdaptiveMaxPool):
    """The greatest elements of windows, evenly spread over images (N, C, H, W) or (C, H, W).

    *output_size* is that of the result: a number for height and width, or one each; None keeps that of the image.
    *return_indices* also gives where in its image (flat) each was.

    Example:
        >>> import allgrad as torch
        >>> torch.nn.AdaptiveMaxPool2d((5, 7))(torch.zeros(1, 64, 8, 9)).shape
        torch.Size([1, 64, 5, 7])
    """

    function = adaptive_max_pool2d


class AdaptiveMaxPool3d(_AdaptiveMaxPool):
    """The greatest elements of windows, evenly spread over volumes (N, C, D, H, W) or (C, D, H, W)."""

    function = adaptive_max_pool3d


class _FractionalMaxPool(Module):
    """The greatest elements of windows that overlap at random."""

    dimensions: ClassVar[int]
    function: ClassVar[Callable[..., Any]]

    def __init__(
        self,
        kernel_size: Size,
        output_size: Size | None = None,
        output_ratio: float | Sequence[float] | None = None,
        return_indices: bool = False,
        _random_samples: Tensor | None = None,
    ) -> None:
        super().__init__()
        dims, name = self.dimensions, self._get_name()
        if (output_size is None) == (output_ratio is None):
            raise ValueError(f"{name} requires specifying either an output_size or an output_ratio, and not both")
        self.kernel_size = each_dimension(kernel_size, dims, name, "kernel_size")
        self.output_size = None if output_size is None else each_dimension(output_size, dims, name, "output_size")
        self.output_ratio = (output_ratio,) * dims if isinstance(output_ratio, (int, float)) else output_ratio
        if self.output_ratio is not None and not all(0 < ratio < 1 for ratio in self.output_ratio):
            raise ValueError(f"output_ratio must be between 0 and 1 (got {output_ratio})")
        self.return_indices = return_indices
        self.register_buffer("_random_samples", _random_samples)

    def forward(self, input: Tensor) -> Any:
        """Return the greatest elements and, if asked for, where they were."""
        return type(self).function(
            input, self.kernel_size, self.output_size, self.output_ratio, self.return_indices, self._random_samples
        )


class FractionalMaxPool2d(_FractionalMaxPool):
    """The greatest elements of windows that overlap at random, of images (N, C, H, W) or (C, H, W).

    The result has *output_size*, or is *output_ratio* of the image; the rest is as in
    ``nn.functional.fractional_max_pool2d``.

    Raises:
        ValueError: none or both of *output_size* and *output_ratio*, or a ratio that is not between 0 and 1.

    Example:
        >>> import allgrad as torch
        >>> torch.nn.FractionalMaxPool2d(3, output_ratio=(0.5, 0.5))(torch.zeros(2, 4, 10, 8)).shape
        torch.Size([2, 4, 5, 4])
    """

    dimensions = 2
    function = fractional_max_pool2d


class FractionalMaxPool3d(_FractionalMaxPool):
    """The greatest elements of windows that overlap at random, of volumes: as ``FractionalMaxPool2d``."""

    dimensions = 3
    function = fractional_max_pool3d
