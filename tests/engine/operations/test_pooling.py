"""Pooling of every kind: its values at ties, infinities and margins, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import allgrad as torch
from allgrad.nn import functional as F

NAN, INF = float("nan"), float("inf")


def test_the_first_of_equal_elements_takes_the_gradient_of_the_maximum() -> None:
    x = torch.tensor([[[1.0, 1.0, 0.0, 2.0, 2.0, 2.0]]], requires_grad=True)
    F.max_pool1d(x, 3).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [[[1, 0, 0, 1, 0, 0]]]


@pytest.mark.parametrize(
    "pool",
    [
        lambda x: F.max_pool2d(x, 2, return_indices=True),
        lambda x: F.adaptive_max_pool2d(x, 2, return_indices=True),
        lambda x: F.fractional_max_pool2d(x, 2, 2, None, True, torch.zeros(1, 1, 2)),
    ],
)
def test_the_last_nan_of_a_window_is_its_maximum(pool: Callable[[Any], Any]) -> None:
    x = torch.tensor([[[[NAN, 1, NAN, 2], [3, NAN, 4, 5], [1, 1, 2, 2], [1, 1, 2, 2]]]])
    values, indices = pool(x)
    assert str(values.tolist()) == "[[[[nan, nan], [1.0, 2.0]]]]"
    assert indices.tolist() == [[[[5, 2], [8, 10]]]]


def test_the_padding_is_never_the_maximum_even_where_all_is_minus_infinity() -> None:
    values, indices = F.max_pool2d(torch.full((1, 1, 2, 2), -INF), 2, 2, 1, return_indices=True)
    assert (values == -INF).all()
    assert indices.tolist() == [[[[0, 1], [2, 3]]]]


def test_a_window_without_any_element_is_refused() -> None:
    with pytest.raises(RuntimeError, match="has no element inside the image of size"):
        F.max_pool1d(torch.ones(1, 1, 1), 2, 1, 1, 2)


def test_indices_lead_back_to_the_elements() -> None:
    x = torch.randn(2, 3, 4, 6, 5)
    values, indices = F.max_pool3d(x, (2, 3, 2), 1, return_indices=True)
    assert x.flatten(2).gather(2, indices.flatten(2)).tolist() == values.flatten(2).tolist()
    values, indices = F.max_pool3d(x, 2, return_indices=True)
    restored = F.max_unpool3d(values, indices, 2, output_size=x.shape)
    assert restored.shape == x.shape
    assert (restored[restored != 0] == x[restored != 0]).all()
    assert (restored != 0).sum() == values.numel()


def test_a_mean_divides_by_what_it_is_told_to_count() -> None:
    x = torch.ones(1, 1, 3)
    assert F.avg_pool1d(x, 2, 2, 1).tolist() == [[[0.5, 1.0]]]
    assert F.avg_pool1d(x, 2, 2, 1, count_include_pad=False).tolist() == [[[1.0, 1.0]]]
    assert F.avg_pool1d(x, 2, 2, 0, True).tolist() == [[[1.0, 1.0]]]  # the last window has one element
    assert F.avg_pool2d(torch.ones(1, 2, 2), 2, divisor_override=8).tolist() == [[[0.5]]]


def test_adaptive_windows_overlap_where_sizes_do_not_divide() -> None:
    x = torch.tensor([[0.0, 1, 2, INF, 4]])
    assert F.adaptive_avg_pool1d(x, 3).tolist() == [[0.5, INF, INF]]
    assert F.adaptive_avg_pool1d(x[:, :3], 5).tolist() == [[0, 0.5, 1, 1.5, 2]]
    assert F.adaptive_max_pool1d(x, 2).tolist() == [[2, INF]]
    assert F.adaptive_avg_pool2d(torch.ones(2, 3, 4), (None, 2)).shape == (2, 3, 2)
    assert F.adaptive_max_pool2d(torch.ones(2, 1, 3, 4), 0).shape == (2, 1, 0, 0)


def test_fractional_windows_are_drawn_anew_and_repeat_for_a_seed() -> None:
    x = torch.randn(1, 8, 12, 12)

    def drawn() -> Any:
        return F.fractional_max_pool2d(x, 2, output_ratio=(0.6, 0.6)).tolist()

    torch.manual_seed(4)
    first, second = drawn(), drawn()
    torch.manual_seed(4)
    assert drawn() == first != second


def test_the_norm_of_a_window_is_pooled() -> None:
    assert F.lp_pool1d(torch.tensor([[3.0, 4.0, 5.0, 12.0]]), 2, 2).tolist() == [[5.0, 13.0]]
    assert F.lp_pool2d(torch.tensor([[[1.0, -2.0], [3.0, 4.0]]]), 1, 2).tolist() == [[[6.0]]]


@pytest.mark.parametrize("name", ["max_pool2d", "avg_pool2d"])
def test_whole_numbers_and_empty_batches_are_pooled(name: str) -> None:
    pool = getattr(F, name)
    x = torch.tensor([[[-3, -4], [-2, -1]]])
    assert pool(x, 2).tolist() == ([[[-1]]] if name == "max_pool2d" else [[[-2]]])
    assert pool(torch.zeros(0, 3, 4, 4), 2).shape == (0, 3, 2, 2)


def test_an_unfolded_image_is_folded_back_as_often_as_its_elements_were_taken() -> None:
    x = torch.randn(2, 3, 5, 6, dtype=torch.float64)
    columns = F.unfold(x, (2, 3), dilation=1, padding=1, stride=2)
    times = F.fold(F.unfold(torch.ones_like(x), (2, 3), 1, 1, 2), (5, 6), (2, 3), 1, 1, 2)
    again = F.fold(columns, (5, 6), (2, 3), 1, 1, 2)
    np.testing.assert_allclose(again.numpy(), (x * times).numpy(), rtol=1e-12)
    assert F.unfold(x[0], 2).shape == (12, 20)


IMAGE = torch.zeros(1, 1, 4, 4)
PLACES = torch.tensor([[[[0, 5], [6, 20]]]])


@pytest.mark.parametrize(
    ("attempt", "error", "message"),
    [
        (lambda: F.max_pool2d(IMAGE, 5), RuntimeError, "Output size is too small"),
        (lambda: F.max_pool2d(IMAGE[0, 0], 2), RuntimeError, r"3D \(unbatched\) or 4D"),
        (lambda: F.max_pool2d(IMAGE, 2, padding=2), RuntimeError, "at most half of effective kernel size"),
        (lambda: F.max_pool2d(IMAGE, 2, 0), RuntimeError, "stride should be greater than zero"),
        (lambda: F.avg_pool2d(IMAGE, (1, 2, 3)), RuntimeError, "a list of 2 values"),
        (lambda: F.avg_pool2d(torch.zeros(1, 1, 0, 4), 2), RuntimeError, "non-zero size for non-batch"),
        (lambda: F.avg_pool2d(IMAGE, 2, divisor_override=0), RuntimeError, "divisor must be not zero"),
        (lambda: F.avg_pool2d(IMAGE.bool(), 2), NotImplementedError, "not implemented for torch.bool"),
        (lambda: F.adaptive_avg_pool2d(IMAGE, (2, 2, 2)), RuntimeError, "output_size must be 2 numbers"),
        (lambda: F.adaptive_max_pool2d(IMAGE, -1), RuntimeError, "greater than or equal to 0"),
        (lambda: F.adaptive_max_pool2d(IMAGE.long(), 2), NotImplementedError, "torch.int64"),
        (lambda: F.max_unpool2d(IMAGE[..., :2, :2], PLACES, 2), RuntimeError, "invalid max index: 20 .* size 4x4"),
        (lambda: F.max_unpool2d(IMAGE[..., :2, :2], PLACES.int(), 2), RuntimeError, "type int64 but got"),
        (lambda: F.max_unpool2d(IMAGE, PLACES, 2), RuntimeError, "to be same as that of the input"),
        (lambda: F.max_unpool2d(IMAGE[..., :2, :2], PLACES, 2, output_size=(9, 9)), ValueError, "between 2 and 6"),
        (lambda: F.fractional_max_pool2d(IMAGE, 2), ValueError, "either an output_size or an output_ratio"),
        (lambda: F.fractional_max_pool2d(IMAGE, 2, 5), RuntimeError, "too large relative to input size"),
        (lambda: F.unfold(IMAGE, 5), RuntimeError, "its components must be at least one"),
        (lambda: F.fold(torch.zeros(1, 4, 8), 4, 2), RuntimeError, r"sliding blocks 9, but got input.size\(2\)=8"),
        (lambda: F.fold(torch.zeros(1, 5, 9), 4, 2), RuntimeError, "divisible by the product of kernel_size"),
    ],
)
def test_what_does_not_fit_is_refused(attempt: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        attempt()
