"""Losses with a margin and of distributions: their values, their kinks and what they refuse."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import allgrad as torch
import allgrad.nn.functional as F

# The loss, its differentiable inputs, the rest, and the gradients of its sum: PyTorch 2.13's, recorded.
KINKS: list[tuple[Callable[..., Any], list[Any], dict[str, Any], list[Any]]] = [
    (
        F.margin_ranking_loss,
        [[1.0, 1.0, 1.0], [1.0, 2.0, 0.0]],
        {"target": [1.0, 1.0, 1.0]},
        [[-1, -1, 0], [1, 1, 0]],
    ),
    (F.hinge_embedding_loss, [[1.0, 2.0, 0.5]], {"target": [-1.0, 1.0, -1.0]}, [[-1, 1, -1]]),
    (F.multi_margin_loss, [[[1.0, 0.0, 0.5]]], {"target": [0]}, [[[-1 / 3, 0, 1 / 3]]]),
    (F.multilabel_margin_loss, [[1.0, 0.0, 0.5]], {"target": [0, -1, -1]}, [[-1 / 3, 0, 1 / 3]]),
    (
        F.gaussian_nll_loss,
        [[1.0, 2.0]],
        {"target": [0.0, 0.0], "var": [0.5, 0.1], "eps": 0.5},
        [[2, 4]],
    ),
    (F.kl_div, [[1.0, 2.0, 0.0]], {"target": [0.5, 0.0, -1.0]}, [[-0.5, 0, 1]]),
]


@pytest.mark.parametrize(("loss", "inputs", "rest", "expected"), KINKS, ids=lambda v: getattr(v, "__name__", None))
def test_gradients_at_kinks_are_pytorchs(
    loss: Callable[..., Any], inputs: list[Any], rest: dict[str, Any], expected: list[Any]
) -> None:
    tensors = [torch.tensor(value, requires_grad=True) for value in inputs]
    others = {k: torch.tensor(v) if isinstance(v, list) else v for k, v in rest.items()}
    loss(*tensors, **others, reduction="sum").backward()
    for tensor, gradient in zip(tensors, expected, strict=True):
        assert tensor.grad is not None
        np.testing.assert_allclose(tensor.grad.numpy(), gradient, rtol=1e-6)


def test_the_gradient_of_a_variance_passes_where_it_was_held() -> None:
    var = torch.tensor([0.5, 0.1], requires_grad=True)
    F.gaussian_nll_loss(torch.tensor([1.0, 2.0]), torch.zeros(2), var, eps=0.5, reduction="sum").backward()
    assert var.grad is not None
    assert var.grad.tolist() == [-1, -7]


def test_the_soft_margin_does_not_overflow() -> None:
    x = torch.tensor([-1000.0, 1000.0], requires_grad=True)
    loss = F.soft_margin_loss(x, torch.ones(2), reduction="none")
    assert loss.tolist() == [1000, 0]
    loss.sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [-1, 0]


def test_stirlings_approximation_begins_above_one() -> None:
    losses = F.poisson_nll_loss(torch.ones(3), torch.tensor([0.0, 1.0, 3.0]), full=True, reduction="none")
    expected = [math.e, math.e - 1, math.e - 3 + 3 * math.log(3) - 3 + 0.5 * math.log(6 * math.pi)]
    np.testing.assert_allclose(losses.numpy(), expected, rtol=1e-6)


def test_only_the_mean_of_a_divergence_warns() -> None:
    p = torch.tensor([[0.5, 0.5]])
    assert F.kl_div(p.log(), p, reduction="batchmean").item() == 0
    with pytest.warns(UserWarning, match="'batchmean' divides only by the batch size"):
        F.kl_div(p.log(), p)


def test_weights_divide_the_mean_of_squares_and_distances() -> None:
    x, weight = torch.tensor([1.0, 3.0]), torch.tensor([1.0, 3.0])
    assert F.mse_loss(x, torch.zeros(2), weight=weight).item() == 7
    assert F.l1_loss(x, torch.zeros(2), weight=weight).item() == 2.5
    assert F.huber_loss(x, torch.zeros(2), weight=weight).item() == (0.5 + 7.5) / 2
    with pytest.raises(ValueError, match=r"must have the same size, found \[1\] and \[2\]"):
        F.mse_loss(x, torch.zeros(2), weight=torch.ones(1))


X = torch.ones(3, 4)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: F.margin_ranking_loss(X, X[0], X), RuntimeError, "should have same dimension but got sizes"),
        (lambda: F.cosine_embedding_loss(X, X, X), RuntimeError, "0D or 1D target tensor expected"),
        (lambda: F.cosine_embedding_loss(X[0], X[0], X[0]), RuntimeError, "1D target tensor expects 2D input"),
        (lambda: F.multi_margin_loss(X, torch.tensor([0, 1, 4])), RuntimeError, "there are 4 classes, found"),
        (lambda: F.multi_margin_loss(X, torch.tensor([0, 1])), RuntimeError, r"Expected target size \[3\]"),
        (lambda: F.multi_margin_loss(X, torch.tensor([0, 1, 2]), p=3), ValueError, "p == 1 and p == 2"),
        (lambda: F.multi_margin_loss(X, X[:, 0]), RuntimeError, "expected scalar type Long"),
        (lambda: F.multi_margin_loss(X.long(), X[:, 0].long()), NotImplementedError, "use .float"),
        (lambda: F.multilabel_margin_loss(X, X[:2].long()), RuntimeError, r"inconsistent target size: \[2, 4\]"),
        (lambda: F.multilabel_margin_loss(X, X.long() * 4), RuntimeError, "out of range: expected -1 to 3"),
        (lambda: F.triplet_margin_loss(X, X, X[0]), RuntimeError, "anchor 2D, positive 2D, and negative 1D"),
        (lambda: F.triplet_margin_loss(X, X, X, margin=0.0), ValueError, "margin must be greater than 0"),
        (lambda: F.gaussian_nll_loss(X, X, -X), ValueError, "negative entry/entries"),
        (lambda: F.gaussian_nll_loss(X, X, X[:, :2]), ValueError, r"incorrect size: expected \[3, 4\]"),
        (lambda: F.poisson_nll_loss(X, X, reduction="half"), ValueError, "half is not a valid value"),
    ],
)
def test_what_does_not_fit_is_refused(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()
