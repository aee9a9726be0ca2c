"""Sampling images and volumes at the places of a grid, and making such grids from affine maps."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..batching import as_array, folding_along
from ..kernels import sampling
from ..registry import Array, Index, composite, operation
from ..registry.samples import Sample, Samples, each, on, real
from ..tensors.tensor import Tensor
from .linear import matmul
from .shape import reshape, stack, transpose

_MODES = ("bilinear", "nearest", "bicubic")
_PADDINGS = ("zeros", "border", "reflection")
_SHARPNESS = -0.75  # of the cubic kernel
_FAR = 2.0**31  # as PyTorch, what lies further out (or is not finite) is taken for a place outside


def _reflected(places: Array, length: int, align_corners: bool) -> tuple[Array, Array]:
    """*places* mirrored at the ends of a dimension as often as needed, and 1 or -1: how they move then."""
    low, span = (0.0, length - 1.0) if align_corners else (-0.5, float(length))
    if span == 0:
        return np.zeros_like(places), np.zeros_like(places)
    distance = np.absolute(places - low)
    flips, rest = np.floor(distance / span), np.fmod(distance, span)
    even = np.remainder(flips, 2) == 0
    direction = np.where(places < low, -1.0, 1.0) * np.where(even, 1.0, -1.0)
    return np.where(even, rest + low, span - rest + low), direction


def _padded(places: Array, length: int, align_corners: bool, padding_mode: str) -> tuple[Array, Array]:
    """*places* brought inside a dimension as *padding_mode* says, and their derivative."""
    slope = np.ones_like(places)
    if padding_mode == "reflection":
        places, slope = _reflected(places, length, align_corners)
    if padding_mode != "zeros":
        slope = np.where((places > 0) & (places < length - 1), slope, 0.0)
        places = np.clip(np.where(np.isnan(places), 0.0, places), 0.0, length - 1.0)
    return np.where(np.absolute(places) < _FAR, places, -100.0), slope


def _unnormalized(grid: Array, length: int, align_corners: bool) -> Array:
    return (grid + 1.0) / 2.0 * (length - 1) if align_corners else ((grid + 1.0) * length - 1.0) / 2.0


@operation(
    lambda g, input, length, align_corners, padding_mode: g * place_slope(input, length, align_corners, padding_mode),
    public=False,
    samples=each(on(real(4), 3, False, "reflection"), on(real(4), 3, True, "border"), on(real(4), 5, False, "zeros")),
)
def placed(input: Array, length: int, align_corners: bool, padding_mode: str) -> Array:
    """The coordinates input, from -1 to 1, as places in a dimension of *length* elements."""
    places, _ = _padded(_unnormalized(input, length, align_corners), length, align_corners, padding_mode)
    return places.astype(input.dtype, copy=False)


@operation(public=False)
def place_slope(input: Array, length: int, align_corners: bool, padding_mode: str) -> Array:
    """The derivative of ``placed``."""
    _, slope = _padded(_unnormalized(input, length, align_corners), length, align_corners, padding_mode)
    return (slope * ((length - 1 if align_corners else length) / 2.0)).astype(input.dtype, copy=False)


_INDEX = np.array([[[0, 3, -1], [2, 2, 1]], [[1, 1, 0], [-1, 3, 2]]])


@operation(
    lambda g, input_shape, weight, index: columns_spread(g, weight, index, input_shape[2]),
    lambda g, input, index: columns_matched(g, input, index),
    batching=folding_along({0: 0, 1: 1, 2: 1}),
    public=False,
    samples=on(real(2, 3, 4), real(2, 2, 3), _INDEX),
)
def columns_mixed(input: Array, weight: Array, index: Index) -> Array:
    """The columns of input (N, C, L) at *index* (K, N, P), nothing where that is -1, times *weight*, summed over K: (N, C, P)."""
    return sampling.mixed(input, weight, index)


@operation(
    lambda g, weight, index: columns_mixed(g, weight, index),
    lambda g, grad, index: columns_matched(grad, g, index),
    batching=folding_along({0: 0, 1: 1, 2: 1}),
    public=False,
    samples=on(real(2, 3, 3), real(2, 2, 3), _INDEX, 4),
)
def columns_spread(grad: Array, weight: Array, index: Index, length: int) -> Array:
    """The gradient (N, C, *length*) of ``columns_mixed`` with respect to its input, from *grad*, that of its result."""
    return sampling.spread(grad, weight, index, length)


@operation(
    lambda g, input, index: columns_mixed(input, g, index),
    lambda g, grad, input_shape, index: columns_spread(grad, g, index, input_shape[2]),
    batching=folding_along({0: 0, 1: 0, 2: 1}, result=1),
    public=False,
    samples=on(real(2, 3, 3), real(2, 3, 4), _INDEX),
)
def columns_matched(grad: Array, input: Array, index: Index) -> Array:
    """The gradient (K, N, P) of ``columns_mixed`` with respect to its weight, from *grad*, that of its result."""
    return sampling.matched(grad, input, index)


Summand = tuple[Array, Any]  # places along a dimension, and the weight with which they count


def _flat_index(places: Sequence[Array], shape: tuple[int, ...]) -> Array:
    """The elements at *places* (one array for each dimension) in the flattened dimensions; -1 for those outside."""
    index = np.zeros(places[0].shape, dtype=np.int64)
    inside = np.ones(places[0].shape, dtype=bool)
    for place, length in zip(places, shape, strict=True):
        inside = inside & (place >= 0) & (place < length)
        index = index * length + place
    return np.where(inside, index, -1)


def _nearest(coordinate: Tensor) -> list[Summand]:
    whole = coordinate.round()  # it has a derivative, zero: the grid's gradient is zeros then, not none
    return [(whole._array.astype(np.int64), whole - whole.detach() + 1.0)]


def _bilinear(coordinate: Tensor) -> list[Summand]:
    low = np.floor(coordinate._array)
    share = coordinate - Tensor._wrap(as_array(low))
    whole = low.astype(np.int64)
    return [(whole, 1.0 - share), (whole + 1, share)]


def _bicubic(coordinate: Tensor, length: int, align_corners: bool, padding_mode: str) -> list[Summand]:
    low = np.floor(coordinate._array)
    share = coordinate - Tensor._wrap(as_array(low))
    summands: list[Summand] = []
    for step in range(-1, 3):
        place, _ = _padded(low + step, length, align_corners, padding_mode)
        summands.append((np.floor(place + 0.25).astype(np.int64), _cubic_weight(share, step)))
    return summands


def _cubic_weight(share: Tensor, step: int) -> Tensor:
    """Keys' kernel (1981) at the distance of *share* from *step*, a neighbour: -1, 0, 1 or 2."""
    x = share - step if step < 1 else step - share
    if step in (0, 1):
        return ((x * (_SHARPNESS + 2.0) - (_SHARPNESS + 3.0)) * x) * x + 1.0
    return ((x * _SHARPNESS - 5.0 * _SHARPNESS) * x + 8.0 * _SHARPNESS) * x - 4.0 * _SHARPNESS


def _check(input: Tensor, grid: Tensor, mode: str, padding_mode: str) -> None:
    if mode not in _MODES:
        raise ValueError(f"expected mode to be 'bilinear', 'nearest' or 'bicubic', but got: '{mode}'")
    if padding_mode not in _PADDINGS:
        raise ValueError(f"expected padding_mode to be 'zeros', 'border', or 'reflection', but got: '{padding_mode}'")
    found = f"but got input with sizes {list(input.shape)} and grid with sizes {list(grid.shape)}"
    dims = input._array.ndim - 2
    if dims not in (2, 3) or grid._array.ndim != dims + 2:
        raise RuntimeError(f"grid_sampler(): expected 4D or 5D input and grid with same number of dimensions, {found}")
    if input._array.shape[0] != grid._array.shape[0]:
        raise RuntimeError(f"grid_sampler(): expected grid and input to have same batch size, {found}")
    if grid._array.shape[-1] != dims:
        raise RuntimeError(f"grid_sampler(): expected grid to have size {dims} in last dimension, {found}")
    if not all(input._array.shape[2:]):
        raise RuntimeError(f"grid_sampler(): expected input to have non-empty spatial dimensions, {found}")
    if input._array.dtype != grid._array.dtype:
        raise RuntimeError(
            f"grid_sampler(): expected input and grid of one dtype, found {input.dtype} and {grid.dtype}"
        )
    if mode == "bicubic" and dims != 2:
        raise RuntimeError(f"grid_sampler(): bicubic interpolation only supports 4D input, {found}")


def _samples(*modes: tuple[str, str, bool]) -> Samples:
    """Images and grids that reach over their edges, in each of *modes*."""

    def samples(generator: Any) -> Any:
        for mode, padding, align in modes:
            image, grid = real(1, 2, 3, 4)(generator), real(1, 3, 2, 2, low=-1.37, high=1.41)(generator)
            yield Sample((image, grid, mode, padding, align))

    return samples


@composite(
    method=False,
    samples=each(
        _samples(("bilinear", "zeros", False), ("bilinear", "border", True), ("bilinear", "reflection", False)),
        _samples(("nearest", "zeros", True), ("bicubic", "zeros", False), ("bicubic", "reflection", True)),
        on(real(1, 1, 2, 3, 2), real(1, 2, 1, 2, 3, low=-1.13, high=1.17), "bilinear", "zeros", False),
        on(real(2, 1, 2, 3, 2), real(2, 1, 1, 2, 3, low=-1.13, high=1.17), "nearest", "reflection", False),
    ),
)
def grid_sample(
    input: Tensor,
    grid: Tensor,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    align_corners: bool | None = None,
) -> Tensor:
    """Images or volumes sampled at the places of *grid* (Jaderberg et al. 2015).

    Args:
        input: (N, C, H, W) or (N, C, D, H, W), floating.
        grid: (N, H', W', 2) or (N, D', H', W', 3): x, y (and z) from -1 to 1, of the type of input.
        mode: "bilinear" (trilinear in volumes), "nearest", or "bicubic" (images only).
        padding_mode: what stands outside: "zeros", the "border" again, or the image mirrored ("reflection").
        align_corners: -1 and 1 are the middles of the outermost elements, not their edges.

    Returns:
        (N, C, H', W') or (N, C, D', H', W').

    Raises:
        ValueError: a mode that does not exist.
        RuntimeError: shapes or types that do not fit.

    Example:
        >>> import allgrad as torch
        >>> image = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
        >>> torch.nn.functional.grid_sample(image, torch.zeros(1, 1, 1, 2), align_corners=False)
        tensor([[[[2.5000]]]])
    """
    _check(input, grid, mode, padding_mode)
    align, shape = bool(align_corners), input._array.shape[2:]
    points = grid._array.shape[1:-1]
    along: list[list[Summand]] = []
    for axis, length in enumerate(shape):
        coordinate = reshape(grid[..., len(shape) - 1 - axis], (grid._array.shape[0], -1 if grid._array.size else 0))
        if mode == "bicubic":
            along.append(_bicubic(placed(coordinate, length, align, "zeros"), length, align, padding_mode))
        else:
            place = placed(coordinate, length, align, padding_mode)
            along.append(_bilinear(place) if mode == "bilinear" else _nearest(place))
    flat = reshape(input, (*input._array.shape[:2], int(np.prod(shape))))
    corners = list(itertools.product(*along))
    index = np.stack([_flat_index([places for places, _ in corner], shape) for corner in corners])
    weight = stack([math.prod((each for _, each in rest), start=first) for (_, first), *rest in corners])
    result = columns_mixed(flat, weight, Tensor._wrap(index))
    return reshape(result, (*input._array.shape[:2], *points))


def _named(names: tuple[str, ...], number: int, what: str) -> str:
    if not 0 <= number < len(names):
        raise RuntimeError(f"grid_sampler(): {what} is one of {dict(enumerate(names))}, found {number}")
    return names[number]


@composite(method=False, samples=on(real(1, 2, 3, 4), real(1, 2, 2, 2, low=-0.9, high=0.8), 0, 0, True))
def grid_sampler(
    input: Tensor, grid: Tensor, interpolation_mode: int, padding_mode: int, align_corners: bool
) -> Tensor:
    """:func:`grid_sample` with numbers for modes: 0 bilinear, 1 nearest, 2 bicubic; 0 zeros, 1 border, 2 reflection."""
    mode = _named(_MODES, interpolation_mode, "interpolation_mode")
    return grid_sample(input, grid, mode, _named(_PADDINGS, padding_mode, "padding_mode"), align_corners)


@composite(method=False, samples=on(real(1, 2, 3, 4), real(1, 2, 2, 2, low=-0.9, high=0.8), 0, 1, False))
def grid_sampler_2d(
    input: Tensor, grid: Tensor, interpolation_mode: int, padding_mode: int, align_corners: bool
) -> Tensor:
    """:func:`grid_sampler` of images."""
    return grid_sampler(input, grid, interpolation_mode, padding_mode, align_corners)


@composite(method=False, samples=on(real(1, 1, 2, 3, 2), real(1, 1, 2, 2, 3, low=-0.9, high=0.8), 0, 2, False))
def grid_sampler_3d(
    input: Tensor, grid: Tensor, interpolation_mode: int, padding_mode: int, align_corners: bool
) -> Tensor:
    """:func:`grid_sampler` of volumes."""
    return grid_sampler(input, grid, interpolation_mode, padding_mode, align_corners)


def _places(count: int, align_corners: bool, dtype: Any) -> Any:
    """*count* coordinates between -1 and 1: the middles of elements, or from end to end."""
    if count <= 1:
        return np.zeros(count, dtype=dtype)
    ends = 1.0 if align_corners else (count - 1) / count
    return np.linspace(-ends, ends, count, dtype=dtype)


@composite(method=False, samples=each(on(real(2, 2, 3), (2, 1, 3, 2), False), on(real(1, 3, 4), (1, 1, 2, 1, 3), True)))
def affine_grid(theta: Tensor, size: Sequence[int], align_corners: bool | None = None) -> Tensor:
    """The grid, for :func:`grid_sample`, of images or volumes mapped by the affine maps *theta*.

    Args:
        theta: (N, 2, 3) for images or (N, 3, 4) for volumes, floating.
        size: that of the result of ``grid_sample``: (N, C, H, W) or (N, C, D, H, W).
        align_corners: -1 and 1 are the middles of the outermost elements, not their edges.

    Raises:
        ValueError: *theta* of another shape or type, or an empty size.
        NotImplementedError: a size of another number of dimensions.

    Example:
        >>> import allgrad as torch
        >>> torch.nn.functional.affine_grid(torch.eye(2, 3)[None], (1, 1, 1, 2), align_corners=True)
        tensor([[[[-1.,  0.],
                  [ 1.,  0.]]]])
    """
    if not theta.is_floating_point():
        raise ValueError(f"Expected theta to have floating point type, but got {theta.dtype}")
    sizes = tuple(int(n) for n in size)
    if len(sizes) not in (4, 5):
        raise NotImplementedError(
            f"affine_grid only supports 4D and 5D sizes, for 2D and 3D affine transforms, respectively. Got size {sizes}."
        )
    dims = len(sizes) - 2
    if theta._array.shape != (sizes[0], dims, dims + 1):
        raise ValueError(
            f"Expected a batch of {dims}D affine matrices of shape {sizes[0]}x{dims}x{dims + 1} for size {sizes}. "
            f"Got {list(theta.shape)}."
        )
    if min(sizes) <= 0:
        raise ValueError(f"Expected non-zero, positive output size. Got {sizes}")
    steps = [_places(n, bool(align_corners), theta._array.dtype) for n in sizes[2:]]
    axes = np.meshgrid(*steps, indexing="ij")
    rows = np.stack([*axes[::-1], np.ones_like(axes[0])], -1).reshape(1, -1, dims + 1)
    return reshape(matmul(Tensor._wrap(rows), transpose(theta, 1, 2)), (sizes[0], *sizes[2:], dims))
