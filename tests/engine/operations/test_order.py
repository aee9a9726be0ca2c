"""Operations that need an order refuse complex numbers, which have none."""

from __future__ import annotations

from typing import Any

import pytest

import allgrad as torch

Z = torch.tensor([1 + 2j, 3 - 1j])


@pytest.mark.parametrize(
    "call",
    [
        lambda: torch.sort(Z),
        lambda: torch.argsort(Z),
        lambda: torch.topk(Z, 1),
        lambda: torch.max(Z),
        lambda: torch.min(Z, 0),
        lambda: torch.argmax(Z),
        lambda: torch.argmin(Z, 0),
        lambda: torch.kthvalue(Z, 1),
        lambda: torch.median(Z),
        lambda: torch.median(Z, 0),
        lambda: torch.nanmedian(Z),
        lambda: torch.mode(Z),
        lambda: torch.cummax(Z, 0),
        lambda: torch.maximum(Z, Z),
        lambda: torch.heaviside(Z, Z),
        lambda: torch.searchsorted(Z, Z),
        lambda: torch.bucketize(Z, torch.tensor([1.0])),
        lambda: torch.bincount(Z),
        lambda: Z < Z,
    ],
)
def test_what_needs_an_order_refuses_complex_numbers(call: Any) -> None:
    with pytest.raises(RuntimeError, match=r"complex|Complex"):
        call()


def test_what_needs_equality_only_takes_them() -> None:
    assert torch.unique(torch.tensor([1j, 1j, 2j])).tolist() == [1j, 2j]
    assert torch.isin(Z, Z[:1]).tolist() == [True, False]


def test_only_whole_numbers_that_are_not_negative_are_counted() -> None:
    for wrong in (torch.tensor([1.0]), torch.tensor([-1]), torch.tensor([[1]])):
        with pytest.raises(RuntimeError, match="bincount only supports 1-d non-negative integral inputs"):
            torch.bincount(wrong)
