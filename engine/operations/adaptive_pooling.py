"""Pooling to a given size: windows as large as it takes, evenly spread or at random places."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..batching import folding
from ..kernels.pooling import max_at, range_sums, spread_ranges
from ..kernels.windows import Sizes
from ..registry import Array, composite, operation
from ..registry.samples import each, on, real
from ..tensors.tensor import Tensor
from .extremes import ValuesAndIndices
from .geometry import batched, check_not_empty, each_dimension
from .pooling import refuse, scatter_flat

OutputSize = int | Sequence[int | None] | None


def _target(input: Tensor, output_size: OutputSize, operation: str) -> Sizes:
    """The size of the result for images (N, C, …): where *output_size* says None, their own."""
    size = input._array.shape[2:]
    wanted = tuple(output_size) if isinstance(output_size, (tuple, list)) else (output_size,) * len(size)
    if len(wanted) == 1:
        wanted *= len(size)
    if len(wanted) != len(size):
        raise RuntimeError(f"{operation}: output_size must be {len(size)} numbers, found {list(wanted)}")
    target = each_dimension(
        tuple(n if w is None else w for n, w in zip(size, wanted, strict=True)), len(size), operation, "output_size"
    )
    if min(target) < 0:
        raise RuntimeError(
            f"{operation}: elements of output_size must be greater than or equal to 0, found {list(target)}"
        )
    return target


def _images(input: Tensor, dims: int, operation: str, output_size: OutputSize) -> tuple[Tensor, bool]:
    """*input* as a batch, and whether it was none; ValueError where *output_size* lists more than its dimensions hold."""
    if dims > 1 and isinstance(output_size, (tuple, list)) and input._array.ndim <= len(output_size):
        raise ValueError(
            f"Input dimension should be at least {len(output_size) + 1}, in {operation}(): found shape {list(input.shape)}"
        )
    return batched(input, dims, operation)


def _ranges(length: int, count: int) -> tuple[Sizes, Sizes]:
    """Where *count* evenly spread windows of a dimension of that *length* start and stop."""
    starts = tuple(i * length // count for i in range(count))
    return starts, tuple(-(-(i + 1) * length // count) for i in range(count))


@operation(
    lambda g, input_shape, dim, starts, stops: spread_means(g, dim, input_shape[dim], starts, stops),
    public=False,
    samples=on(real(1, 2, 5), 2, (0, 1, 3), (2, 4, 5)),
)
def range_means(input: Array, dim: int, starts: Sizes, stops: Sizes) -> Array:
    """The means of *input* from each start up to the stop, along *dim*."""
    return range_sums(input, dim, starts, stops) / _lengths(input, dim, starts, stops)


@operation(
    lambda g, dim, starts, stops: range_means(g, dim, starts, stops),
    public=False,
    samples=on(real(1, 2, 3), 2, 5, (0, 1, 3), (2, 4, 5)),
)
def spread_means(input: Array, dim: int, length: int, starts: Sizes, stops: Sizes) -> Array:
    """The transpose of ``range_means``: each element shared by its range of a *dim* of that *length*."""
    return spread_ranges(input / _lengths(input, dim, starts, stops), dim, length, starts, stops)


def _lengths(input: Array, dim: int, starts: Sizes, stops: Sizes) -> Array:
    lengths = np.subtract(stops, starts).astype(input.dtype)
    return lengths.reshape((-1,) + (1,) * (input.ndim - dim - 1))


def _adaptive_avg_pool(dims: int, input: Tensor, output_size: OutputSize) -> Tensor:
    name = f"adaptive_avg_pool{dims}d"
    input, alone = _images(input, dims, name, output_size)
    refuse(input, name, "biuc")
    check_not_empty(input, name, channels_may_be_empty=True)
    target = _target(input, output_size, name)
    if target == (1,) * dims:
        result = input.mean(tuple(range(2, dims + 2)), True)
    else:
        result = input
        for dim, count in enumerate(target, 2):
            if count != input._array.shape[dim]:
                result = range_means(result, dim, *_ranges(input._array.shape[dim], count))
        result = input.clone() if result is input else result
    return result.squeeze(0) if alone else result


@composite(method=False, samples=each(on(real(2, 3, 5), 3), on(real(2, 4), 1), on(real(1, 2, 3), 5)))
def adaptive_avg_pool1d(input: Tensor, output_size: OutputSize) -> Tensor:
    """The means of *output_size* windows, evenly spread over sequences (N, C, L) or (C, L).

    >>> import allgrad as torch
    >>> torch.adaptive_avg_pool1d(torch.tensor([[1.0, 3.0, 2.0, 0.0]]), 2)
    tensor([[2., 1.]])
    """
    return _adaptive_avg_pool(1, input, output_size)


@composite(method=False, samples=each(on(real(2, 1, 5, 4), (3, 2)), on(real(2, 3, 4), 1), on(real(1, 3, 4), (None, 3))))
def adaptive_avg_pool2d(input: Tensor, output_size: OutputSize) -> Tensor:
    """The means of windows, evenly spread over images (N, C, H, W) or (C, H, W), so that the result is *output_size*.

    Of n elements, window i of m covers those from i · n // m up to, not including, ceil((i + 1) · n / m).

    Args:
        input: images.
        output_size: height and width of the result: a number for both, or one each; None keeps that of *input*.

    Raises:
        RuntimeError: shapes or sizes that do not fit.
        NotImplementedError: of anything but floating-point numbers.

    Example:
        >>> import allgrad as torch
        >>> torch.nn.functional.adaptive_avg_pool2d(torch.arange(16.0).reshape(1, 4, 4), (2, 1))
        tensor([[[ 3.5000],
                 [11.5000]]])
    """
    return _adaptive_avg_pool(2, input, output_size)


@composite(method=False, samples=each(on(real(1, 1, 3, 2, 4), (2, 1, 3)), on(real(1, 2, 2, 2), 1)))
def adaptive_avg_pool3d(input: Tensor, output_size: OutputSize) -> Tensor:
    """The means of windows, evenly spread over volumes (N, C, D, H, W) or (C, D, H, W): as ``adaptive_avg_pool2d``."""
    return _adaptive_avg_pool(3, input, output_size)


@operation(
    lambda g, y1, input_shape: scatter_flat(g[0], y1, input_shape),
    outputs=ValuesAndIndices,
    node_name=lambda node: f"AdaptiveMaxPool{len(node._saved_input_shape) - 2}DBackward0",
    batching=folding(0),
    public=False,
    samples=on(real(1, 2, 5, 4), (3, 2)),
)
def adaptive_max_pool(input: Array, target: Sizes) -> tuple[Array, Array]:
    """The greatest element of each of *target* windows, evenly spread, and where in its image (flat) it was."""
    positions = []
    for length, count in zip(input.shape[2:], target, strict=True):
        starts, stops = (np.array(ends, dtype=np.int64)[:, None] for ends in _ranges(length, count))
        reach = int((stops - starts).max(initial=1))
        positions.append(np.minimum(starts + np.arange(reach), stops - 1)[None, None])
    return max_at(input, positions)


def _adaptive_max_pool(dims: int, input: Tensor, output_size: OutputSize) -> tuple[Tensor, Tensor]:
    name = f"adaptive_max_pool{dims}d"
    input, alone = _images(input, dims, name, output_size)
    refuse(input, name, "biuc")
    check_not_empty(input, name)
    values, indices = adaptive_max_pool(input, _target(input, output_size, name))
    return (values.squeeze(0), indices.squeeze(0)) if alone else (values, indices)


@composite(method=False, samples=each(on(real(2, 3, 5), 3), on(real(2, 4), 1, True)))
def adaptive_max_pool1d(input: Tensor, output_size: OutputSize, return_indices: bool = False) -> Any:
    """The greatest elements of *output_size* windows, evenly spread over sequences (N, C, L) or (C, L).

    With *return_indices*, also where in its sequence each was.

    >>> import allgrad as torch
    >>> torch.nn.functional.adaptive_max_pool1d(torch.tensor([[1.0, 3.0, 2.0, 0.0]]), 2)
    tensor([[3., 2.]])
    """
    found = _adaptive_max_pool(1, input, output_size)
    return found if return_indices else found[0]


@composite(method=False, samples=each(on(real(2, 1, 5, 4), (3, 2)), on(real(1, 3, 4), (None, 3), True)))
def adaptive_max_pool2d(input: Tensor, output_size: OutputSize, return_indices: bool = False) -> Any:
    """The greatest elements of windows that lie as those of ``adaptive_avg_pool2d``.

    With *return_indices*, also where in its image (flat, int64) each was.

    >>> import allgrad as torch
    >>> torch.nn.functional.adaptive_max_pool2d(torch.arange(16.0).reshape(1, 4, 4), (2, 1))
    tensor([[[ 7.],
             [15.]]])
    """
    found = _adaptive_max_pool(2, input, output_size)
    return found if return_indices else found[0]


@composite(method=False, samples=on(real(1, 1, 3, 2, 4), (2, 1, 3)))
def adaptive_max_pool3d(input: Tensor, output_size: OutputSize, return_indices: bool = False) -> Any:
    """The greatest elements of windows that lie as those of ``adaptive_avg_pool3d``; see ``adaptive_max_pool2d``."""
    found = _adaptive_max_pool(3, input, output_size)
    return found if return_indices else found[0]


@composite(method=False, samples=on(real(1, 5), 3))
def adaptive_max_pool1d_with_indices(input: Tensor, output_size: OutputSize) -> tuple[Tensor, Tensor]:
    """``adaptive_max_pool1d`` with ``return_indices=True``."""
    return _adaptive_max_pool(1, input, output_size)


@composite(method=False, samples=on(real(1, 3, 4), 2))
def adaptive_max_pool2d_with_indices(input: Tensor, output_size: OutputSize) -> tuple[Tensor, Tensor]:
    """``adaptive_max_pool2d`` with ``return_indices=True``."""
    return _adaptive_max_pool(2, input, output_size)


@composite(method=False, samples=on(real(1, 3, 2, 2), (2, 2, 1)))
def adaptive_max_pool3d_with_indices(input: Tensor, output_size: OutputSize) -> tuple[Tensor, Tensor]:
    """``adaptive_max_pool3d`` with ``return_indices=True``."""
    return _adaptive_max_pool(3, input, output_size)
