"""Fractional max pooling: windows of one size whose places are drawn at random (Graham, arXiv:1412.6071)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..kernels.pooling import max_at
from ..kernels.windows import Sizes
from ..registry import Array, Index, composite, operation
from ..registry.samples import each, on, real
from ..tensors.tensor import Tensor
from .extremes import ValuesAndIndices
from .geometry import Size, batched, check_not_empty, each_dimension
from .pooling import refuse, scatter_flat
from .random_tensors import rand

_DRAWN = np.array([[[0.3, 0.6], [0.8, 0.1]]])
_DRAWN_3D = np.array([[[0.3, 0.6, 0.9]]])


def _starts(samples: Array, length: int, count: int, kernel: int) -> Array:
    """Where *count* windows along a dimension of that *length* start, for each of *samples* (N, C): (N, C, count)."""
    if count == 1:
        return np.full((*samples.shape, 1), length - kernel)
    step = samples.dtype.type((length - kernel) / (count - 1))
    sample = samples[..., None]
    inner = ((np.arange(count - 1, dtype=samples.dtype) + sample) * step).astype(np.int64) - (sample * step).astype(
        np.int64
    )
    return np.concatenate([inner, np.full((*samples.shape, 1), length - kernel)], -1)


@operation(
    lambda g, y1, input_shape: scatter_flat(g[0], y1, input_shape),
    outputs=ValuesAndIndices,
    node_name=lambda node: f"FractionalMaxPool{len(node._saved_input_shape) - 2}DBackward0",
    public=False,
    samples=on(real(1, 2, 5, 4), _DRAWN, (2, 2), (3, 2)),
)
def fractional_max_pool(input: Array, samples: Index, kernel: Sizes, target: Sizes) -> tuple[Array, Array]:
    """The greatest element of each of *target* windows, which *samples* (N, C, dimensions) place, and where it was."""
    dims = len(kernel)
    order = (1, 0) if dims == 2 else range(dims)  # of images, the first random number is for the width
    positions = []
    for length, k, count, number in zip(input.shape[2:], kernel, target, order, strict=True):
        starts = _starts(samples[..., number], length, count, k)
        positions.append(starts[..., None] + np.arange(k))
    return max_at(input, positions)


def _target(name: str, size: Sizes, output_size: Size | None, output_ratio: float | Sequence[float] | None) -> Sizes:
    if output_size is not None:
        return each_dimension(output_size, len(size), name, "output_size")
    if output_ratio is None:
        raise ValueError(f"{name} requires specifying either an output_size or an output_ratio")
    ratios = (output_ratio,) * len(size) if isinstance(output_ratio, (int, float)) else tuple(output_ratio)
    if len(ratios) != len(size):
        raise ValueError(f"{name} requires output_ratio to be a number or {len(size)} of them, found {list(ratios)}")
    return tuple(int(n * r) for n, r in zip(size, ratios, strict=True))


def _fractional(
    dims: int,
    input: Tensor,
    kernel_size: Size,
    output_size: Size | None,
    output_ratio: float | Sequence[float] | None,
    samples: Tensor | None,
) -> tuple[Tensor, Tensor]:
    name = f"fractional_max_pool{dims}d"
    input, alone = batched(input, dims, name)
    refuse(input, name, "biuc")
    check_not_empty(input, name)
    shape = input._array.shape
    kernel = each_dimension(kernel_size, dims, name, "kernel_size")
    target = _target(name, shape[2:], output_size, output_ratio)
    if any(k < 1 or t < 1 or t + k - 1 > n for k, t, n in zip(kernel, target, shape[2:], strict=True)):
        raise RuntimeError(
            f"{name}(): pool size {list(kernel)} or output size {list(target)} not positive or too large relative to "
            f"input size {list(shape[2:])}: together at most one more than it"
        )
    if samples is None:
        samples = rand(*shape[:2], dims, dtype=input.dtype)
    elif samples._array.shape != (*shape[:2], dims) or samples.dtype is not input.dtype:
        raise RuntimeError(
            f"{name}(): expected _random_samples of size {[*shape[:2], dims]} and type {input.dtype}, found "
            f"{list(samples.shape)} and {samples.dtype}"
        )
    values, indices = fractional_max_pool(input, samples, kernel, target)
    return (values.squeeze(0), indices.squeeze(0)) if alone else (values, indices)


@composite(
    method=False,
    samples=each(
        on(real(1, 2, 5, 4), 2, (3, 2), _random_samples=_DRAWN),
        on(real(1, 2, 6, 4), (3, 1), None, (0.5, 0.8), True, _DRAWN),
    ),
)
def fractional_max_pool2d(
    input: Tensor,
    kernel_size: Size,
    output_size: Size | None = None,
    output_ratio: float | Sequence[float] | None = None,
    return_indices: bool = False,
    _random_samples: Tensor | None = None,
) -> Any:
    """The greatest elements of windows that overlap at random, of images (N, C, H, W) or (C, H, W).

    Args:
        input: images.
        kernel_size: height and width of the windows.
        output_size: height and width of the result.
        output_ratio: instead, what they are of those of *input*, between 0 and 1.
        return_indices: give also where in its image (flat, int64) each element was.
        _random_samples: numbers in [0, 1), (N, C, 2), that place the windows; drawn if not given.

    Raises:
        ValueError: neither *output_size* nor *output_ratio*.
        RuntimeError: shapes or sizes that do not fit.

    Example:
        >>> import allgrad as torch
        >>> torch.nn.functional.fractional_max_pool2d(torch.rand(1, 1, 9, 9), 2, output_ratio=(0.5, 0.7)).shape
        torch.Size([1, 1, 4, 6])
    """
    found = _fractional(2, input, kernel_size, output_size, output_ratio, _random_samples)
    return found if return_indices else found[0]


@composite(method=False, samples=on(real(1, 1, 5, 4, 3), 2, (3, 2, 1), _random_samples=_DRAWN_3D))
def fractional_max_pool3d(
    input: Tensor,
    kernel_size: Size,
    output_size: Size | None = None,
    output_ratio: float | Sequence[float] | None = None,
    return_indices: bool = False,
    _random_samples: Tensor | None = None,
) -> Any:
    """The greatest elements of windows that overlap at random, of volumes: as ``fractional_max_pool2d``.

    >>> import allgrad as torch
    >>> torch.nn.functional.fractional_max_pool3d(torch.rand(1, 1, 6, 6, 6), 2, 4).shape
    torch.Size([1, 1, 4, 4, 4])
    """
    found = _fractional(3, input, kernel_size, output_size, output_ratio, _random_samples)
    return found if return_indices else found[0]


@composite(method=False, samples=on(real(1, 2, 5, 4), 2, 2, _random_samples=_DRAWN))
def fractional_max_pool2d_with_indices(
    input: Tensor,
    kernel_size: Size,
    output_size: Size | None = None,
    output_ratio: float | Sequence[float] | None = None,
    return_indices: bool = False,
    _random_samples: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """``fractional_max_pool2d`` with ``return_indices=True``."""
    return _fractional(2, input, kernel_size, output_size, output_ratio, _random_samples)


@composite(method=False, samples=on(real(1, 1, 3, 4, 3), 2, (1, 2, 1), _random_samples=_DRAWN_3D))
def fractional_max_pool3d_with_indices(
    input: Tensor,
    kernel_size: Size,
    output_size: Size | None = None,
    output_ratio: float | Sequence[float] | None = None,
    return_indices: bool = False,
    _random_samples: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """``fractional_max_pool3d`` with ``return_indices=True``."""
    return _fractional(3, input, kernel_size, output_size, output_ratio, _random_samples)
