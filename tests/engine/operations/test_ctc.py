"""Connectionist temporal classification, held against an enumeration of all paths."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest

import allgrad as torch
from allgrad.autograd import gradcheck, gradgradcheck
from allgrad.nn.functional import ctc_loss, log_softmax


def likelihood(probabilities: Any, labels: list[int], blank: int) -> float:
    """The probability of all paths that read as *labels* when repetitions and blanks are taken away."""
    total = 0.0
    for path in itertools.product(range(probabilities.shape[1]), repeat=len(probabilities)):
        if [c for c, _ in itertools.groupby(path) if c != blank] == labels:
            total += math.prod(probabilities[t, c] for t, c in enumerate(path))
    return total


def logs(*shape: int) -> Any:
    return log_softmax(torch.from_numpy(np.random.default_rng(0).standard_normal(shape)), -1)


@pytest.mark.parametrize("blank", [0, 2])
@pytest.mark.parametrize("labels", [[], [1], [1, 1], [1, 1, 1]])
def test_the_loss_is_minus_the_logarithm_of_all_paths(labels: list[int], blank: int) -> None:
    x = logs(5, 1, 3)
    loss = ctc_loss(x, torch.tensor([labels], dtype=torch.int64), (5,), (len(labels),), blank, "sum")
    assert loss.item() == pytest.approx(-math.log(likelihood(x[:, 0].exp().numpy(), labels, blank)))


def test_frames_and_labels_beyond_the_lengths_do_not_count() -> None:
    x = logs(6, 2, 3)
    losses = ctc_loss(x, torch.tensor([[1, 2, 1], [2, 2, 1]]), (6, 4), (3, 1), reduction="none")
    assert losses[1].item() == pytest.approx(-math.log(likelihood(x[:4, 1].exp().numpy(), [2], 0)))
    joined = ctc_loss(x, torch.tensor([1, 2, 1, 2]), torch.tensor([6, 4]), torch.tensor([3, 1]), reduction="none")
    assert torch.equal(losses, joined)
    mean = ctc_loss(x, torch.tensor([1, 2, 1, 2]), (6, 4), (3, 1))
    assert mean.item() == pytest.approx((losses[0].item() / 3 + losses[1].item()) / 2)


def test_one_sample_needs_no_batch() -> None:
    x = logs(5, 3)
    alone = ctc_loss(x, torch.tensor([1, 2]), torch.tensor(5), torch.tensor(2), reduction="none")
    assert alone.shape == ()
    assert alone.item() == pytest.approx(-math.log(likelihood(x.exp().numpy(), [1, 2], 0)))


def test_two_and_three_derivatives_are_right_behind_a_softmax() -> None:
    logits = torch.from_numpy(np.random.default_rng(1).standard_normal((4, 2, 3))).requires_grad_()

    def loss(x: Any) -> Any:
        return ctc_loss(log_softmax(x, 2), torch.tensor([[1, 1], [2, 1]]), (4, 3), (2, 1), reduction="none")

    def curvature(x: Any) -> Any:
        (first,) = torch.autograd.grad(loss(x).sum(), x, create_graph=True)
        return torch.autograd.grad((first**2).sum(), x, create_graph=True)[0]

    assert gradcheck(loss, (logits,))
    assert gradgradcheck(loss, (logits,))
    assert gradcheck(curvature, (logits,))


def test_what_cannot_be_read_is_infinite_or_zero_with_a_gradient_of_nan_or_zero() -> None:
    x = logs(2, 1, 3).requires_grad_()
    loss = ctc_loss(x, torch.tensor([[1, 1]]), (2,), (2,))
    assert loss.item() == math.inf
    assert torch.autograd.grad(loss, x)[0].isnan().all()
    loss = ctc_loss(x, torch.tensor([[1, 1]]), (2,), (2,), zero_infinity=True)
    assert loss.item() == 0
    assert not torch.autograd.grad(loss, x)[0].any()


def test_long_sequences_do_not_underflow() -> None:
    x = torch.full((2000, 1, 50), 1 / 50).log()
    assert math.isfinite(ctc_loss(x, torch.ones(1, 500, dtype=torch.int64), (2000,), (500,)).item())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"input_lengths": (5, 3)}, "Expected input_lengths to have value at most 4, but got value 5"),
        ({"input_lengths": (4,)}, "input_lengths must be of size batch_size, which is 2, found 1"),
        ({"target_lengths": (2, -1)}, "target_lengths to have value at least 0"),
        ({"target_lengths": (2, 3)}, "size at least 3 at dimension 1, but got size 2"),
        ({"target_lengths": torch.tensor([1.0, 2.0])}, "target_lengths must be integral, found float32"),
        ({"targets": torch.tensor([1, 2, 1])}, "Expected targets of size 4"),
        ({"targets": torch.tensor([[1, 2], [1, 3]])}, "expected classes from 0 to 2, found 1 to 3"),
        ({"blank": 3}, "blank must be in label range: expected 0 to 2, found 3"),
    ],
)
def test_lengths_and_classes_that_do_not_fit_are_refused(change: dict[str, Any], message: str) -> None:
    arguments: dict[str, Any] = {
        "targets": torch.tensor([[1, 2], [1, 1]]),
        "input_lengths": (4, 3),
        "target_lengths": (2, 2),
    }
    with pytest.raises(RuntimeError, match=message):
        ctc_loss(logs(4, 2, 3), **arguments | change)
