"""Who made the first NaN or infinity: check_finite says so for the forward and for the backward, and keeps still otherwise."""

from __future__ import annotations

import threading

import pytest

import allgrad as torch
from allgrad import Tensor, nn
from allgrad.nn import functional as F


class Ratio(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x / x.sum(1, keepdim=True)


def test_the_forward_that_made_a_nan_is_named_with_line_module_index_and_count() -> None:
    network = nn.Sequential(nn.Identity(), Ratio())
    x = torch.tensor([[1.0, 1.0], [0.0, 0.0]], requires_grad=True)
    with pytest.raises(torch.autograd.NonFiniteError) as caught, torch.check_finite():
        network(x)
    error = caught.value
    assert (error.operation, error.backward, error.index, error.count) == ("div", False, (1, 0), 2)
    assert "test_finite.py" in error.line
    assert "x / x.sum(1, keepdim=True)" in error.line
    assert str(error).startswith("Sequential.1 (Ratio): div() made 2 NaN among the 4 values of its result")


def test_the_backward_that_made_an_infinity_is_named() -> None:
    root = nn.Sequential(nn.Identity(), nn.Flatten(0))
    x = torch.tensor([[1.0, 0.0]], requires_grad=True)
    with torch.check_finite():
        loss = root(x).sqrt().sum()
        with pytest.raises(
            FloatingPointError, match=r"the backward of sqrt\(\) made 1 inf .* first at \[1\]"
        ) as caught:
            loss.backward()
    assert caught.value.backward  # type: ignore[attr-defined]
    assert x.grad is None


def test_the_module_of_a_backward_is_named() -> None:
    class Root(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.sqrt()

    network = nn.Sequential(nn.Identity(), Root())
    x = torch.zeros(1, requires_grad=True)
    with torch.check_finite():
        y = network(x)
        with pytest.raises(FloatingPointError, match=r"in Sequential\.1 \(Root\)"):
            y.backward()


def test_a_backward_is_checked_under_create_graph_too() -> None:
    x = torch.zeros(1, requires_grad=True)
    with torch.check_finite(), pytest.raises(FloatingPointError, match=r"the backward of sqrt\(\)"):
        torch.autograd.grad(x.sqrt(), x, create_graph=True)


def test_a_nan_that_came_in_is_named_where_it_is_first_used() -> None:
    x = torch.tensor([1.0, float("nan")])
    w = torch.ones(2, requires_grad=True)
    with torch.check_finite(), pytest.raises(FloatingPointError, match=r"mul\(\) was given NaN \(other, which came in"):
        w * x


def test_infinities_pass_where_they_are_put_in_or_not_asked_for() -> None:
    scores = torch.randn(2, 3, requires_grad=True)
    mask = torch.tensor([[True, False, False], [False, True, False]])
    with torch.check_finite():
        F.softmax(scores.masked_fill(mask, -float("inf")), 1).sum().backward()
        assert (torch.full((2,), float("inf")) * 2).isinf().all()
    with torch.check_finite(inf=False):
        torch.zeros(1, requires_grad=True).log()


def test_a_nan_that_marks_what_is_left_out_passes_where_it_is_put_in() -> None:
    x, mask = torch.tensor([1.0, 2.0, 4.0], requires_grad=True), torch.tensor([True, False, True])
    with torch.check_finite():
        marked = torch.where(mask, x, float("nan"))
        assert torch.nanmedian(marked).item() == 1.0
        torch.stack([torch.full((2,), 1.0), torch.full((2,), -float("inf"))])
        with pytest.raises(FloatingPointError, match=r"mul\(\) was given NaN"):
            marked * 2


def test_infinities_that_meet_to_a_nan_do_not_pass() -> None:
    inf = torch.full((2,), float("inf"))
    with torch.check_finite(), pytest.raises(FloatingPointError, match=r"sub\(\) made 2 NaN"):
        inf - inf


def test_large_values_whose_squares_overflow_are_finite() -> None:
    with torch.check_finite():
        assert (torch.full((3,), 1e30) * 2).isfinite().all()
        assert (torch.full((3,), 60000.0, dtype=torch.float16) * 1).isfinite().all()


def test_it_is_a_decorator_and_ends_when_it_ends() -> None:
    @torch.check_finite(inf=True)
    def logarithm(x: Tensor) -> Tensor:
        return x.log()

    with pytest.raises(FloatingPointError):
        logarithm(torch.zeros(1))
    assert torch.zeros(1).log().isinf().all()


def test_other_threads_are_not_checked() -> None:
    made: list[Tensor] = []
    with torch.check_finite():
        thread = threading.Thread(target=lambda: made.append(torch.zeros(1).log()))
        thread.start()
        thread.join()
    assert made[0].isinf().all()


def test_a_training_step_of_a_network_raises_no_alarm() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(18, 3))
    optimizer = torch.optim.Adam(network.parameters())
    with torch.check_finite():
        for _ in range(3):
            optimizer.zero_grad()
            F.cross_entropy(network(torch.randn(4, 1, 8, 8)), torch.tensor([0, 1, 2, 0])).backward()
            optimizer.step()
