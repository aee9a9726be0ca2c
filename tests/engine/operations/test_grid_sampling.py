"""Sampling at a grid: the identity, what stands outside, gradients at the edge, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import allgrad as torch
from allgrad.nn import functional as F


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("mode", ["bilinear", "nearest", "bicubic"])
def test_the_grid_of_the_identity_gives_the_image_back(mode: str, align_corners: bool) -> None:
    image = torch.from_numpy(np.random.default_rng(0).normal(size=(2, 3, 4, 5)))
    identity = torch.eye(2, 3, dtype=torch.float64).expand(2, 2, 3)
    grid = F.affine_grid(identity, image.shape, align_corners)
    found = F.grid_sample(image, grid, mode, align_corners=align_corners)
    np.testing.assert_allclose(found.numpy(), image.numpy(), rtol=1e-12, atol=1e-13)


def test_a_volume_turned_by_a_half_is_reversed() -> None:
    volume = torch.arange(8.0, dtype=torch.float64).reshape(1, 1, 2, 2, 2)
    theta = torch.cat([-torch.eye(3, dtype=torch.float64), torch.zeros(3, 1, dtype=torch.float64)], 1)[None]
    found = F.grid_sample(volume, F.affine_grid(theta, volume.shape, False), align_corners=False)
    np.testing.assert_allclose(found.flatten().numpy(), np.arange(7.0, -1.0, -1.0), atol=1e-12)


@pytest.mark.parametrize(("padding_mode", "expected"), [("zeros", 0.0), ("border", 3.0), ("reflection", 1.0)])
def test_padding_says_what_stands_outside(padding_mode: str, expected: float) -> None:
    row = torch.tensor([[[[1.0, 2.0, 3.0]]]])
    outside = torch.tensor([[[[3.0, 0.0]]]])
    found = F.grid_sample(row, outside, padding_mode=padding_mode, align_corners=True)
    assert found.item() == expected


def test_beyond_the_border_the_grid_has_no_gradient() -> None:
    row = torch.tensor([[[[1.0, 2.0, 4.0]]]])
    grid = torch.tensor([[[[0.5, 0.0], [1.5, 0.0]]]], requires_grad=True)
    F.grid_sample(row, grid, padding_mode="border", align_corners=True).sum().backward()
    assert grid.grad is not None
    assert grid.grad[..., 0].flatten().tolist() == [2.0, 0.0]


def test_nearest_gives_the_grid_zeros_for_a_gradient() -> None:
    grid = torch.tensor([[[[0.3, 0.2]]]], requires_grad=True)
    F.grid_sample(torch.ones(1, 1, 2, 2), grid, "nearest", align_corners=False).sum().backward()
    assert grid.grad.tolist() == [[[[0.0, 0.0]]]]


def test_places_that_are_no_numbers_are_outside() -> None:
    grid = torch.tensor([[[[float("nan"), 0.0], [float("inf"), 0.0], [1e30, 0.0]]]])
    found = F.grid_sample(torch.ones(1, 1, 2, 2), grid, align_corners=False)
    assert found.flatten().tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda x, g: F.grid_sample(x, g, "cubic"), ValueError, "'cubic'"),
        (lambda x, g: F.grid_sample(x, g, padding_mode="wrap"), ValueError, "'wrap'"),
        (lambda x, g: F.grid_sample(x, g[..., :1]), RuntimeError, "size 2 in last dimension"),
        (lambda x, g: F.grid_sample(x, g[0]), RuntimeError, "same number of dimensions"),
        (lambda x, g: F.grid_sample(x.double(), g), RuntimeError, "float64 and torch.float32"),
        (lambda x, g: F.grid_sample(x.expand(2, 1, 3, 3), g), RuntimeError, "same batch size"),
        (lambda x, g: F.affine_grid(g[0], (1, 1, 2, 2)), ValueError, "of shape 1x2x3"),
        (lambda x, g: F.affine_grid(torch.ones(1, 2, 3), (1, 1, 2)), NotImplementedError, "4D and 5D"),
        (lambda x, g: F.affine_grid(torch.ones(1, 2, 3), (1, 1, 0, 2)), ValueError, "positive output size"),
        (lambda x, g: torch.grid_sampler_2d(x, g, 5, 0, True), RuntimeError, "found 5"),
    ],
)
def test_what_does_not_fit_is_refused(call: Any, error: type, words: str) -> None:
    with pytest.raises(error, match=words):
        call(torch.zeros(1, 1, 3, 3), torch.zeros(1, 2, 2, 2))
