"""Pooling: the greatest, the mean or the norm of the elements of each window of sequences, images and volumes."""

from __future__ import annotations

from functools import reduce
from typing import Any

import numpy as np

from ..batching import as_array, folding
from ..kernels.pooling import add_at, max_windows, spread_sums, window_sums
from ..kernels.windows import Geometry
from ..registry import Array, Index, composite, operation
from ..registry.samples import each, on, positive, real
from ..tensors.tensor import Tensor
from .elementwise import sign
from .extremes import ValuesAndIndices
from .geometry import Size, batched, check_not_empty, each_dimension, pooling_geometry
from .rectifiers import relu

_HALVES = Geometry((2, 2), (2, 2), (0, 0), (1, 1), (3, 3))  # of images 6 × 6
_OVERLAPPING = Geometry((3, 2), (2, 1), (1, 1), (1, 1), (3, 6))  # of images 5 × 5


def max_node_name(node: Any) -> str:
    """The name of PyTorch's node, which says the number of dimensions."""
    return f"MaxPool{len(node._saved_input_shape) - 2}DWithIndicesBackward0"


def refuse(input: Tensor, name: str, kinds: str) -> None:
    """Refuse types of these *kinds* as PyTorch's kernels do."""
    if input._array.dtype.kind in kinds:
        raise NotImplementedError(f'"{name}" not implemented for {input.dtype}: convert the input with .to() first')


@operation(
    lambda g, y1, input_shape: scatter_flat(g[0], y1, input_shape),
    outputs=ValuesAndIndices,
    node_name=max_node_name,
    batching=folding(0),
    public=False,
    samples=each(on(real(2, 3, 6, 6), _HALVES), on(real(1, 2, 5, 5), _OVERLAPPING)),
)
def max_pool(input: Array, geometry: Geometry) -> tuple[Array, Array]:
    """The greatest element of each window, and where in its image (flat) it was."""
    return max_windows(input, geometry)


@operation(
    lambda g, index: gather_flat(g, index),
    batching=folding(0, 1, shape=2),
    public=False,
    samples=on(real(1, 2, 2, 2), np.arange(8).reshape(1, 2, 2, 2), (1, 2, 3, 3)),
)
def scatter_flat(input: Array, index: Index, shape: tuple[int, ...]) -> Array:
    """Images of *shape* with *input* (N, C, …) added at the flat *index* into each image."""
    return add_at(input, index, shape)


@operation(
    lambda g, index, input_shape: scatter_flat(g, index, input_shape),
    batching=folding(0, 1),
    public=False,
    samples=on(real(1, 2, 3, 3), np.arange(8).reshape(1, 2, 2, 2)),
)
def gather_flat(input: Array, index: Index) -> Array:
    """The elements of images (N, C, …) at the flat *index* into each image."""
    (n, c), size = input.shape[:2], int(np.prod(input.shape[2:]))
    flat = index.reshape(n, c, int(np.prod(index.shape[2:])))
    return np.take_along_axis(input.reshape(n, c, size), flat, 2).reshape(index.shape)


def _max_pool(
    dims: int, input: Tensor, kernel_size: Size, stride: Size | None, padding: Size, dilation: Size, ceil_mode: bool
) -> tuple[Tensor, Tensor]:
    name = f"max_pool{dims}d"
    input, alone = batched(input, dims, name)
    refuse(input, name, "bc")
    check_not_empty(input, name)
    geometry = pooling_geometry(input, name, kernel_size, stride, padding, dilation, ceil_mode)
    values, indices = max_pool(input, geometry)
    return (values.squeeze(0), indices.squeeze(0)) if alone else (values, indices)


@composite(
    method=False,
    samples=each(on(real(2, 3, 6), 2), on(real(2, 5), 3, 2, 1, 1, True), on(real(1, 1, 7), 2, 1, 0, 3, False, True)),
)
def max_pool1d(
    input: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The greatest element of each window of sequences (N, C, L) or (C, L): as ``max_pool2d``, for one dimension.

    >>> import allgrad as torch
    >>> torch.max_pool1d(torch.tensor([[1.0, 3.0, 2.0, 0.0]]), 2)
    tensor([[3., 2.]])
    """
    found = _max_pool(1, input, kernel_size, stride, padding, dilation, ceil_mode)
    return found if return_indices else found[0]


@composite(method=False, samples=each(on(real(2, 3, 6, 6), 2), on(real(2, 5, 5), 3, 2, 1)))
def max_pool2d(
    input: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The greatest element of each window of images (N, C, H, W) or (C, H, W).

    The gradient goes to the first of equal elements; nan counts as greater than all.

    Args:
        input: images.
        kernel_size: height and width of the windows: a number, or one for each.
        stride: steps between neighbouring windows; the window's size by default.
        padding: a margin that never is the greatest; at most half a window.
        dilation: steps between the elements of a window.
        ceil_mode: count also a last window that reaches out of the image.
        return_indices: give also where in its image (flat, int64) each element was.

    Returns:
        (N, C, H', W') or the pair of it and the indices.

    Raises:
        RuntimeError: shapes or sizes that do not fit.
        NotImplementedError: of bool or complex numbers.

    Example:
        >>> import allgrad as torch
        >>> torch.max_pool2d(torch.arange(16.0).reshape(1, 4, 4), 2)
        tensor([[[ 5.,  7.],
                 [13., 15.]]])
    """
    found = _max_pool(2, input, kernel_size, stride, padding, dilation, ceil_mode)
    return found if return_indices else found[0]


@composite(method=False, samples=each(on(real(1, 2, 2, 4, 2), 2), on(real(1, 3, 3, 2), (2, 3, 1), 1, (1, 0, 0))))
def max_pool3d(
    input: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The greatest element of each window of volumes (N, C, D, H, W) or (C, D, H, W): as ``max_pool2d``, for three.

    >>> import allgrad as torch
    >>> torch.max_pool3d(torch.arange(8.0).reshape(1, 2, 2, 2), 2)
    tensor([[[[7.]]]])
    """
    found = _max_pool(3, input, kernel_size, stride, padding, dilation, ceil_mode)
    return found if return_indices else found[0]


@composite(method=False, samples=on(real(1, 6), 2))
def max_pool1d_with_indices(
    input: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
) -> tuple[Tensor, Tensor]:
    """``max_pool1d`` with ``return_indices=True``."""
    return _max_pool(1, input, kernel_size, stride, padding, dilation, ceil_mode)


@composite(method=False, samples=on(real(1, 4, 2), 2))
def max_pool2d_with_indices(
    input: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
) -> tuple[Tensor, Tensor]:
    """``max_pool2d`` with ``return_indices=True``."""
    return _max_pool(2, input, kernel_size, stride, padding, dilation, ceil_mode)


@composite(method=False, samples=on(real(1, 4, 2, 2), 2))
def max_pool3d_with_indices(
    input: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
) -> tuple[Tensor, Tensor]:
    """``max_pool3d`` with ``return_indices=True``."""
    return _max_pool(3, input, kernel_size, stride, padding, dilation, ceil_mode)


def _divided(sums: Array, divisor: Any) -> Array:
    """*sums* divided by a number or by an array over the windows, towards zero if they are integers."""
    if sums.dtype.kind in "iu":
        return np.trunc(sums / as_array(divisor)).astype(sums.dtype)
    return sums / as_array(divisor, dtype=sums.dtype)


@operation(
    lambda g, input_shape, geometry, divisor: spread_windows(g, input_shape, geometry, divisor),
    node_name=lambda node: f"AvgPool{len(node._saved_input_shape) - 2}DBackward0",
    batching=folding(0),
    public=False,
    samples=on(real(1, 2, 5, 5), _OVERLAPPING, 6.0),
)
def average_windows(input: Array, geometry: Geometry, divisor: Any) -> Array:
    """The sum of each window, divided by *divisor* (a number, or an array over the windows)."""
    return _divided(window_sums(input, geometry), divisor)


@operation(
    lambda g, geometry, divisor: average_windows(g, geometry, divisor),
    batching=folding(0, shape=1),
    public=False,
    samples=on(real(1, 2, 3, 3), (1, 2, 6, 6), _HALVES, 4.0),
)
def spread_windows(input: Array, shape: tuple[int, ...], geometry: Geometry, divisor: Any) -> Array:
    """The transpose of ``average_windows``: each element shared by all places of its window."""
    return spread_sums(_divided(input, divisor), shape, geometry)


def _divisor(size: tuple[int, ...], geometry: Geometry, count_include_pad: bool) -> Any:
    """How many elements each window has, of the image and, with *count_include_pad*, of its padding."""
    reach = zip(size, geometry.kernel, geometry.stride, geometry.padding, geometry.counts, strict=True)
    if (count_include_pad or not any(geometry.padding)) and all(
        (c - 1) * s + k <= n + 2 * p for n, k, s, p, c in reach
    ):
        return float(geometry.area)
    lengths = []
    for n, k, s, p, count in zip(
        size, geometry.kernel, geometry.stride, geometry.padding, geometry.counts, strict=True
    ):
        starts = np.arange(count) * s - p
        stops = np.minimum(starts + k, n + p)
        lengths.append(stops - starts if count_include_pad else np.minimum(stops, n) - np.maximum(starts, 0))
    return reduce(np.multiply.outer, lengths).astype(np.float64)


def _avg_pool(
    dims: int,
    input: Tensor,
    kernel_size: Size,
    stride: Size | None,
    padding: Size,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None = None,
) -> Tensor:
    name = f"avg_pool{dims}d"
    input, alone = batched(input, dims, name)
    refuse(input, name, "bc")
    check_not_empty(input, name)
    geometry = pooling_geometry(input, name, kernel_size, stride, padding, ceil_mode=ceil_mode)
    if divisor_override == 0:
        raise RuntimeError(f"{name}: divisor must be not zero, found divisor_override=0")
    divisor: Any = divisor_override
    if divisor is None:
        divisor = _divisor(input._array.shape[2:], geometry, count_include_pad)
    result = average_windows(input, geometry, divisor)
    return result.squeeze(0) if alone else result


@composite(
    method=False,
    samples=each(on(real(2, 3, 6), 2), on(real(2, 5), 3, 2, 1, True), on(real(1, 1, 4), 2, 1, 1, False, False)),
)
def avg_pool1d(
    input: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    """The mean of each window of sequences (N, C, L) or (C, L): as ``avg_pool2d``, for one dimension.

    >>> import allgrad as torch
    >>> torch.avg_pool1d(torch.tensor([[1.0, 3.0, 2.0, 0.0]]), 2)
    tensor([[2., 1.]])
    """
    return _avg_pool(1, input, kernel_size, stride, padding, ceil_mode, count_include_pad)


@composite(
    out=True,
    method=False,
    samples=each(
        on(real(2, 3, 6, 6), 2),
        on(real(1, 2, 5, 5), 3, 2, 1, count_include_pad=False),
        on(real(2, 4, 5), 2, 2, 1, True, divisor_override=3),
    ),
)
def avg_pool2d(
    input: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """The mean of each window of images (N, C, H, W) or (C, H, W).

    Args:
        input: images.
        kernel_size: height and width of the windows: a number, or one for each.
        stride: steps between neighbouring windows; the window's size by default.
        padding: zeros around the image; at most half a window.
        ceil_mode: count also a last window that reaches out of the image.
        count_include_pad: whether the zeros of *padding* count as elements.
        divisor_override: what the sums are divided by, instead of the number of elements.

    Returns:
        (N, C, H', W').

    Raises:
        RuntimeError: shapes or sizes that do not fit.
        NotImplementedError: of bool or complex numbers.

    Example:
        >>> import allgrad as torch
        >>> torch.nn.functional.avg_pool2d(torch.arange(16.0).reshape(1, 4, 4), 2)
        tensor([[[ 2.5000,  4.5000],
                 [10.5000, 12.5000]]])
    """
    return _avg_pool(2, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)


@composite(
    out=True,
    method=False,
    samples=each(on(real(1, 2, 2, 4, 2), 2), on(real(1, 3, 3, 2), (2, 3, 1), 2, (1, 0, 0), True, False)),
)
def avg_pool3d(
    input: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """The mean of each window of volumes (N, C, D, H, W) or (C, D, H, W): as ``avg_pool2d``, for three dimensions.

    >>> import allgrad as torch
    >>> torch.nn.functional.avg_pool3d(torch.arange(8.0).reshape(1, 2, 2, 2), 2)
    tensor([[[[3.5000]]]])
    """
    return _avg_pool(3, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)


def _lp_pool(
    dims: int, input: Tensor, norm_type: float, kernel_size: Size, stride: Size | None, ceil_mode: bool
) -> Tensor:
    kernel = each_dimension(kernel_size, dims, f"lp_pool{dims}d", "kernel_size")
    means = _avg_pool(dims, input**norm_type, kernel, stride, 0, ceil_mode, True)
    sums: Tensor = (sign(means) * relu(means.abs())) * float(np.prod(kernel))
    return sums ** (1.0 / norm_type)


@composite(method=False, samples=each(on(positive(2, 3, 6), 2, 2), on(positive(1, 5), 3.0, 2, 1, True)))
def lp_pool1d(
    input: Tensor, norm_type: float, kernel_size: Size, stride: Size | None = None, ceil_mode: bool = False
) -> Tensor:
    """The p-norm of each window of sequences (N, C, L) or (C, L), p being *norm_type*.

    >>> import allgrad as torch
    >>> torch.nn.functional.lp_pool1d(torch.tensor([[3.0, 4.0]]), 2, 2)
    tensor([[5.]])
    """
    return _lp_pool(1, input, norm_type, kernel_size, stride, ceil_mode)


@composite(method=False, samples=each(on(positive(2, 1, 4, 4), 2, 2), on(positive(1, 5, 4), 1.5, (2, 3), 1)))
def lp_pool2d(
    input: Tensor, norm_type: float, kernel_size: Size, stride: Size | None = None, ceil_mode: bool = False
) -> Tensor:
    """The p-norm of each window of images (N, C, H, W) or (C, H, W), p being *norm_type*.

    A window that reaches out (*ceil_mode*) counts as if it had the mean of its elements in all places.
    """
    return _lp_pool(2, input, norm_type, kernel_size, stride, ceil_mode)


@composite(method=False, samples=on(positive(1, 1, 2, 4, 2), 2, 2))
def lp_pool3d(
    input: Tensor, norm_type: float, kernel_size: Size, stride: Size | None = None, ceil_mode: bool = False
) -> Tensor:
    """The p-norm of each window of volumes (N, C, D, H, W) or (C, D, H, W), p being *norm_type*."""
    return _lp_pool(3, input, norm_type, kernel_size, stride, ceil_mode)
