"""Convolution and pooling of images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..kernels.convolution import correlate, correlate_filters, correlate_images
from ..kernels.pooling import max_windows
from ..kernels.windows import Geometry, output_size, padded, sum_windows_back, windows
from ..registry import Array, Index, composite, operation
from ..registry.operation import Promotion
from ..registry.samples import each, on, real
from ..tensors.tensor import Tensor
from .extremes import ValuesAndIndices

Pair = tuple[int, int]


def pair(value: int | Sequence[int]) -> Pair:
    """*value* for height and width: one number for both, or one each."""
    if isinstance(value, int):
        return value, value
    height, width = value if len(value) == 2 else (value[0], value[0])
    return int(height), int(width)


def _geometry(size: Any, kernel: Any, stride: Pair, padding: Pair, dilation: Pair, ceil: bool = False) -> Geometry:
    """The windows of *kernel* on images of *size*."""
    window = (int(kernel[0]), int(kernel[1]))
    count = output_size((size[0], size[1]), window, stride, padding, dilation, ceil)
    return Geometry(window, stride, padding, dilation, count)


@operation(
    lambda g, weight, input_shape, stride, padding, dilation, groups: conv2d_input(
        g, weight, input_shape, stride, padding, dilation, groups
    ),
    lambda g, input, weight_shape, stride, padding, dilation, groups: conv2d_weight(
        g, input, weight_shape, stride, padding, dilation, groups
    ),
    node_name="ConvolutionBackward0",
    called="conv2d",
    promotion=Promotion.ALIKE,
    public=False,
    samples=each(
        on(real(2, 3, 5, 4), real(4, 3, 3, 2), (1, 1), (0, 0), (1, 1), 1),
        on(real(1, 2, 6, 6), real(2, 2, 3, 3), (2, 2), (1, 1), (1, 1), 1),
        on(real(1, 4, 5, 5), real(4, 2, 2, 2), (1, 1), (1, 0), (2, 1), 2),
    ),
)
def convolve(input: Array, weight: Array, stride: Pair, padding: Pair, dilation: Pair, groups: int) -> Array:
    """The cross-correlation of images (N, C, H, W) with filters (O, C / groups, kh, kw)."""
    return correlate(input, weight, _geometry(input.shape[2:], weight.shape[2:], stride, padding, dilation), groups)


@operation(
    lambda g, weight, stride, padding, dilation, groups: convolve(g, weight, stride, padding, dilation, groups),
    lambda g, input, weight_shape, stride, padding, dilation, groups: conv2d_weight(
        input, g, weight_shape, stride, padding, dilation, groups
    ),
    public=False,
    samples=on(real(1, 2, 3, 3), real(2, 3, 3, 3), (1, 3, 5, 5), (2, 2), (1, 1), (1, 1), 1),
)
def conv2d_input(
    input: Array,
    weight: Array,
    shape: tuple[int, ...],
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
) -> Array:
    """The gradient with respect to images of *shape*, from the gradient of the result of ``convolve``."""
    return correlate_images(
        input, weight, shape, _geometry(shape[2:], weight.shape[2:], stride, padding, dilation), groups
    )


@operation(
    lambda g, input, stride, padding, dilation, groups: convolve(input, g, stride, padding, dilation, groups),
    lambda g, grad, input_shape, stride, padding, dilation, groups: conv2d_input(
        grad, g, input_shape, stride, padding, dilation, groups
    ),
    public=False,
    samples=on(real(1, 2, 3, 3), real(1, 3, 5, 5), (2, 3, 3, 3), (2, 2), (1, 1), (1, 1), 1),
)
def conv2d_weight(
    grad: Array,
    input: Array,
    shape: tuple[int, ...],
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
) -> Array:
    """The gradient with respect to filters of *shape*, from the gradient of the result of ``convolve``."""
    return correlate_filters(
        grad, input, shape, _geometry(input.shape[2:], shape[2:], stride, padding, dilation), groups
    )


def _same_padding(kernel: Pair, dilation: Pair) -> tuple[Pair, Pair]:
    """The padding before and after height and width that keeps their length."""
    total = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
    return (total[0] // 2, total[1] // 2), (total[0] - total[0] // 2, total[1] - total[1] // 2)


def _check_conv2d(input: Tensor, weight: Tensor, bias: Tensor | None, groups: int) -> None:
    shape, filters = input._array.shape, weight._array.shape
    if len(shape) not in (3, 4):
        raise RuntimeError(
            f"Expected 3D (unbatched) or 4D (batched) input to conv2d, but got input of size: {list(shape)}"
        )
    if len(filters) != 4:
        raise RuntimeError(
            f"conv2d: expected a weight of 4 dimensions (out, in / groups, kh, kw), found {list(filters)}"
        )
    if shape[-3] != filters[1] * groups:
        raise RuntimeError(
            f"Given groups={groups}, weight of size {list(filters)}, expected input{list(shape)} to have "
            f"{filters[1] * groups} channels, but got {shape[-3]} channels instead"
        )
    if filters[0] % groups:
        raise RuntimeError(f"conv2d: the number of filters ({filters[0]}) must be divisible by groups ({groups})")
    if bias is not None and bias._array.shape != filters[:1]:
        raise RuntimeError(
            f"Given weight of size {list(filters)}, expected bias to be 1-dimensional with {filters[0]} elements, "
            f"but got bias of size {list(bias.shape)} instead"
        )


@composite(
    method=False,
    samples=each(
        on(real(2, 3, 5, 4), real(4, 3, 3, 2), real(4)),
        on(real(1, 2, 6, 6), real(2, 2, 3, 3), stride=2, padding=1),
        on(real(3, 5, 5), real(2, 3, 2, 2), padding="same"),
    ),
)
def conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] | str = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
) -> Tensor:
    """The cross-correlation of images (N, C, H, W) or (C, H, W) with filters (O, C / groups, kh, kw), plus *bias* (O).

    *padding* is zeros around height and width: a number, a pair, "valid" (none) or "same" (the size stays).
    The result is (N, O, H', W'), with H' = (H + 2 · padding - dilation · (kh - 1) - 1) // stride + 1.

    >>> import allgrad as torch
    >>> torch.nn.functional.conv2d(torch.ones(1, 1, 3, 3), torch.ones(1, 1, 2, 2)).shape
    torch.Size([1, 1, 2, 2])
    """
    _check_conv2d(input, weight, bias, groups)
    if input._array.ndim == 3:
        return conv2d(input.unsqueeze(0), weight, bias, stride, padding, dilation, groups).squeeze(0)
    steps, gaps = pair(stride), pair(dilation)
    kernel = (weight._array.shape[2], weight._array.shape[3])
    if isinstance(padding, str):
        input, margin = _pad_by_name(input, padding, kernel, steps, gaps)
    else:
        margin = pair(padding)
    size = output_size((input._array.shape[2], input._array.shape[3]), kernel, steps, margin, gaps)
    if min(size) < 1:
        wide = tuple(n + 2 * p for n, p in zip(input._array.shape[2:], margin, strict=True))
        raise RuntimeError(
            f"Calculated padded input size per channel: ({wide[0]} x {wide[1]}). Kernel size: ({kernel[0]} x {kernel[1]}). "
            "Kernel size can't be greater than actual input size"
        )
    result = convolve(input, weight, steps, margin, gaps, groups)
    return result if bias is None else result + bias.reshape(-1, 1, 1)


def _pad_by_name(input: Tensor, name: str, kernel: Pair, stride: Pair, dilation: Pair) -> tuple[Tensor, Pair]:
    if name == "valid":
        return input, (0, 0)
    if name != "same":
        raise ValueError(f"conv2d: padding must be a number, a pair, 'valid' or 'same', found {name!r}")
    if stride != (1, 1):
        raise RuntimeError("padding='same' is not supported for strided convolutions")
    before, after = _same_padding(kernel, dilation)
    if before == after:
        return input, before
    return zero_pad(input, (before[0], after[0], before[1], after[1])), (0, 0)


@operation(
    lambda g, input_shape, margins: g[
        :, :, margins[0] : margins[0] + input_shape[2], margins[2] : margins[2] + input_shape[3]
    ],
    public=False,
    samples=on(real(1, 2, 3, 3), (1, 0, 2, 1)),
)
def zero_pad(input: Array, margins: tuple[int, int, int, int]) -> Array:
    """Images with zeros above, below, left and right."""
    top, bottom, left, right = margins
    return np.pad(input, ((0, 0), (0, 0), (top, bottom), (left, right)))


@operation(
    lambda g, y1, input_shape: scatter_flat(g[0], y1, input_shape),
    outputs=ValuesAndIndices,
    node_name="MaxPool2DWithIndicesBackward0",
    public=False,
    samples=each(
        on(real(2, 3, 6, 6), (2, 2), (2, 2), (0, 0), (1, 1), False),
        on(real(1, 2, 5, 5), (3, 2), (2, 1), (1, 1), (1, 1), True),
    ),
)
def max_pool_images(
    input: Array, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair, ceil: bool
) -> tuple[Array, Array]:
    """The greatest element of each window, and where in its image (flat) it was."""
    return max_windows(input, _geometry(input.shape[2:], kernel, stride, padding, dilation, ceil))


@operation(
    lambda g, index: gather_flat(g, index),
    public=False,
    samples=on(real(1, 2, 2, 2), np.arange(8).reshape(1, 2, 2, 2), (1, 2, 3, 3)),
)
def scatter_flat(input: Array, index: Index, shape: tuple[int, ...]) -> Array:
    """Images of *shape* with *input* (N, C, oh, ow) added at the flat *index* into each image."""
    n, c, h, w = shape
    base = (np.arange(n * c) * (h * w)).reshape(n, c, 1, 1)
    total = np.bincount((index + base).ravel(), input.ravel(), n * c * h * w)
    return total.reshape(shape).astype(input.dtype, copy=False)


@operation(
    lambda g, index, input_shape: scatter_flat(g, index, input_shape),
    public=False,
    samples=on(real(1, 2, 3, 3), np.arange(8).reshape(1, 2, 2, 2)),
)
def gather_flat(input: Array, index: Index) -> Array:
    """The elements of images (N, C, H, W) at the flat *index* into each image."""
    n, c, h, w = input.shape
    return np.take_along_axis(input.reshape(n, c, h * w), index.reshape(n, c, -1), 2).reshape(index.shape)


@composite(method=False, samples=each(on(real(2, 3, 6, 6), 2), on(real(2, 5, 5), 3, 2, 1)))
def max_pool2d(
    input: Tensor,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    padding: int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The greatest element of each window of images (N, C, H, W) or (C, H, W); *stride* defaults to the window's size.

    With *return_indices*, also where in its image (flat) each was.
    """
    if input._array.ndim == 3:
        found = max_pool2d(input.unsqueeze(0), kernel_size, stride, padding, dilation, ceil_mode, True)
        values, indices = found[0].squeeze(0), found[1].squeeze(0)
    else:
        kernel, margin = pair(kernel_size), pair(padding)
        _check_pool(input, "max_pool2d", kernel, margin)
        steps = kernel if stride is None or stride == [] else pair(stride)
        values, indices = max_pool_images(input, kernel, steps, margin, pair(dilation), ceil_mode)
    return (values, indices) if return_indices else values


def _check_pool(input: Tensor, name: str, kernel: Pair, padding: Pair) -> None:
    if input._array.ndim != 4:
        raise RuntimeError(f"{name}: expected images of 3 or 4 dimensions, found {list(input.shape)}")
    if any(2 * p > k for p, k in zip(padding, kernel, strict=True)):
        raise RuntimeError(
            f"pad should be at most half of effective kernel size, found padding {padding} and kernel {kernel}"
        )
    if any(n + 2 * p < k for n, p, k in zip(input._array.shape[2:], padding, kernel, strict=True)):
        raise RuntimeError(
            f"{name}: images of {list(input.shape[2:])} with padding {padding} are smaller than the window {kernel}"
        )


@operation(
    lambda g, input_shape, kernel, stride, padding, divisor: spread_windows(
        g, input_shape, kernel, stride, padding, divisor
    ),
    node_name="AvgPool2DBackward0",
    public=False,
    samples=on(real(2, 3, 6, 6), (2, 3), (2, 1), (1, 0), 6.0),
)
def sum_windows(input: Array, kernel: Pair, stride: Pair, padding: Pair, divisor: Any) -> Array:
    """The sum of each window, divided by *divisor* (a number, or an array over the windows)."""
    geometry = _geometry(input.shape[2:], kernel, stride, padding, (1, 1))
    return windows(padded(input, geometry), geometry).sum(axis=(2, 3)) / np.asarray(divisor, dtype=input.dtype)


@operation(
    lambda g, kernel, stride, padding, divisor: sum_windows(g, kernel, stride, padding, divisor),
    public=False,
    samples=on(real(1, 2, 3, 3), (1, 2, 6, 6), (2, 2), (2, 2), (0, 0), 4.0),
)
def spread_windows(
    input: Array, shape: tuple[int, ...], kernel: Pair, stride: Pair, padding: Pair, divisor: Any
) -> Array:
    """The transpose of ``sum_windows``: each element given to all places of its window."""
    geometry = _geometry(shape[2:], kernel, stride, padding, (1, 1))
    part = (input / np.asarray(divisor, dtype=input.dtype))[:, :, None, None]
    return sum_windows_back(np.broadcast_to(part, (*input.shape[:2], *kernel, *input.shape[2:])), shape, geometry)


@composite(
    method=False,
    samples=each(on(real(2, 3, 6, 6), 2), on(real(1, 2, 5, 5), 3, 2, 1, count_include_pad=False)),
)
def avg_pool2d(
    input: Tensor,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    padding: int | Sequence[int] = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """The mean of each window of images (N, C, H, W) or (C, H, W); *stride* defaults to the window's size."""
    if input._array.ndim == 3:
        return avg_pool2d(
            input.unsqueeze(0), kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
        ).squeeze(0)
    if ceil_mode:
        raise NotImplementedError("avg_pool2d: ceil_mode=True is not supported")
    kernel, margin = pair(kernel_size), pair(padding)
    _check_pool(input, "avg_pool2d", kernel, margin)
    steps = kernel if stride is None or stride == [] else pair(stride)
    divisor: Any = float(divisor_override or kernel[0] * kernel[1])
    if not count_include_pad and divisor_override is None:
        ones = np.ones((1, 1, *input._array.shape[2:]))
        divisor = sum_windows(Tensor._wrap(ones), kernel, steps, margin, 1.0)._array
    return sum_windows(input, kernel, steps, margin, divisor)
