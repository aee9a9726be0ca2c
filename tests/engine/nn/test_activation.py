"""Activation modules: how they print, what they refuse, and what PyTorch makes of kinks, whole numbers and in-place use."""

from __future__ import annotations

import pytest

import allgrad as torch
from allgrad import Tensor, nn
from allgrad.nn import functional as F


@pytest.mark.parametrize(
    ("module", "printed"),
    [
        (nn.CELU(0.5, inplace=True), "CELU(alpha=0.5, inplace=True)"),
        (nn.GLU(), "GLU(dim=-1)"),
        (nn.Hardshrink(), "Hardshrink(0.5)"),
        (nn.Hardsigmoid(), "Hardsigmoid()"),
        (nn.Hardswish(True), "Hardswish(inplace=True)"),
        (nn.PReLU(3), "PReLU(num_parameters=3)"),
        (nn.RReLU(0.1, 0.2), "RReLU(lower=0.1, upper=0.2)"),
        (nn.SELU(), "SELU()"),
        (nn.Softmax2d(), "Softmax2d()"),
        (nn.Softmin(1), "Softmin(dim=1)"),
        (nn.Softshrink(0.2), "Softshrink(0.2)"),
        (nn.Tanhshrink(), "Tanhshrink()"),
        (nn.Threshold(0.1, 20), "Threshold(threshold=0.1, value=20)"),
    ],
)
def test_a_module_prints_as_in_pytorch(module: nn.Module, printed: str) -> None:
    assert repr(module) == printed


@pytest.mark.parametrize(
    "name",
    ["relu", "elu", "celu", "selu", "silu", "mish", "hardswish", "hardsigmoid", "leaky_relu", "relu6", "hardtanh"],
)
def test_in_place_gives_the_same_values_and_gradients_in_the_same_memory(name: str) -> None:
    function = getattr(F, name)
    start = torch.linspace(-4.0, 4.0, 7, dtype=torch.float64, requires_grad=True)
    (expected,) = torch.autograd.grad(function(start).sum(), start)
    overwritten = start * 1.0
    found = function(overwritten, inplace=True)
    assert found is overwritten
    assert torch.equal(found, function(start))
    assert torch.equal(torch.autograd.grad(found.sum(), start)[0], expected)


def test_derivatives_where_pieces_meet_are_pytorchs() -> None:
    def slope(function: object, *places: float) -> list[float]:
        x = torch.tensor(places, requires_grad=True)
        return torch.autograd.grad(function(x).sum(), x)[0].tolist()  # type: ignore[operator, no-any-return]

    assert slope(F.hardswish, -3.0, 3.0) == [0.0, 1.0]
    assert slope(F.hardsigmoid, -3.0, 3.0) == [0.0, 0.0]
    assert slope(F.hardshrink, -0.5, 0.5) == [0.0, 0.0]
    assert slope(F.logsigmoid, 0.0) == [0.5]
    assert slope(F.elu, 0.0) == [1.0]
    assert slope(F.leaky_relu, 0.0) == pytest.approx([0.01])
    assert slope(lambda x: F.threshold(x, 1.0, 0.0), 1.0) == [0.0]


def test_whole_numbers_are_refused_by_name() -> None:
    for function in (F.silu, F.elu, F.hardswish, F.logsigmoid, F.softplus, F.gelu):
        with pytest.raises(NotImplementedError, match="int64"):
            function(torch.arange(3))


def test_prelu_has_a_slope_for_each_channel_that_learns() -> None:
    module = nn.PReLU(2)
    module(torch.tensor([[-1.0, -2.0], [3.0, -4.0]])).sum().backward()
    assert module.weight.grad.tolist() == [-1.0, -6.0]
    with pytest.raises(RuntimeError, match="parameter numbers = 2 and channel size = 3"):
        module(torch.zeros(4, 3))


def test_rrelu_draws_slopes_in_training_only() -> None:
    x = -torch.ones(1000)
    module = nn.RReLU(0.25, 0.75)
    drawn = -module(x)
    assert 0.25 <= drawn.min() < 0.3
    assert 0.7 < drawn.max() <= 0.75
    assert torch.equal(module.eval()(x), x * 0.5)


def test_gumbel_softmax_samples_in_proportion_and_keeps_a_gradient() -> None:
    torch.manual_seed(3)
    logits = torch.tensor([0.75, 0.25]).log().expand(4000, 2).clone().requires_grad_()
    drawn = F.gumbel_softmax(logits, tau=0.5, hard=True)
    assert set(drawn.detach().flatten().round(decimals=4).tolist()) == {0.0, 1.0}
    assert 0.7 < float(drawn[:, 0].mean()) < 0.8
    (gradient,) = torch.autograd.grad(drawn[:, 0].sum(), logits)
    assert float(gradient.abs().sum()) > 0


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda x: F.glu(x), "dimension 1 is size 3"),
        (lambda x: F.celu(x, 0.0), "alpha cannot be 0"),
        (lambda x: F.softshrink(x, -1.0), "found to be -1"),
        (lambda x: F.rrelu(x, 0.5, 0.1), "0.5 and 0.1"),
    ],
)
def test_what_does_not_fit_is_refused(call: object, words: str) -> None:
    with pytest.raises(RuntimeError, match=words):
        call(torch.zeros(2, 3))  # type: ignore[operator]


def test_softmax2d_makes_the_channels_of_each_place_probabilities() -> None:
    found: Tensor = nn.Softmax2d()(torch.arange(16.0).reshape(2, 2, 2, 2))
    assert torch.allclose(found.sum(1), torch.ones(2, 2, 2))
    with pytest.raises(ValueError, match="got 2D"):
        nn.Softmax2d()(torch.zeros(2, 2))
