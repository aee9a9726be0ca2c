"""Convolution of sequences, images and volumes, and its transpose."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..kernels.convolution import correlate, correlate_filters, correlate_images
from ..kernels.windows import Geometry, output_size
from ..registry import Array, composite, operation
from ..registry.samples import each, on, real
from ..tensors.tensor import Tensor
from .convolution_batches import by_groups, filters_of_each
from .geometry import Size, Sizes, batched, check_steps, each_dimension
from .padding import constant_pad_nd

_PLANE = Geometry((3, 2), (1, 1), (0, 0), (1, 1), (3, 3))  # of filters 3 × 2 on images 5 × 4
_GROUPED = Geometry((2, 2), (1, 1), (1, 0), (2, 1), (5, 4))  # of dilated filters 2 × 2 on images 5 × 5
_STRIDED = Geometry((3, 3), (2, 2), (1, 1), (1, 1), (3, 3))  # of filters 3 × 3 on images 5 × 5


@operation(
    lambda g, weight, input_shape, geometry, groups: convolve_images(g, weight, input_shape, geometry, groups),
    lambda g, input, weight_shape, geometry, groups: convolve_filters(g, input, weight_shape, geometry, groups),
    node_name="ConvolutionBackward0",
    batching=by_groups,
    public=False,
    samples=each(
        on(real(2, 3, 5, 4), real(4, 3, 3, 2), _PLANE, 1),
        on(real(1, 2, 5, 5), real(2, 2, 3, 3), _STRIDED, 1),
        on(real(1, 4, 5, 5), real(4, 2, 2, 2), _GROUPED, 2),
    ),
)
def convolve(input: Array, weight: Array, geometry: Geometry, groups: int) -> Array:
    """The cross-correlation of images (N, C, …) with filters (O, C / groups, …)."""
    return correlate(input, weight, geometry, groups)


def _channel_sums(g: Any) -> Any:
    """The sum of *g* (N, C, …) over all but channels."""
    return np.sum(g, axis=(0, *range(2, len(tuple(g.shape)))))


@operation(
    lambda g, weight, input_shape, geometry, groups: convolve_images(g, weight, input_shape, geometry, groups),
    lambda g, input, weight_shape, geometry, groups: convolve_filters(g, input, weight_shape, geometry, groups),
    _channel_sums,
    node_name="ConvolutionBackward0",
    batching=by_groups,
    public=False,
    samples=each(
        on(real(2, 3, 5, 4), real(4, 3, 3, 2), real(4), _PLANE, 1),
        on(real(1, 4, 5, 5), real(4, 2, 2, 2), real(4), _GROUPED, 2),
    ),
)
def convolve_and_add(input: Array, weight: Array, bias: Array, geometry: Geometry, groups: int) -> Array:
    """``convolve``, plus a number for each channel, added while the result is in the cache."""
    return correlate(input, weight, geometry, groups, bias)


@operation(
    lambda g, weight, geometry, groups: convolve(g, weight, geometry, groups),
    lambda g, input, weight_shape, geometry, groups: convolve_filters(input, g, weight_shape, geometry, groups),
    node_name="ConvolutionBackward0",
    batching=by_groups,
    public=False,
    samples=on(real(1, 2, 3, 3), real(2, 3, 3, 3), (1, 3, 5, 5), _STRIDED, 1),
)
def convolve_images(input: Array, weight: Array, shape: tuple[int, ...], geometry: Geometry, groups: int) -> Array:
    """The gradient with respect to images of *shape*, from the gradient of the result of ``convolve``."""
    return correlate_images(input, weight, shape, geometry, groups)


@operation(
    lambda g, input, geometry, groups: convolve(input, g, geometry, groups),
    lambda g, grad, input_shape, geometry, groups: convolve_images(grad, g, input_shape, geometry, groups),
    batching=filters_of_each,
    public=False,
    samples=on(real(1, 2, 3, 3), real(1, 3, 5, 5), (2, 3, 3, 3), _STRIDED, 1),
)
def convolve_filters(grad: Array, input: Array, shape: tuple[int, ...], geometry: Geometry, groups: int) -> Array:
    """The gradient with respect to filters of *shape*, from the gradient of the result of ``convolve``."""
    return correlate_filters(grad, input, shape, geometry, groups)


def _check_filters(name: str, dims: int, input: Tensor, weight: Tensor, groups: int, transposed: bool) -> None:
    """Refuse filters that do not belong to images (N, C, …)."""
    shape, filters = list(input.shape), list(weight.shape)
    if len(filters) != dims + 2:
        raise RuntimeError(f"{name}: expected a weight of {dims + 2} dimensions, found {filters}")
    if groups < 1:
        raise RuntimeError(f"{name}: non-positive groups is not supported, found {groups}")
    if filters[0] < groups or filters[0] % groups:
        raise RuntimeError(
            f"Given groups={groups}, expected weight to be divisible by {groups} at dimension 0, and not empty there, "
            f"but got weight of size {filters} instead"
        )
    expected = filters[0] if transposed else filters[1] * groups
    if shape[1] != expected:
        given = "transposed=1" if transposed else f"groups={groups}"
        raise RuntimeError(
            f"Given {given}, weight of size {filters}, expected input{shape} to have {expected} channels, but got "
            f"{shape[1]} channels instead"
        )
    if input.dtype is not weight.dtype:
        raise RuntimeError(
            f"{name}: expected input and weight of one type, found {input.dtype} and {weight.dtype}: convert one of "
            "them with .to()"
        )


def _check_bias(weight: Tensor, bias: Tensor | None, channels: int) -> None:
    if bias is None:
        return
    if bias._array.shape != (channels,):
        raise RuntimeError(
            f"Given weight of size {list(weight.shape)}, expected bias to be 1-dimensional with {channels} elements, "
            f"but got bias of size {list(bias.shape)} instead"
        )
    if bias.dtype is not weight.dtype:
        raise RuntimeError(f"Input type ({weight.dtype}) and bias type ({bias.dtype}) should be the same")


def _finished(result: Tensor, bias: Tensor | None, dims: int, alone: bool) -> Tensor:
    """*result* with *bias* added to its channels, and without the batch that was made for it."""
    if bias is not None:
        result = result + bias.reshape((-1,) + (1,) * dims)
    return result.squeeze(0) if alone else result


def _convolution(
    dims: int,
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Size,
    padding: Size | str,
    dilation: Size,
    groups: int,
) -> Tensor:
    name = f"conv{dims}d"
    input, alone = batched(input, dims, name)
    _check_filters(name, dims, input, weight, groups, False)
    _check_bias(weight, bias, weight._array.shape[0])
    kernel = weight._array.shape[2:]
    steps = each_dimension(stride, dims, name, "stride")
    gaps = each_dimension(dilation, dims, name, "dilation")
    if isinstance(padding, str):
        input, margin = _pad_by_name(input, name, padding, kernel, steps, gaps)
    else:
        margin = each_dimension(padding, dims, name, "padding")
    check_steps(name, kernel, steps, margin, gaps)
    size = input._array.shape[2:]
    counts = output_size(size, kernel, steps, margin, gaps)
    if min(counts) < 1:
        wide = " x ".join(str(n + 2 * p) for n, p in zip(size, margin, strict=True))
        reach = " x ".join(str(d * (k - 1) + 1) for k, d in zip(kernel, gaps, strict=True))
        raise RuntimeError(
            f"Calculated padded input size per channel: ({wide}). Kernel size: ({reach}). "
            "Kernel size can't be greater than actual input size"
        )
    if 0 in size:
        raise RuntimeError(
            f"Only zero batch or zero channel inputs are supported, but got input shape: {list(input.shape)}"
        )
    geometry = Geometry(kernel, steps, margin, gaps, counts)
    if bias is not None and bias._array.dtype == weight._array.dtype == input._array.dtype:
        return _finished(convolve_and_add(input, weight, bias, geometry, groups), None, dims, alone)
    return _finished(convolve(input, weight, geometry, groups), bias, dims, alone)


def _pad_by_name(
    input: Tensor, name: str, padding: str, kernel: Sizes, stride: Sizes, dilation: Sizes
) -> tuple[Tensor, Sizes]:
    """The input, padded where the two ends differ, and the padding that remains to be done."""
    none = (0,) * len(kernel)
    if padding == "valid":
        return input, none
    if padding != "same":
        raise RuntimeError(f"{name}: Invalid padding string: {padding!r}; it is a size, 'valid' or 'same'")
    if max(stride) > 1:
        raise RuntimeError("padding='same' is not supported for strided convolutions")
    total = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
    if not any(n % 2 for n in total):
        return input, tuple(n // 2 for n in total)
    sides = [side for n in reversed(total) for side in (n // 2, n - n // 2)]
    return constant_pad_nd(input, sides), none


def _transposed(
    dims: int,
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Size,
    padding: Size,
    output_padding: Size,
    groups: int,
    dilation: Size,
) -> Tensor:
    name = f"conv_transpose{dims}d"
    input, alone = batched(input, dims, name)
    _check_filters(name, dims, input, weight, groups, True)
    channels = weight._array.shape[1] * groups
    _check_bias(weight, bias, channels)
    kernel, counts = weight._array.shape[2:], input._array.shape[2:]
    steps = each_dimension(stride, dims, name, "stride")
    margin = each_dimension(padding, dims, name, "padding")
    more = each_dimension(output_padding, dims, name, "output_padding")
    gaps = each_dimension(dilation, dims, name, "dilation")
    check_steps(name, kernel, steps, margin, gaps)
    if min(more) < 0 or any(m >= max(s, d) for m, s, d in zip(more, steps, gaps, strict=True)):
        raise RuntimeError(
            f"{name}: output padding must be smaller than either stride or dilation, and not negative, but got "
            f"output_padding {list(more)}, stride {list(steps)} and dilation {list(gaps)}"
        )
    geometry = Geometry(kernel, steps, margin, gaps, counts)
    size = [
        (n - 1) * s - 2 * p + d * (k - 1) + m + 1
        for k, s, p, d, n, m in zip(*geometry, more, strict=True)
    ]  # fmt: skip
    if min(size) < 1 or 0 in counts:
        raise RuntimeError(
            f"{name}: Given input size per channel: {list(counts)}. Calculated output size per channel: {size}. "
            "Output size is too small"
        )
    shape = (input._array.shape[0], channels, *size)
    return _finished(convolve_images(input, weight, shape, geometry, groups), bias, dims, alone)


@composite(
    method=False,
    samples=each(
        on(real(2, 3, 6), real(4, 3, 3), real(4)),
        on(real(4, 6), real(2, 2, 2), None, 2, 1, 2, 2),
        on(real(1, 2, 5), real(3, 2, 2), padding="same"),
    ),
)
def conv1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Size = 1,
    padding: Size | str = 0,
    dilation: Size = 1,
    groups: int = 1,
) -> Tensor:
    """The cross-correlation of sequences (N, C, L) or (C, L) with filters (O, C / groups, k), plus *bias* (O).

    Arguments, result and errors are as those of ``conv2d``, for one dimension.

    >>> import allgrad as torch
    >>> torch.nn.functional.conv1d(torch.arange(5.0).reshape(1, 1, 5), torch.ones(1, 1, 3))
    tensor([[[3., 6., 9.]]])
    """
    return _convolution(1, input, weight, bias, stride, padding, dilation, groups)


@composite(method=False, samples=on(real(5, 2, 3), real(2, 3, 4), real(4), 1))
def conv_tbc(input: Tensor, weight: Tensor, bias: Tensor, pad: int = 0) -> Tensor:
    """The cross-correlation of sequences (L, N, C) with filters (k, C, O), plus *bias* (O): time, batch, channels.

    >>> import allgrad as torch
    >>> torch.conv_tbc(torch.ones(4, 1, 1), torch.ones(3, 1, 1), torch.zeros(1)).shape
    torch.Size([2, 1, 1])
    """
    return conv1d(input.permute(1, 2, 0), weight.permute(2, 1, 0), bias, padding=pad).permute(2, 0, 1)


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
    stride: Size = 1,
    padding: Size | str = 0,
    dilation: Size = 1,
    groups: int = 1,
) -> Tensor:
    """The cross-correlation of images (N, C, H, W) or (C, H, W) with filters (O, C / groups, kh, kw), plus *bias* (O).

    Args:
        input: images, of the type that *weight* has.
        weight: filters.
        bias: a number added to each channel of the result.
        stride: steps between neighbouring results: a number, or one for each dimension.
        padding: zeros around height and width: a number, a pair, "valid" (none) or "same" (the size stays).
        dilation: steps between the elements of a filter.
        groups: channels are divided into this many groups that do not mix.

    Returns:
        (N, O, H', W'), with H' = (H + 2 · padding - dilation · (kh - 1) - 1) // stride + 1.

    Raises:
        RuntimeError: shapes, types or sizes that do not fit, or a filter greater than the padded image.

    Example:
        >>> import allgrad as torch
        >>> torch.nn.functional.conv2d(torch.ones(1, 1, 3, 3), torch.ones(1, 1, 2, 2)).shape
        torch.Size([1, 1, 2, 2])
    """
    return _convolution(2, input, weight, bias, stride, padding, dilation, groups)


@composite(
    method=False,
    samples=each(
        on(real(1, 2, 3, 3, 2), real(2, 2, 2, 2, 1), real(2), padding=(0, 1, 0)),
        on(real(2, 2, 3, 3), real(2, 1, 1, 2, 2), groups=2, stride=(1, 2, 1)),
    ),
)
def conv3d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Size = 1,
    padding: Size | str = 0,
    dilation: Size = 1,
    groups: int = 1,
) -> Tensor:
    """The cross-correlation of volumes (N, C, D, H, W) or (C, D, H, W) with filters (O, C / groups, kd, kh, kw).

    Arguments, result and errors are as those of ``conv2d``, for three dimensions.

    >>> import allgrad as torch
    >>> torch.nn.functional.conv3d(torch.ones(1, 2, 4, 4, 4), torch.ones(3, 2, 2, 2, 2), stride=2).shape
    torch.Size([1, 3, 2, 2, 2])
    """
    return _convolution(3, input, weight, bias, stride, padding, dilation, groups)


@composite(
    method=False,
    samples=each(
        on(real(2, 3, 4), real(3, 2, 3), real(2)),
        on(real(4, 3), real(4, 1, 2), None, 2, 1, 1, 2),
        on(real(1, 2, 3), real(2, 1, 2), output_padding=2, dilation=3),
    ),
)
def conv_transpose1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Size = 1,
    padding: Size = 0,
    output_padding: Size = 0,
    groups: int = 1,
    dilation: Size = 1,
) -> Tensor:
    """The transposed convolution of sequences (N, C, L) or (C, L) with filters (C, O / groups, k), plus *bias* (O).

    Arguments, result and errors are as those of ``conv_transpose2d``, for one dimension.

    >>> import allgrad as torch
    >>> torch.conv_transpose1d(torch.tensor([[[1.0, 2.0]]]), torch.ones(1, 1, 2), stride=2)
    tensor([[[1., 1., 2., 2.]]])
    """
    return _transposed(1, input, weight, bias, stride, padding, output_padding, groups, dilation)


@composite(
    method=False,
    samples=each(
        on(real(1, 3, 3, 2), real(3, 2, 2, 3), real(2), padding=1),
        on(real(2, 3, 3), real(2, 2, 2, 2), None, (2, 1), 0, (1, 0)),
    ),
)
def conv_transpose2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Size = 1,
    padding: Size = 0,
    output_padding: Size = 0,
    groups: int = 1,
    dilation: Size = 1,
) -> Tensor:
    """The transposed convolution of images (N, C, H, W) or (C, H, W) with filters (C, O / groups, kh, kw).

    It is what ``conv2d`` of these arguments sends back to its input, so the size grows where *stride* is more than 1.

    Args:
        input: images, of the type that *weight* has.
        weight: filters.
        bias: a number added to each of the O channels of the result.
        stride: steps between what neighbouring elements of *input* are spread over.
        padding: rows and columns removed around the result.
        output_padding: rows and columns added at the end of the result, less than stride or dilation.
        groups: channels are divided into this many groups that do not mix.
        dilation: steps between the elements of a filter.

    Returns:
        (N, O, H', W'), with H' = (H - 1) · stride - 2 · padding + dilation · (kh - 1) + output_padding + 1.

    Raises:
        RuntimeError: shapes, types or sizes that do not fit.

    Example:
        >>> import allgrad as torch
        >>> torch.conv_transpose2d(torch.ones(1, 1, 3, 3), torch.ones(1, 4, 2, 2), stride=2).shape
        torch.Size([1, 4, 6, 6])
    """
    return _transposed(2, input, weight, bias, stride, padding, output_padding, groups, dilation)


@composite(method=False, samples=on(real(1, 2, 2, 2, 2), real(2, 1, 2, 1, 2), real(1), (2, 1, 1), (1, 0, 0), (1, 0, 0)))
def conv_transpose3d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Size = 1,
    padding: Size = 0,
    output_padding: Size = 0,
    groups: int = 1,
    dilation: Size = 1,
) -> Tensor:
    """The transposed convolution of volumes (N, C, D, H, W) or (C, D, H, W) with filters (C, O / groups, kd, kh, kw).

    Arguments, result and errors are as those of ``conv_transpose2d``, for three dimensions.

    >>> import allgrad as torch
    >>> torch.conv_transpose3d(torch.ones(1, 2, 2, 2, 2), torch.ones(2, 3, 2, 2, 2), stride=2).shape
    torch.Size([1, 3, 4, 4, 4])
    """
    return _transposed(3, input, weight, bias, stride, padding, output_padding, groups, dilation)
