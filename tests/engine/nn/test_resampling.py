"""Interpolation and shuffles: known values, adjoint gradients, printing, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import allgrad as torch
from allgrad import nn
from allgrad.nn import functional as F


@pytest.mark.parametrize("align_corners", [False, True])
def test_linear_interpolation_of_a_line_stays_on_the_line(align_corners: bool) -> None:
    line = torch.arange(5.0, dtype=torch.float64).reshape(1, 1, 5)
    found = F.interpolate(line, 9, mode="linear", align_corners=align_corners).flatten().numpy()
    expected = np.linspace(0, 4, 9) if align_corners else np.clip((np.arange(9) + 0.5) * 5 / 9 - 0.5, 0, 4)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
@pytest.mark.parametrize("antialias", [False, True])
def test_a_constant_image_stays_constant(mode: str, antialias: bool) -> None:
    image = torch.full((1, 1, 7, 5), 3.0, dtype=torch.float64)
    found = F.interpolate(image, (4, 8), mode=mode, antialias=antialias)
    np.testing.assert_allclose(found.numpy(), np.full((1, 1, 4, 8), 3.0), rtol=1e-12)


@pytest.mark.parametrize("mode", ["nearest", "nearest-exact", "bilinear", "bicubic", "area"])
def test_the_gradient_is_the_adjoint_of_the_map(mode: str) -> None:
    rng = np.random.default_rng(0)
    x = torch.from_numpy(rng.normal(size=(1, 2, 5, 4))).requires_grad_()
    y = F.interpolate(x, (3, 9), mode=mode)
    g = torch.from_numpy(rng.normal(size=y.shape))
    (back,) = torch.autograd.grad(y, x, g)
    assert float((back * x).sum()) == pytest.approx(float((g * y).sum()))


def test_an_element_that_is_not_finite_reaches_only_what_is_made_of_it() -> None:
    x = torch.zeros(1, 1, 6)
    x[0, 0, 0] = float("nan")
    found = F.interpolate(x, 12, mode="linear")[0, 0]
    assert torch.isnan(found).tolist() == [True] * 3 + [False] * 9


def test_whole_numbers_of_eight_bits_are_rounded() -> None:
    x = torch.tensor([[[[0, 255]]]], dtype=torch.uint8)
    found = F.interpolate(x, (1, 4), mode="bilinear")
    assert found.dtype is torch.uint8
    assert found.flatten().tolist() == [0, 64, 191, 255]


def test_pixel_unshuffle_undoes_pixel_shuffle() -> None:
    x = torch.arange(2.0 * 18 * 2 * 3).reshape(2, 18, 2, 3)
    assert nn.PixelShuffle(3)(x).shape == (2, 2, 6, 9)
    assert torch.equal(nn.PixelUnshuffle(3)(nn.PixelShuffle(3)(x)), x)


@pytest.mark.parametrize(
    ("module", "printed"),
    [
        (nn.Upsample(scale_factor=2), "Upsample(scale_factor=2.0, mode='nearest')"),
        (nn.Upsample((2, 3), mode="bilinear"), "Upsample(size=(2, 3), mode='bilinear')"),
        (
            nn.UpsamplingBilinear2d(scale_factor=(2, 3)),
            "UpsamplingBilinear2d(scale_factor=(2.0, 3.0), mode='bilinear')",
        ),
        (nn.UpsamplingNearest2d(4), "UpsamplingNearest2d(size=4, mode='nearest')"),
        (nn.ChannelShuffle(2), "ChannelShuffle(groups=2)"),
        (nn.PixelShuffle(2), "PixelShuffle(upscale_factor=2)"),
        (nn.PixelUnshuffle(2), "PixelUnshuffle(downscale_factor=2)"),
    ],
)
def test_a_module_prints_as_in_pytorch(module: nn.Module, printed: str) -> None:
    assert repr(module) == printed


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda x: F.interpolate(x), ValueError, "size=None and scale_factor=None"),
        (lambda x: F.interpolate(x, 2, 2.0), ValueError, "only one of them"),
        (lambda x: F.interpolate(x, (1, 2, 3)), ValueError, "2 spatial dimensions"),
        (lambda x: F.interpolate(x, 2, mode="linear"), NotImplementedError, "linear mode needs 3D input"),
        (lambda x: F.interpolate(x, 2, mode="sharp"), NotImplementedError, "'sharp'"),
        (lambda x: F.interpolate(x, 2, align_corners=True), ValueError, "found mode 'nearest'"),
        (lambda x: F.interpolate(x, 2, recompute_scale_factor=True), ValueError, "explicit size"),
        (lambda x: F.interpolate(x, 2, antialias=True), ValueError, "bilinear and bicubic"),
        (lambda x: F.interpolate(x, 0), RuntimeError, r"output \[0, 0\]"),
        (lambda x: F.interpolate(x.long(), 2), NotImplementedError, "int64"),
        (lambda x: F.pixel_shuffle(x, 2), RuntimeError, r"input.size\(-3\)=2 is not divisible by 4"),
        (lambda x: F.pixel_unshuffle(x, 2), RuntimeError, "height 3 is not"),
        (lambda x: F.channel_shuffle(x, 3), RuntimeError, "Got 2 channels and 3 groups"),
    ],
)
def test_what_does_not_fit_is_refused(call: Any, error: type, words: str) -> None:
    with pytest.raises(error, match=words):
        call(torch.zeros(1, 2, 3, 4))
