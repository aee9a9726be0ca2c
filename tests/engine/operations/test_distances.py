"""Distances and angles: the ways to compute them agree, and where they have no derivative theirs is PyTorch's."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest

import allgrad as torch
from allgrad.nn.functional import cosine_similarity, pairwise_distance, pdist


def numbers(*shape: int, seed: int = 0) -> Any:
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape))


def test_distances_by_product_and_by_difference_agree() -> None:
    results = []
    for mode in ("use_mm_for_euclid_dist", "donot_use_mm_for_euclid_dist"):
        a, b = numbers(2, 30, 4).requires_grad_(), numbers(1, 7, 4, seed=1).requires_grad_()
        distances = torch.cdist(a, b, compute_mode=mode)
        distances.square().mean().backward()
        assert a.grad is not None
        assert b.grad is not None
        results.append([distances.detach().numpy(), a.grad.numpy(), b.grad.numpy()])
    for found, expected in zip(*results, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


def test_distances_of_many_rows_need_no_array_of_all_differences() -> None:
    a = numbers(300, 200).requires_grad_()
    tracemalloc.start()
    torch.cdist(a, numbers(300, 200, seed=1)).sum().backward()
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 300 * 300 * 200 * 8 / 10


def test_equal_rows_have_a_distance_of_zero_and_no_gradient() -> None:
    a = torch.tensor([[1.0, 2.0], [1.0, 2.0], [0.0, 1.0]], requires_grad=True)
    distances = pdist(a)
    assert distances.tolist() == pytest.approx([0, 2**0.5, 2**0.5])
    distances.sum().backward()
    assert a.grad is not None
    np.testing.assert_allclose(a.grad.numpy(), np.array([[1, 1], [1, 1], [-2, -2]]) / 2**0.5, rtol=1e-6)


def test_pairwise_distances_add_eps_to_the_difference() -> None:
    a = torch.tensor([[1.0, 2.0]], requires_grad=True)
    distance = pairwise_distance(a, a.detach(), eps=0.5)
    assert distance.item() == pytest.approx(0.5**0.5)
    assert pairwise_distance(a, a.detach(), keepdim=True).shape == (1, 1)


def test_a_vector_of_zeros_has_the_cosine_zero_and_pytorchs_steep_gradient() -> None:
    a = torch.tensor([0.0, 0.0], requires_grad=True)
    cosine = cosine_similarity(a, torch.tensor([1.0, 2.0]), dim=0)
    assert cosine.item() == 0
    cosine.backward()
    assert a.grad is not None
    np.testing.assert_allclose(a.grad.numpy(), [44721360, 89442720], rtol=1e-6)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: pdist(torch.ones(3)), RuntimeError, "only supports 2D tensors, got: 1D"),
        (lambda: pdist(torch.ones(3, 2), p=-1.0), RuntimeError, "non-negative p values, found -1"),
        (lambda: pdist(torch.ones(3, 2).long()), RuntimeError, "floating-point dtypes"),
        (lambda: cosine_similarity(torch.ones(3, 2), torch.ones(4, 2)), RuntimeError, "do not broadcast"),
        (
            lambda: cosine_similarity(torch.ones(2).long(), torch.ones(2).long(), 0),
            RuntimeError,
            "to be floating point",
        ),
        (lambda: torch.cdist(torch.ones(3, 2), torch.ones(3, 2), compute_mode="fast"), ValueError, "not a valid value"),
    ],
)
def test_what_does_not_fit_is_refused(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()
