"""Random numbers written in place come from the distribution that the method names."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import allgrad as torch
from allgrad import Tensor

# The method, the share of its numbers below a value, and that value.
QUANTILES: list[tuple[Callable[[Tensor], Tensor], float, float]] = [
    (lambda t: t.uniform_(2.0, 4.0), 0.5, 3.0),
    (lambda t: t.normal_(1.0, 2.0), 0.8413, 3.0),
    (lambda t: t.exponential_(0.5), 0.5, 2 * np.log(2.0)),
    (lambda t: t.log_normal_(1.0, 2.0), 0.5, np.exp(1.0)),
    (lambda t: t.cauchy_(1.0, 2.0), 0.75, 3.0),
    (lambda t: t.geometric_(0.25), 0.4375, 2.5),
    (lambda t: t.random_(0, 4), 0.75, 2.5),
]


@pytest.mark.parametrize("number", range(len(QUANTILES)))
def test_the_share_below_a_value_is_the_distributions(number: int) -> None:
    fill, share, value = QUANTILES[number]
    torch.manual_seed(5)
    drawn = fill(torch.empty(20_000, dtype=torch.float64))
    assert float((drawn < value).double().mean()) == pytest.approx(share, abs=0.015)


WRONG: list[Callable[[], Tensor]] = [
    lambda: torch.zeros(3).geometric_(1.5),
    lambda: torch.zeros(3).cauchy_(0.0, -1.0),
    lambda: torch.zeros(3, dtype=torch.int64).cauchy_(),
    lambda: torch.zeros(3).log_normal_(0.0, -1.0),
]


@pytest.mark.parametrize("number", range(len(WRONG)))
def test_parameters_outside_their_range_are_refused(number: int) -> None:
    with pytest.raises(RuntimeError, match=r"expects|must be"):
        WRONG[number]()


def test_whole_numbers_take_the_shape_and_type_of_another_tensor() -> None:
    drawn = torch.randint_like(torch.zeros(100), 3, 5)
    assert drawn.dtype is torch.float32
    assert set(drawn.tolist()) == {3.0, 4.0}


def test_a_strided_tensor_has_the_strides_asked_for() -> None:
    assert torch.empty_strided((2, 3), (1, 2)).stride() == (1, 2)
    made = torch.zeros(1, dtype=torch.int64).new_empty_strided((2, 2), (0, 1))
    assert (made.dtype, made.stride()) == (torch.int64, (0, 1))
