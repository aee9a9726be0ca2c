"""Modules that make images larger or smaller, or move elements between their channels and dimensions."""

from __future__ import annotations

from ..operations.interpolation import Scales, Sizes, interpolate
from ..operations.shuffles import channel_shuffle, pixel_shuffle, pixel_unshuffle
from ..tensors.tensor import Tensor
from .module import Module


class Upsample(Module):
    """Makes (N, C, …) larger or smaller, as :func:`allgrad.nn.functional.interpolate`.

    Args:
        size: the new sizes.
        scale_factor: by how much each dimension grows, instead.
        mode: "nearest", "linear", "bilinear", "bicubic" or "trilinear".
        align_corners: the outermost elements keep their middle where it is.
        recompute_scale_factor: reckon places from the rounded sizes.

    Example:
        >>> import allgrad as torch
        >>> torch.nn.Upsample(scale_factor=2)(torch.tensor([[[1.0, 2.0]]]))
        tensor([[[1., 1., 2., 2.]]])
    """

    def __init__(
        self,
        size: Sizes | None = None,
        scale_factor: Scales | None = None,
        mode: str = "nearest",
        align_corners: bool | None = None,
        recompute_scale_factor: bool | None = None,
    ) -> None:
        super().__init__()
        self.name = type(self).__name__
        self.size = size
        if isinstance(scale_factor, (list, tuple)):
            self.scale_factor: Scales | None = tuple(float(factor) for factor in scale_factor)
        else:
            self.scale_factor = float(scale_factor) if scale_factor else None  # type: ignore[arg-type]
        self.mode = mode
        self.align_corners = align_corners
        self.recompute_scale_factor = recompute_scale_factor

    def forward(self, input: Tensor) -> Tensor:
        """Return *input* in its new size."""
        return interpolate(
            input, self.size, self.scale_factor, self.mode, self.align_corners, self.recompute_scale_factor
        )

    def extra_repr(self) -> str:
        if self.scale_factor is not None:
            return f"scale_factor={self.scale_factor!r}, mode={self.mode!r}"
        return f"size={self.size!r}, mode={self.mode!r}"


class UpsamplingNearest2d(Upsample):
    """Makes images (N, C, H, W) larger or smaller by repeating or skipping elements."""

    def __init__(self, size: Sizes | None = None, scale_factor: Scales | None = None) -> None:
        super().__init__(size, scale_factor, mode="nearest")


class UpsamplingBilinear2d(Upsample):
    """Makes images (N, C, H, W) larger or smaller bilinearly, with the corners where they were."""

    def __init__(self, size: Sizes | None = None, scale_factor: Scales | None = None) -> None:
        super().__init__(size, scale_factor, mode="bilinear", align_corners=True)


class PixelShuffle(Module):
    """Images (…, C · r², H, W) as (…, C, H · r, W · r), where r is *upscale_factor* (Shi et al. 2016)."""

    def __init__(self, upscale_factor: int) -> None:
        super().__init__()
        self.upscale_factor = upscale_factor

    def forward(self, input: Tensor) -> Tensor:
        """Return *input* with channels made into height and width."""
        return pixel_shuffle(input, self.upscale_factor)

    def extra_repr(self) -> str:
        return f"upscale_factor={self.upscale_factor}"


class PixelUnshuffle(Module):
    """Images (…, C, H · r, W · r) as (…, C · r², H, W), where r is *downscale_factor*."""

    def __init__(self, downscale_factor: int) -> None:
        super().__init__()
        self.downscale_factor = downscale_factor

    def forward(self, input: Tensor) -> Tensor:
        """Return *input* with height and width made into channels."""
        return pixel_unshuffle(input, self.downscale_factor)

    def extra_repr(self) -> str:
        return f"downscale_factor={self.downscale_factor}"


class ChannelShuffle(Module):
    """(N, C, …) with the channels dealt anew: one of each of *groups* groups in turn (Zhang et al. 2018)."""

    def __init__(self, groups: int) -> None:
        super().__init__()
        self.groups = groups

    def forward(self, input: Tensor) -> Tensor:
        """Return *input* with its channels in the new order."""
        return channel_shuffle(input, self.groups)

    def extra_repr(self) -> str:
        return f"groups={self.groups}"
