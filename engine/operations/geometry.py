"""What users say of windows (kernel, stride, padding, dilation), made one number for each dimension, and checked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..kernels.windows import Geometry, output_size
from ..tensors.tensor import Tensor

Sizes = tuple[int, ...]
Size = int | Sequence[int]


def each_dimension(value: Any, dims: int, operation: str, name: str) -> Sizes:
    """*value* for each of *dims* dimensions: one number for all of them, or one each.

    Raises:
        TypeError: neither whole numbers nor a sequence of them.
        RuntimeError: another number of them than 1 or *dims*.
    """
    found = tuple(value) if isinstance(value, (tuple, list)) else (value,)
    try:
        sizes = tuple(n.__index__() for n in found)
    except AttributeError:
        raise TypeError(
            f"{operation}(): argument '{name}' must be an int or a tuple of {dims} ints, found {value!r}"
        ) from None
    if len(sizes) == dims:
        return sizes
    if len(sizes) != 1:
        raise RuntimeError(
            f"{operation}: expected {name} to be a single integer value or a list of {dims} values to match the "
            f"dimensions, but got {name}={list(sizes)}"
        )
    return sizes * dims


def batched(input: Tensor, dims: int, operation: str) -> tuple[Tensor, bool]:
    """*input* (N, C, …) as it is, or (C, …) as a batch of one, and whether it was made one.

    Raises:
        RuntimeError: another number of dimensions.
    """
    count = input._array.ndim
    if count not in (dims + 1, dims + 2):
        raise RuntimeError(
            f"Expected {dims + 1}D (unbatched) or {dims + 2}D (batched) input to {operation}, but got input of size: "
            f"{list(input.shape)}"
        )
    return (input, False) if count == dims + 2 else (input.unsqueeze(0), True)


def check_not_empty(input: Tensor, operation: str, channels_may_be_empty: bool = False) -> None:
    """Refuse batches (N, C, …) of images without an element: only the batch itself may be empty."""
    shape = input._array.shape
    if 0 in shape[2 if channels_may_be_empty else 1 :]:
        raise RuntimeError(
            f"{operation}(): Expected input to have non-zero size for non-batch dimensions, but input has sizes "
            f"{list(shape)}"
        )


def check_steps(operation: str, kernel: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes) -> None:
    """Refuse windows that are empty, do not move on, or lie on less than the image."""
    if min(kernel) < 1:
        raise RuntimeError(f"{operation}: kernel size should be greater than zero, but got {list(kernel)}")
    if min(stride) < 1:
        raise RuntimeError(f"{operation}: stride should be greater than zero, but got {list(stride)}")
    if min(padding) < 0:
        raise RuntimeError(f"{operation}: negative padding is not supported, found {list(padding)}")
    if min(dilation) < 1:
        raise RuntimeError(f"{operation}: dilation should be greater than zero, but got {list(dilation)}")


def pooling_geometry(
    input: Tensor,
    operation: str,
    kernel_size: Size,
    stride: Size | None,
    padding: Size,
    dilation: Size = 1,
    ceil_mode: bool = False,
) -> Geometry:
    """The windows of a pooling of *input* (N, C, …); *stride* defaults to the kernel's size.

    Raises:
        RuntimeError: sizes that are not positive, padding of more than half a window, or no window that fits.
    """
    size = input._array.shape[2:]
    dims = len(size)
    kernel = each_dimension(kernel_size, dims, operation, "kernel_size")
    moves = stride is not None and stride != () and stride != []
    steps = each_dimension(stride, dims, operation, "stride") if moves else kernel
    margin = each_dimension(padding, dims, operation, "padding")
    gaps = each_dimension(dilation, dims, operation, "dilation")
    check_steps(operation, kernel, steps, margin, gaps)
    if any(p > (d * (k - 1) + 1) // 2 for p, k, d in zip(margin, kernel, gaps, strict=True)):
        raise RuntimeError(
            f"{operation}: pad should be at most half of effective kernel size, but got pad={list(margin)}, "
            f"kernel_size={list(kernel)} and dilation={list(gaps)}"
        )
    counts = output_size(size, kernel, steps, margin, gaps, ceil_mode)
    if min(counts) < 1:
        raise RuntimeError(
            f"{operation}: Given input size: {list(size)}, padding {list(margin)} and kernel size {list(kernel)}. "
            f"Calculated output size: {list(counts)}. Output size is too small"
        )
    return Geometry(kernel, steps, margin, gaps, counts)
