"""Windows of images as columns, and columns added up to images."""

from __future__ import annotations

import math

import numpy as np

from ..batching import folding
from ..kernels.windows import Geometry, output_size, padded, sum_windows_back, windows
from ..registry import Array, composite, operation
from ..registry.samples import each, on, real
from ..tensors.tensor import Tensor
from .geometry import Size, Sizes, batched, check_not_empty, check_steps, each_dimension
from .pooling import refuse

_WINDOWS = Geometry((2, 3), (1, 1), (1, 0), (1, 1), (5, 2))  # of images 4 × 4


@operation(
    lambda g, input_shape, geometry: add_columns(g, input_shape, geometry),
    node_name="Im2ColBackward0",
    batching=folding(0),
    public=False,
    samples=on(real(1, 2, 4, 4), _WINDOWS),
)
def take_columns(input: Array, geometry: Geometry) -> Array:
    """The windows of images (N, C, …) as columns (N, C · area, windows)."""
    n, c = input.shape[:2]
    view = windows(padded(input, geometry), geometry)
    return np.ascontiguousarray(view).reshape(n, c * geometry.area, math.prod(geometry.counts))


@operation(
    lambda g, geometry: take_columns(g, geometry),
    node_name="Col2ImBackward0",
    batching=folding(0, shape=1),
    public=False,
    samples=on(real(1, 12, 10), (1, 2, 4, 4), _WINDOWS),
)
def add_columns(input: Array, shape: tuple[int, ...], geometry: Geometry) -> Array:
    """The transpose of ``take_columns``: columns added up in images of *shape*."""
    patches = input.reshape(*shape[:2], *geometry.kernel, *geometry.counts)
    return np.ascontiguousarray(sum_windows_back(patches, shape, geometry))


def _geometry(name: str, size: Sizes, kernel_size: Size, dilation: Size, padding: Size, stride: Size) -> Geometry:
    kernel = each_dimension(kernel_size, 2, name, "kernel_size")
    gaps = each_dimension(dilation, 2, name, "dilation")
    margin = each_dimension(padding, 2, name, "padding")
    steps = each_dimension(stride, 2, name, "stride")
    check_steps(name, kernel, steps, margin, gaps)
    counts = output_size(size, kernel, steps, margin, gaps)
    if min(counts) < 1:
        raise RuntimeError(
            f"{name}: Given spatial size {list(size)}, kernel_size={kernel}, dilation={gaps}, padding={margin}, "
            f"calculated shape of the array of sliding blocks as {counts}, but its components must be at least one"
        )
    return Geometry(kernel, steps, margin, gaps, counts)


@composite(
    method=False,
    namespace="nn.functional",
    samples=each(on(real(2, 1, 4, 3), 2), on(real(2, 4, 5), (2, 3), 1, (1, 0), (2, 1)), on(real(1, 1, 5, 5), 2, 2)),
)
def unfold(input: Tensor, kernel_size: Size, dilation: Size = 1, padding: Size = 0, stride: Size = 1) -> Tensor:
    """The windows of images (N, C, H, W) or (C, H, W) as columns: (N, C · kernel height · kernel width, windows).

    Args:
        input: images of floating-point or complex numbers.
        kernel_size: height and width of the windows.
        dilation: steps between the elements of a window.
        padding: zeros around height and width.
        stride: steps between neighbouring windows.

    Raises:
        RuntimeError: shapes or sizes that do not fit.

    Example:
        >>> import allgrad as torch
        >>> torch.nn.functional.unfold(torch.arange(6.0).reshape(1, 2, 3), 2)
        tensor([[0., 1.],
                [1., 2.],
                [3., 4.],
                [4., 5.]])
    """
    input, alone = batched(input, 2, "unfold")
    refuse(input, "unfold", "iu")
    check_not_empty(input, "unfold")
    result = take_columns(input, _geometry("unfold", input._array.shape[2:], kernel_size, dilation, padding, stride))
    return result.squeeze(0) if alone else result


@composite(
    method=False,
    namespace="nn.functional",
    samples=each(on(real(1, 4, 6), (4, 3), 2), on(real(12, 9), (4, 5), (2, 3), 1, (1, 0), (2, 1))),
)
def fold(
    input: Tensor, output_size: Size, kernel_size: Size, dilation: Size = 1, padding: Size = 0, stride: Size = 1
) -> Tensor:
    """Images of *output_size* that columns (N, C · kernel height · kernel width, windows) are added up in.

    It is what ``unfold`` of these arguments sends back to its input; the result is (N, C, H, W), or (C, H, W) of one.

    >>> import allgrad as torch
    >>> torch.nn.functional.fold(torch.ones(4, 2), (2, 3), 2)
    tensor([[[1., 2., 1.],
             [1., 2., 1.]]])
    """
    input, alone = batched(input, 1, "fold")
    refuse(input, "fold", "iu")
    size = each_dimension(output_size, 2, "fold", "output_size")
    geometry = _geometry("fold", size, kernel_size, dilation, padding, stride)
    n, rows, count = input._array.shape
    if not rows or rows % geometry.area:
        raise RuntimeError(
            "fold: Expected size of input's dimension 1 to be divisible by the product of kernel_size, but got "
            f"input.size(1)={rows} and kernel_size={geometry.kernel}"
        )
    if count != math.prod(geometry.counts):
        raise RuntimeError(
            f"fold: Given output_size={size}, kernel_size={geometry.kernel}, dilation={geometry.dilation}, "
            f"padding={geometry.padding}, stride={geometry.stride}, expected size of input's dimension 2 to match the "
            f"calculated number of sliding blocks {math.prod(geometry.counts)}, but got input.size(2)={count}"
        )
    result = add_columns(input, (n, rows // geometry.area, *size), geometry)
    return result.squeeze(0) if alone else result
