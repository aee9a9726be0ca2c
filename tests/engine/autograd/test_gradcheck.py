"""gradcheck accepts right derivatives and names wrong ones."""

from __future__ import annotations

from typing import Any

import pytest

import allgrad as torch
from allgrad import Tensor
from allgrad.autograd import GradcheckError, gradcheck, gradgradcheck


class Wrong(torch.autograd.Function):
    """The identity, whose backward claims a slope of 2."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:
        return g * 2


def point(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64, requires_grad=True)


def test_right_first_and_second_derivatives_pass_in_both_modes() -> None:
    a, b = point(0.5, -1.5), point(2.0, 0.7)
    assert gradcheck(lambda a, b: (a * b.exp(), a.sin()), (a, b), check_forward_ad=True, check_grad_dtypes=True)
    assert gradgradcheck(lambda a, b: a * b.exp() + a.sin(), (a, b), check_fwd_over_rev=True)


def test_a_wrong_derivative_is_named() -> None:
    with pytest.raises(
        GradcheckError, match=r"Jacobian mismatch for output 0 with respect to input 0: element \[0, 0\]"
    ):
        gradcheck(Wrong.apply, point(1.0, 2.0))
    assert not gradcheck(Wrong.apply, point(1.0, 2.0), raise_exception=False)


def test_inputs_are_left_as_they_were() -> None:
    x = point(1.0, 2.0)
    gradcheck(lambda x: x**2, x)
    assert x.tolist() == [1.0, 2.0]


def test_something_must_require_grad() -> None:
    with pytest.raises(ValueError, match="at least one input"):
        gradcheck(lambda x: x, torch.ones(2))
