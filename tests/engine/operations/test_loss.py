"""The losses' older arguments mean what they mean in PyTorch."""

from __future__ import annotations

from typing import Any

import pytest

import allgrad as torch
import allgrad.nn.functional as F


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, 14 / 3),
        ({"size_average": True}, 14 / 3),
        ({"size_average": False}, 14.0),
        ({"reduce": True}, 14 / 3),
        ({"reduce": False, "size_average": True}, [1.0, 4.0, 9.0]),
        ({"reduction": "none", "reduce": True}, 14 / 3),
    ],
)
def test_size_average_and_reduce_override_the_reduction(options: dict[str, Any], expected: Any) -> None:
    loss = F.mse_loss(torch.tensor([1.0, 2.0, 3.0]), torch.zeros(3), **options)
    assert loss.tolist() == pytest.approx(expected)


def test_an_unknown_reduction_is_refused() -> None:
    with pytest.raises(ValueError, match="not a valid value for reduction"):
        F.l1_loss(torch.ones(2), torch.zeros(2), reduction="average")
