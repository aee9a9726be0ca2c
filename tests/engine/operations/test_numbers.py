"""Numbers, tensors without dimensions, where operations take a dimension: 0 and -1 name nothing, and do no harm."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import allgrad
from allgrad import Tensor


@pytest.mark.parametrize("dim", [0, -1])
@pytest.mark.parametrize(
    "take",
    [
        lambda a, dim: allgrad.cumsum(a, dim),
        lambda a, dim: allgrad.cumprod(a, dim),
        lambda a, dim: allgrad.flip(a, (dim,)),
        lambda a, dim: allgrad.linalg.vector_norm(a, 6, dim, keepdim=True),
        lambda a, dim: allgrad.linalg.vector_norm(a, 2, dim),
        lambda a, dim: allgrad.masked.cumsum(a, dim, mask=allgrad.tensor(True)),
    ],
)
def test_along_a_dimension_a_number_is_itself(take: Callable[[Tensor, int], Tensor], dim: int) -> None:
    number = allgrad.tensor(3.0, dtype=allgrad.float64, requires_grad=True)
    result = take(number, dim)
    assert result.shape == ()
    assert result.item() == pytest.approx(3.0)
    (gradient,) = allgrad.autograd.grad(result, number, create_graph=True)
    assert gradient.shape == ()
    assert gradient.item() == pytest.approx(1.0)


def test_scans_of_a_whole_number_are_int64() -> None:
    number = allgrad.tensor(3, dtype=allgrad.int32)
    assert number.cumsum(0).dtype is number.cumprod(0).dtype is allgrad.int64


def test_a_number_beyond_its_dimensions_raises() -> None:
    with pytest.raises(IndexError, match="Dimension out of range"):
        allgrad.flip(allgrad.tensor(1.0), (1,))


def test_the_powers_of_a_number_are_one_row() -> None:
    assert allgrad.linalg.vander(allgrad.tensor(2.0), N=3).tolist() == [[1.0, 2.0, 4.0]]


def test_a_dimension_too_few_for_the_size_of_a_pool_is_a_value_error() -> None:
    for pool in (allgrad.nn.functional.adaptive_avg_pool2d, allgrad.nn.functional.adaptive_max_pool2d):
        with pytest.raises(ValueError, match="Input dimension should be at least 3"):
            pool(allgrad.zeros(2, 2), (2, 2))


def test_options_of_margin_losses_are_looked_at_before_their_targets() -> None:
    input, target = allgrad.zeros(2, 3), allgrad.zeros(2)
    with pytest.raises(ValueError, match="not a valid value for reduction"):
        allgrad.nn.functional.multilabel_margin_loss(input, target, reduction="some")
    with pytest.raises(ValueError, match="p == 1 and p == 2"):
        allgrad.nn.functional.multi_margin_loss(input, target, p=3)
    with pytest.raises(ValueError, match="weight must be one-dimensional"):
        allgrad.nn.functional.multi_margin_loss(input, target, weight=allgrad.tensor(1.0))
