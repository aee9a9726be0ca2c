"""Jacobians and Hessians of functions, by rows and by columns."""

from __future__ import annotations

from typing import Any

import pytest

import allgrad as torch
from allgrad import Tensor
from allgrad.autograd.functional import hessian, jacobian


def pair(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    return torch.outer(x, y), x.sum() * y


@pytest.mark.parametrize("strategy", ["reverse-mode", "forward-mode"])
def test_jacobians_by_rows_and_by_columns_are_those_worked_out(strategy: str) -> None:
    x, y = torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0, 5.0])
    ((by_x, by_y), (sum_x, sum_y)) = jacobian(pair, (x, y), vectorize=True, strategy=strategy)
    assert by_x.shape == (2, 3, 2)
    assert torch.equal(by_x[:, :, 0], torch.outer(torch.tensor([1.0, 0.0]), y))
    assert torch.equal(by_y[1], 2 * torch.eye(3))
    assert torch.equal(sum_x, y.unsqueeze(1).expand(3, 2))
    assert torch.equal(sum_y, 3 * torch.eye(3))
    assert not by_x.requires_grad


@pytest.mark.parametrize("strategy", ["reverse-mode", "forward-mode"])
def test_hessians_by_either_strategy_are_equal(strategy: str) -> None:
    x = torch.tensor([1.0, 2.0])
    found = hessian(lambda x: (x**3).prod(), x, vectorize=True, outer_jacobian_strategy=strategy)
    assert torch.allclose(found, torch.tensor([[48.0, 36.0], [36.0, 12.0]]))


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({"strategy": "forward-mode"}, NotImplementedError),
        ({"strategy": "forward-mode", "vectorize": True, "create_graph": True}, NotImplementedError),
        ({"strategy": "sideways"}, ValueError),
        ({"strict": True, "vectorize": True}, RuntimeError),
    ],
)
def test_options_that_do_not_go_together_are_refused(options: dict[str, Any], kind: type[Exception]) -> None:
    with pytest.raises(kind):
        jacobian(torch.exp, torch.ones(2), **options)


def test_strict_refuses_an_output_that_depends_on_nothing() -> None:
    with pytest.raises(RuntimeError, match="independent of an input"):
        jacobian(lambda x, y: x * 2, (torch.ones(2), torch.ones(2)), strict=True)
