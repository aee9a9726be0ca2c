"""Interpolation: sequences, images and volumes made larger or smaller."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..kernels import resampling
from ..kernels.resampling import Taps
from ..registry import Array, composite, operation
from ..registry.samples import each, on, real
from ..tensors.tensor import Tensor

Sizes = int | Sequence[int]
Scales = float | Sequence[float]

_DIMENSIONS = {"linear": 1, "bilinear": 2, "bicubic": 2, "trilinear": 3}
_BY_PLACE = ("nearest", "nearest-exact", "area")
_NODE_NAMES = {"nearest": "Nearest", "nearest-exact": "NearestExact", "linear": "Linear", "bilinear": "Bilinear",
               "bicubic": "Bicubic", "trilinear": "Trilinear"}  # fmt: skip


def _node_name(node: Any) -> str:
    taps, mode = node._saved_taps, node._saved_mode
    if mode == "area":
        return f"AdaptiveAvgPool{len(taps)}DBackward0"
    return f"Upsample{_NODE_NAMES[mode]}{len(taps)}DBackward0"


_SAMPLE = (resampling.linear(3, 5, False, None, np.float64), resampling.mean(4, 2))


@operation(
    lambda g, taps, mode: resampled(g, tuple(t.transposed() for t in taps), mode),
    public=False,
    node_name=_node_name,
    samples=on(real(2, 3, 4), _SAMPLE, "linear"),
)
def resampled(input: Array, taps: tuple[Taps, ...], mode: str) -> Array:
    """input with its last dimensions mapped by *taps*; in *mode*, which names the node."""
    array = input.astype(np.float32) if input.dtype == np.float16 and mode not in _BY_PLACE[:2] else input
    for axis, tap in reversed(list(enumerate(taps, input.ndim - len(taps)))):
        kernel = resampling.resample_bytes if input.dtype == np.uint8 else resampling.resample
        array = kernel(array, axis, tap)
    return array.astype(input.dtype, copy=False)


def _check_call(input: Tensor, size: Any, scale_factor: Any, mode: str, align_corners: bool | None) -> None:
    if mode not in _NODE_NAMES and mode != "area":
        raise NotImplementedError(f"mode {mode!r} is none of {', '.join([*_NODE_NAMES, 'area'])}")
    if mode in _BY_PLACE and align_corners is not None:
        raise ValueError(
            "align_corners option can only be set with the interpolating modes: linear | bilinear | bicubic | trilinear, "
            f"found mode {mode!r}"
        )
    if (size is None) == (scale_factor is None):
        raise ValueError(
            "either size or scale_factor should be defined, and only one of them: "
            f"found size={size} and scale_factor={scale_factor}"
        )
    ndim = input._array.ndim
    if ndim not in (3, 4, 5):
        raise NotImplementedError(
            f"Input Error: Only 3D, 4D and 5D input Tensors supported (got {ndim}D) for the modes: nearest | linear | "
            "bilinear | bicubic | trilinear | area | nearest-exact"
        )
    wanted = _DIMENSIONS.get(mode, ndim - 2)
    if wanted != ndim - 2:
        raise NotImplementedError(f"Got {ndim}D input, but {mode} mode needs {wanted + 2}D input")
    if input._array.dtype.kind != "f" and not (input._array.dtype == np.uint8 and mode != "area"):
        raise NotImplementedError(
            f'"interpolate_{mode}" not implemented for {input.dtype}: convert it with .float() first'
        )


def _for_each(name: str, given: Any, dims: int) -> list[Any]:
    """*given* once for each of *dims* dimensions. ValueError where it has another number of parts."""
    if not isinstance(given, (list, tuple)):
        return [given] * dims
    if len(given) != dims:
        raise ValueError(
            f"Input and {name} must have the same number of spatial dimensions, but got input with {dims} spatial "
            f"dimensions and {name} of {given}: the first two dimensions of input are batch and channels"
        )
    return list(given)


def _sizes_and_scales(
    shape: tuple[int, ...], size: Any, scale_factor: Any, recompute: bool | None
) -> tuple[list[int], list[float | None]]:
    """The size of each dimension of the result, and the factor by which places are reckoned (None: from the sizes)."""
    if size is not None:
        if recompute:
            raise ValueError("recompute_scale_factor is not meaningful with an explicit size.")
        sizes, scales = [int(n) for n in _for_each("output size", size, len(shape))], [None] * len(shape)
    else:
        factors = [float(f) for f in _for_each("scale_factor", scale_factor, len(shape))]
        sizes = [math.floor(n * f) for n, f in zip(shape, factors, strict=True)]
        scales = [None] * len(shape) if recompute else factors  # type: ignore[assignment]
    if min(*shape, *sizes) <= 0:
        raise RuntimeError(
            f"Input and output sizes should be greater than 0, but got input {list(shape)} and output {sizes}"
        )
    return sizes, scales  # type: ignore[return-value]


def _taps(input: Tensor, mode: str, before: int, after: int, scale: float | None, align: bool, antialias: bool) -> Taps:
    """The map from *before* to *after* elements in one dimension of input."""
    if mode in ("nearest", "nearest-exact"):
        return resampling.nearest(before, after, scale, mode == "nearest-exact", by_size=input._array.ndim == 4)
    if mode == "area":
        return resampling.mean(before, after)
    if antialias:
        return resampling.antialiased(before, after, align, scale, 4 if mode == "bicubic" else 2)
    kernel = resampling.cubic if mode == "bicubic" else resampling.linear
    precision = np.float64 if input._array.dtype in (np.float64, np.uint8) else np.float32  # as PyTorch reckons places
    return kernel(before, after, align, scale, precision)


@composite(
    method=False,
    samples=each(
        on(real(1, 2, 3), 5),
        on(real(1, 1, 3, 4), scale_factor=1.7),
        on(real(1, 1, 3, 5), (5, 3), mode="nearest-exact"),
        on(real(1, 2, 3), 7, mode="linear", align_corners=True),
        on(real(1, 2, 4, 3), (7, 2), mode="bilinear"),
        on(real(1, 1, 4, 3), scale_factor=1.4, mode="bilinear", align_corners=False),
        on(real(1, 1, 4, 3), scale_factor=1.4, mode="bilinear", recompute_scale_factor=True),
        on(real(1, 1, 5, 4), (2, 3), mode="bilinear", antialias=True),
        on(real(1, 1, 4, 3), (7, 5), mode="bicubic"),
        on(real(1, 1, 4, 3), (3, 5), mode="bicubic", align_corners=True),
        on(real(1, 1, 6, 4), (3, 5), mode="bicubic", antialias=True),
        on(real(1, 1, 2, 3, 2), (3, 2, 4), mode="trilinear"),
        on(real(1, 1, 5, 4), (3, 6), mode="area"),
    ),
)
def interpolate(
    input: Tensor,
    size: Sizes | None = None,
    scale_factor: Scales | None = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Tensor:
    """input (N, C, …), with 1 to 3 dimensions after the channels, made larger or smaller in those.

    Args:
        input: floating; or uint8, for all modes but "area".
        size: the new sizes, one for each dimension or one for all.
        scale_factor: by how much each dimension grows, instead of *size*; the new size is rounded down.
        mode: "nearest", "nearest-exact" (rounding as other libraries do), "linear", "bilinear", "bicubic",
            "trilinear" or "area" (means).
        align_corners: the outermost elements keep their middle, not their edge, where it is.
        recompute_scale_factor: reckon places from the rounded sizes rather than from *scale_factor*.
        antialias: with "bilinear" and "bicubic", no element of a larger input is skipped.

    Raises:
        ValueError: arguments that exclude each other, or sizes of another number.
        NotImplementedError: a mode that does not exist or does not fit the dimensions.
        RuntimeError: an empty result.

    Example:
        >>> import allgrad as torch
        >>> torch.nn.functional.interpolate(torch.tensor([[[0.0, 4.0]]]), size=4, mode="linear")
        tensor([[[0., 1., 3., 4.]]])
    """
    _check_call(input, size, scale_factor, mode, align_corners)
    if antialias and mode not in ("bilinear", "bicubic"):
        raise ValueError(
            "Anti-alias option is restricted to bilinear and bicubic modes and requires a 4-D tensor as input"
        )
    shape = input._array.shape[2:]
    sizes, scales = _sizes_and_scales(shape, size, scale_factor, recompute_scale_factor)
    taps = tuple(
        _taps(input, mode, before, after, scale, bool(align_corners), antialias)
        for before, after, scale in zip(shape, sizes, scales, strict=True)
    )
    return resampled(input, taps, mode)


@composite(method=False, samples=on(real(1, 1, 2, 3), (3, 4), mode="bilinear"))
def upsample(
    input: Tensor,
    size: Sizes | None = None,
    scale_factor: Scales | None = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
) -> Tensor:
    """The older name of :func:`interpolate`."""
    return interpolate(input, size, scale_factor, mode, align_corners)


@composite(method=False, samples=on(real(1, 1, 2, 3), scale_factor=2))
def upsample_nearest(input: Tensor, size: Sizes | None = None, scale_factor: Scales | None = None) -> Tensor:
    """:func:`interpolate` in mode "nearest"."""
    return interpolate(input, size, scale_factor, "nearest")


@composite(method=False, samples=on(real(1, 1, 2, 3), (4, 4)))
def upsample_bilinear(input: Tensor, size: Sizes | None = None, scale_factor: Scales | None = None) -> Tensor:
    """:func:`interpolate` of images in mode "bilinear", with ``align_corners=True``."""
    return interpolate(input, size, scale_factor, "bilinear", align_corners=True)
