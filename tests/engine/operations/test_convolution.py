"""Convolution: its values by the definition, its margins, its types, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import allgrad as torch
from allgrad import Tensor
from allgrad.nn import functional as F

Array = np.ndarray[Any, Any]


def by_definition(x: Array, w: Array, stride: int, padding: int, dilation: int) -> Array:
    """The cross-correlation of one group, one element at a time."""
    dims = x.ndim - 2
    wide = np.pad(x, [(0, 0), (0, 0)] + [(padding, padding)] * dims)
    counts = [(n - dilation * (k - 1) - 1) // stride + 1 for n, k in zip(wide.shape[2:], w.shape[2:], strict=True)]
    result = np.zeros((x.shape[0], w.shape[0], *counts), dtype=np.result_type(x, w))
    for place in np.ndindex(*counts):
        reach = [slice(i * stride, i * stride + dilation * (k - 1) + 1, dilation)
                 for i, k in zip(place, w.shape[2:], strict=True)]  # fmt: skip
        window: Array = wide[(slice(None), slice(None), *reach)]
        result[(slice(None), slice(None), *place)] = np.tensordot(window, w, (range(1, dims + 2), range(1, dims + 2)))
    return result


@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize(("stride", "padding", "dilation"), [(1, 0, 1), (2, 1, 1), (1, 2, 2), (3, 1, 2)])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "complex128"])
def test_convolution_in_every_number_of_dimensions_is_its_definition(
    dims: int, stride: int, padding: int, dilation: int, dtype: str
) -> None:
    generator = np.random.default_rng(3)
    x = generator.integers(-4, 5, (2, 3, *(6, 5, 4)[:dims])).astype(dtype)
    w = generator.integers(-4, 5, (4, 3, *(2, 3, 1)[:dims])).astype(dtype)
    found = getattr(F, f"conv{dims}d")(torch.from_numpy(x), torch.from_numpy(w), None, stride, padding, dilation)
    np.testing.assert_array_equal(found.numpy(), by_definition(x, w, stride, padding, dilation))
    assert found.numpy().dtype == dtype


def test_groups_convolve_their_channels_apart() -> None:
    x, w = torch.randn(2, 4, 5, 5), torch.randn(6, 2, 3, 3)
    apart = torch.cat([F.conv2d(x[:, :2], w[:3]), F.conv2d(x[:, 2:], w[3:])], 1)
    np.testing.assert_allclose(F.conv2d(x, w, groups=2).numpy(), apart.numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kernel", [1, 2, 3, 4])
@pytest.mark.parametrize("dilation", [1, 2])
def test_same_padding_keeps_the_length_and_adds_the_odd_zero_at_the_end(kernel: int, dilation: int) -> None:
    x, total = torch.arange(1.0, 7.0).reshape(1, 1, 6), dilation * (kernel - 1)
    found = F.conv1d(x, torch.ones(1, 1, kernel), padding="same", dilation=dilation)
    padded = F.pad(x, (total // 2, total - total // 2))
    assert found.tolist() == F.conv1d(padded, torch.ones(1, 1, kernel), dilation=dilation).tolist()
    assert found.shape == x.shape


@pytest.mark.parametrize(("stride", "more", "dilation"), [(1, 0, 1), (2, 1, 1), (1, 2, 3), (3, 2, 2)])
def test_the_transpose_is_the_gradient_of_the_convolution(stride: int, more: int, dilation: int) -> None:
    g, w = torch.randn(2, 3, 4, dtype=torch.float64), torch.randn(3, 2, 3, dtype=torch.float64)
    found = F.conv_transpose1d(g, w, None, stride, 1, more, 1, dilation)
    x = torch.zeros(*found.shape, dtype=torch.float64, requires_grad=True)
    F.conv1d(x, w, None, stride, 1, dilation)[..., :4].backward(g)
    assert x.grad is not None
    np.testing.assert_allclose(found.numpy(), x.grad.numpy(), rtol=1e-12, atol=1e-12)


def test_an_image_without_batch_and_an_empty_batch_are_convolved() -> None:
    w = torch.randn(4, 2, 3, 3, requires_grad=True)
    assert F.conv2d(torch.randn(2, 5, 6), w).shape == (4, 3, 4)
    assert F.conv_transpose2d(torch.randn(4, 5, 6), w).shape == (2, 7, 8)
    nothing = F.conv2d(torch.randn(0, 2, 5, 6), w)
    nothing.sum().backward()
    assert nothing.shape == (0, 4, 3, 4)
    assert w.grad is not None
    assert not w.grad.any()


def image(*shape: int) -> Tensor:
    return torch.zeros(*shape)


@pytest.mark.parametrize(
    ("attempt", "message"),
    [
        (lambda: F.conv2d(image(1, 2, 4, 4), image(3, 3, 2, 2)), "to have 3 channels, but got 2 channels"),
        (lambda: F.conv2d(image(1, 2, 4, 4), image(3, 1, 2, 2), groups=2), "divisible by 2 at dimension 0"),
        (lambda: F.conv2d(image(1, 2, 4, 4), image(3, 2, 2, 2), groups=0), "non-positive groups"),
        (lambda: F.conv2d(image(1, 2, 4, 4), image(3, 2, 5, 2)), r"\(4 x 4\). Kernel size: \(5 x 2\)"),
        (lambda: F.conv2d(image(1, 2, 4, 4), image(3, 2, 2)), "a weight of 4 dimensions, found"),
        (lambda: F.conv2d(image(4, 4), image(3, 2, 2, 2)), r"3D \(unbatched\) or 4D"),
        (lambda: F.conv1d(image(1, 2, 4, 4), image(3, 2, 2)), r"2D \(unbatched\) or 3D"),
        (lambda: F.conv2d(image(1, 2, 4, 4), image(3, 2, 2, 2), image(2)), "1-dimensional with 3 elements"),
        (lambda: F.conv2d(image(1, 2, 4, 4), image(3, 2, 2, 2).double()), "of one type, found torch.float32"),
        (lambda: F.conv2d(image(1, 2, 4, 4), image(3, 2, 2, 2), stride=(1, 2, 3)), "or a list of 2 values"),
        (lambda: F.conv2d(image(1, 2, 4, 4), image(3, 2, 2, 2), stride=0), "stride should be greater than zero"),
        (lambda: F.conv2d(image(1, 2, 4, 4), image(3, 2, 2, 2), padding=-1), "negative padding"),
        (lambda: F.conv2d(image(1, 2, 4, 4), image(3, 2, 2, 2), dilation=0), "dilation should be greater"),
        (lambda: F.conv2d(image(1, 2, 4, 4), image(3, 2, 2, 2), padding="half"), "Invalid padding string: 'half'"),
        (lambda: F.conv2d(image(1, 2, 4, 4), image(3, 2, 2, 2), stride=2, padding="same"), "strided"),
        (lambda: F.conv_transpose1d(image(1, 2, 4), image(3, 2, 2)), "transposed=1, .* 3 channels, but got 2"),
        (lambda: F.conv_transpose1d(image(1, 2, 4), image(2, 2, 2), output_padding=1), "smaller than either stride"),
        (lambda: F.conv_transpose1d(image(1, 2, 1), image(2, 2, 2), padding=2), "Output size is too small"),
    ],
)
def test_what_does_not_fit_is_refused_with_what_was_found(attempt: Callable[[], Any], message: str) -> None:
    with pytest.raises(RuntimeError, match=message):
        attempt()


def test_sizes_that_are_no_whole_numbers_are_a_type_error() -> None:
    with pytest.raises(TypeError, match="argument 'stride' must be an int"):
        F.conv2d(image(1, 2, 4, 4), image(3, 2, 2, 2), stride=1.5)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="argument 'padding' must be an int"):
        F.conv_transpose2d(image(1, 2, 4, 4), image(2, 3, 2, 2), padding="same")  # type: ignore[arg-type]
