"""Max pooling undone: elements put where their greatest ones stood, zeros elsewhere."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..batching import anywhere, first_where, folding
from ..kernels.windows import Sizes
from ..registry import Array, Index, composite, operation
from ..registry.samples import each, on, real
from ..tensors.tensor import Tensor
from .geometry import Size, batched, each_dimension
from .pooling import gather_flat

_LINE = np.array([[[1, 2], [0, 3]]])
_PLANE = np.array([[[[1, 7], [8, 11]]]])
_VOLUME = np.array([[[[[0, 5]]]]])


@operation(
    lambda g, index: gather_flat(g, index),
    node_name=lambda node: f"MaxUnpool{len(node._saved_index.shape) - 2}DBackward0",
    batching=folding(0, 1, shape=2),
    public=False,
    samples=on(real(1, 1, 2, 2), _PLANE, (1, 1, 4, 4)),
)
def put_flat(input: Array, index: Index, shape: tuple[int, ...]) -> Array:
    """Zeros of *shape* with *input* (N, C, …) at the flat *index* into each image; the last of equal ones stays."""
    n, c, *size = shape
    length = int(np.prod(size))
    result = np.zeros((n, c, length), dtype=input.dtype)
    count = int(np.prod(index.shape[2:]))
    np.put_along_axis(result, index.reshape(n, c, count), input.reshape(n, c, count), 2)
    return result.reshape(shape)


def _unpooled_size(
    name: str, size: Sizes, kernel: Sizes, stride: Sizes, padding: Sizes, asked: Sequence[int] | None
) -> Sizes:
    """The size before pooling: the one *asked* for, or that without anything left over.

    Raises:
        ValueError: one that pooling does not make *size* of.
    """
    exact = tuple((n - 1) * s + k - 2 * p for n, k, s, p in zip(size, kernel, stride, padding, strict=True))
    if asked is None:
        return exact
    wanted = tuple(asked)[2:] if len(asked) == len(exact) + 2 else tuple(asked)
    if len(wanted) != len(exact):
        raise ValueError(
            f"{name}: output_size should be a sequence containing {len(exact)} or {len(exact) + 2} elements, but it has "
            f"a length of '{len(asked)}'"
        )
    for dim, (n, e, s) in enumerate(zip(wanted, exact, stride, strict=True)):
        if not e - s < n < e + s:
            raise ValueError(f'{name}: invalid output_size "{wanted}" (dim {dim} must be between {e - s} and {e + s})')
    return wanted


def _max_unpool(
    dims: int,
    input: Tensor,
    indices: Tensor,
    kernel_size: Size,
    stride: Size | None,
    padding: Size,
    output_size: Sequence[int] | None,
) -> Tensor:
    name = f"max_unpool{dims}d"
    if indices._array.dtype != np.int64:
        raise RuntimeError(f"{name}: elements in indices should be type int64 but got: {indices.dtype}")
    if indices._array.shape != input._array.shape:
        raise RuntimeError(
            f"{name}: Expected shape of indices to be same as that of the input tensor ({list(input.shape)}) but got "
            f"indices tensor with shape: {list(indices.shape)}"
        )
    input, alone = batched(input, dims, name)
    indices = indices.unsqueeze(0) if alone else indices
    kernel = each_dimension(kernel_size, dims, name, "kernel_size")
    steps = each_dimension(stride, dims, name, "stride") if stride not in (None, (), []) else kernel
    margin = each_dimension(padding, dims, name, "padding")
    n, c, *size = input._array.shape
    target = _unpooled_size(name, tuple(size), kernel, steps, margin, output_size)
    flat = indices._array
    wrong = (flat < 0) | (flat >= np.prod(target))
    if anywhere(wrong):
        raise RuntimeError(
            f"{name}: Found an invalid max index: {first_where(flat, wrong)} (output volumes are of size "
            f"{'x'.join(map(str, target))})"
        )
    result = put_flat(input, indices, (n, c, *target))
    return result.squeeze(0) if alone else result


@composite(method=False, samples=each(on(real(1, 2, 2), _LINE, 2), on(real(2, 2), _LINE[0], 3, 2, output_size=(5,))))
def max_unpool1d(
    input: Tensor,
    indices: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    output_size: Sequence[int] | None = None,
) -> Tensor:
    """Sequences of zeros with *input* (N, C, L) or (C, L) at *indices*: as ``max_unpool2d``, for one dimension.

    >>> import allgrad as torch
    >>> torch.nn.functional.max_unpool1d(torch.tensor([[3.0, 2.0]]), torch.tensor([[1, 2]]), 2)
    tensor([[0., 3., 2., 0.]])
    """
    return _max_unpool(1, input, indices, kernel_size, stride, padding, output_size)


@composite(
    method=False, samples=each(on(real(1, 1, 2, 2), _PLANE, 2), on(real(1, 2, 2), _PLANE[0], 2, output_size=(5, 4)))
)
def max_unpool2d(
    input: Tensor,
    indices: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    output_size: Sequence[int] | None = None,
) -> Tensor:
    """Images of zeros with *input* (N, C, H, W) or (C, H, W) at *indices*, as ``max_pool2d`` returned them.

    Args:
        input: what was pooled.
        indices: where in its image (flat, int64) each element goes.
        kernel_size: that of the pooling.
        stride: that of the pooling; the window's size by default.
        padding: that of the pooling.
        output_size: the size before pooling, with or without batch and channels, where several are possible.

    Raises:
        RuntimeError: indices of another type or shape, or out of range.
        ValueError: an *output_size* that pooling does not make that of *input* of.

    Example:
        >>> import allgrad as torch
        >>> values, indices = torch.nn.functional.max_pool2d(torch.arange(16.0).reshape(1, 4, 4), 2, return_indices=True)
        >>> torch.nn.functional.max_unpool2d(values, indices, 2)[0, 1]
        tensor([0., 5., 0., 7.])
    """
    return _max_unpool(2, input, indices, kernel_size, stride, padding, output_size)


@composite(method=False, samples=on(real(1, 1, 1, 1, 2), _VOLUME, (1, 2, 2)))
def max_unpool3d(
    input: Tensor,
    indices: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    output_size: Sequence[int] | None = None,
) -> Tensor:
    """Volumes of zeros with *input* (N, C, D, H, W) or (C, D, H, W) at *indices*: as ``max_unpool2d``, for three."""
    return _max_unpool(3, input, indices, kernel_size, stride, padding, output_size)
