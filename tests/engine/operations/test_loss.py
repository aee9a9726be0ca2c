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


@pytest.mark.parametrize(
    ("loss", "x", "target", "expected"),
    [
        (F.binary_cross_entropy, [0.0, 1.0, 0.0, 1.0], [0.0, 1.0, 1.0, 0.0], [0, 0, -1e12, 1e12]),
        (F.binary_cross_entropy_with_logits, [0.0, 0.0], [0.0, 1.0], [0.5, -0.5]),
        (F.l1_loss, [0.0, 1.0], [0.0, 0.0], [0, 1]),
        (F.smooth_l1_loss, [1.0, 0.0], [0.0, 0.0], [1, 0]),
        (F.huber_loss, [1.0, -2.0], [0.0, 0.0], [1, -1]),
    ],
)
def test_gradients_at_kinks_and_ends_are_pytorchs(loss: Any, x: Any, target: Any, expected: Any) -> None:
    input = torch.tensor(x, requires_grad=True)
    loss(input, torch.tensor(target), reduction="sum").backward()
    assert input.grad is not None
    assert input.grad.tolist() == pytest.approx(expected)


@pytest.mark.parametrize("loss", [F.mse_loss, F.smooth_l1_loss, F.huber_loss])
def test_the_second_derivative_of_a_square_is_there_at_zero_too(loss: Any) -> None:
    x = torch.zeros((), requires_grad=True)
    (first,) = torch.autograd.grad(loss(x, torch.zeros(())), x, create_graph=True)
    (second,) = torch.autograd.grad(first, x)
    assert second.item() == (2 if loss is F.mse_loss else 1)


X = torch.ones(2, 3)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: F.cross_entropy(X, torch.tensor([0, 1]), torch.ones(2)), RuntimeError, "for all 3 classes"),
        (lambda: F.cross_entropy(X, X, torch.ones(2)), RuntimeError, "for all 3 classes"),
        (lambda: F.cross_entropy(X, torch.tensor([0, 1]), label_smoothing=2.0), RuntimeError, "Got: 2"),
        (lambda: F.cross_entropy(X[0, 0], torch.tensor(0)), RuntimeError, "without dimensions"),
        (lambda: F.nll_loss(X[0, 0], torch.tensor(0)), ValueError, "Expected 1 or more dimensions"),
        (lambda: F.huber_loss(X, X, delta=0.0), RuntimeError, "non-positive values for delta, found 0"),
        (lambda: F.smooth_l1_loss(X, X, beta=-1.0), RuntimeError, "negative values for beta, found -1"),
        (lambda: F.binary_cross_entropy(X * 2, X), RuntimeError, "between 0 and 1"),
    ],
)
def test_what_does_not_fit_is_refused(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_a_batch_of_which_all_is_ignored_has_no_mean_and_no_gradient(smoothing: float) -> None:
    x = torch.ones(2, 3, requires_grad=True)
    loss = F.cross_entropy(x, torch.tensor([-100, -100]), label_smoothing=smoothing)
    loss.backward()
    assert loss.isnan()
    assert x.grad is not None
    assert x.grad.tolist() == [[0, 0, 0], [0, 0, 0]]


def test_probabilities_are_floating_and_none_of_them_is_ignored() -> None:
    with pytest.raises(
        RuntimeError, match="Expected floating point type for target with class probabilities, got Long"
    ):
        F.cross_entropy(torch.zeros(2, 3), torch.zeros(2, 3, dtype=torch.int64))
    with pytest.raises(RuntimeError, match="ignore_index is not supported for floating point target"):
        F.cross_entropy(torch.zeros(2, 3), torch.zeros(2, 3), ignore_index=1)
    with pytest.raises(TypeError, match="delta must be a float or int"):
        F.huber_loss(torch.zeros(2), torch.zeros(2), delta=1j)  # type: ignore[arg-type]
