"""Embeddings, alone and in bags: what their options do, how they print, and what they refuse."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import allgrad as torch
from allgrad import nn
from allgrad.nn import functional as F


def table(rows: int = 4) -> torch.Tensor:
    return torch.arange(2.0 * rows).reshape(rows, 2).requires_grad_()


def test_a_row_that_is_used_twice_gets_both_gradients_or_their_mean() -> None:
    for scaled, expected in ((False, 2.0), (True, 1.0)):
        weight = table()
        F.embedding(torch.tensor([1, 3, 1]), weight, scale_grad_by_freq=scaled).sum().backward()
        assert weight.grad is not None
        assert weight.grad[:, 0].tolist() == [0.0, expected, 0.0, 1.0]


def test_long_rows_that_are_used_are_shortened_in_place() -> None:
    weight = torch.tensor([[3.0, 4.0], [6.0, 8.0], [0.3, 0.4]])
    F.embedding(torch.tensor([0, 2]), weight, max_norm=1.0)
    np.testing.assert_allclose(weight.numpy(), [[0.6, 0.8], [6.0, 8.0], [0.3, 0.4]], rtol=1e-6)


def test_the_padding_row_is_left_out_of_bags_and_of_training() -> None:
    bags = nn.EmbeddingBag(4, 2, mode="mean", padding_idx=2)
    assert bags.weight[2].tolist() == [0.0, 0.0]
    found = bags(torch.tensor([0, 2, 1, 2]), torch.tensor([0, 3]))
    assert torch.allclose(found[0], (bags.weight[0] + bags.weight[1]) / 2)
    assert found[1].tolist() == [0.0, 0.0]
    found.sum().backward()
    assert bags.weight.grad is not None
    assert bags.weight.grad[2].tolist() == [0.0, 0.0]


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
def test_a_bag_equals_the_reduction_of_its_embeddings_and_an_empty_one_is_zero(mode: str) -> None:
    weight = torch.from_numpy(np.random.default_rng(0).normal(size=(5, 3)))
    found = F.embedding_bag(torch.tensor([4, 1, 1, 0]), weight, torch.tensor([0, 3, 3]), mode=mode)
    rows = weight.numpy()[[4, 1, 1]]
    reduced: dict[str, Any] = {"sum": rows.sum(0), "mean": rows.mean(0), "max": rows.max(0)}
    np.testing.assert_allclose(found.numpy(), [reduced[mode], np.zeros(3), weight.numpy()[0]])


def test_rows_of_a_matrix_are_bags_and_can_be_weighed() -> None:
    weights = torch.tensor([[1.0, -1.0], [0.5, 0.0]], requires_grad=True)
    found = F.embedding_bag(torch.tensor([[0, 1], [2, 3]]), table(), mode="sum", per_sample_weights=weights)
    assert found.tolist() == [[-2.0, -2.0], [2.0, 2.5]]
    found.sum().backward()
    assert weights.grad is not None
    assert weights.grad.tolist() == [[1.0, 5.0], [9.0, 13.0]]


def test_the_last_offset_can_be_the_end() -> None:
    index, weight = torch.tensor([0, 1, 2]), table()
    found = F.embedding_bag(index, weight, torch.tensor([0, 2, 3]), include_last_offset=True)
    assert torch.equal(found, F.embedding_bag(index, weight, torch.tensor([0, 2])))


def test_a_pretrained_table_is_trained_only_if_not_frozen() -> None:
    for kind in (nn.Embedding, nn.EmbeddingBag):
        assert not kind.from_pretrained(torch.ones(3, 2)).weight.requires_grad
        assert kind.from_pretrained(torch.ones(3, 2), freeze=False).weight.requires_grad


@pytest.mark.parametrize(
    ("module", "printed"),
    [
        (nn.Embedding(3, 4), "Embedding(3, 4)"),
        (
            nn.Embedding(3, 4, -1, 2.0, 1.0, True, True),
            "Embedding(3, 4, padding_idx=2, max_norm=2.0, norm_type=1.0, scale_grad_by_freq=True, sparse=True)",
        ),
        (nn.EmbeddingBag(3, 4, mode="max", padding_idx=1), "EmbeddingBag(3, 4, mode='max', padding_idx=1)"),
        (nn.EmbeddingBag(3, 4, 2.0), "EmbeddingBag(3, 4, max_norm=2.0, mode='mean')"),
    ],
)
def test_a_module_prints_as_in_pytorch(module: nn.Module, printed: str) -> None:
    assert repr(module) == printed


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda w: F.embedding(torch.tensor([7]), w), IndexError, "4 rows, found index 7"),
        (lambda w: F.embedding(torch.tensor([1.0]), w), RuntimeError, "found torch.float32"),
        (lambda w: F.embedding(torch.tensor([1]), w[0]), RuntimeError, "must be 2-D"),
        (lambda w: F.embedding(torch.tensor([1]), w, 9), AssertionError, "found 9 of 4"),
        (lambda w: F.embedding_bag(torch.tensor([1]), w), ValueError, "1D Tensor but got None"),
        (lambda w: F.embedding_bag(torch.tensor([1]), w, torch.tensor([1])), RuntimeError, r"offsets\[0\] has to be 0"),
        (lambda w: F.embedding_bag(torch.tensor([1]), w, torch.tensor([0, 2])), RuntimeError, "length 1"),
        (lambda w: F.embedding_bag(torch.tensor([1, 2]), w, torch.tensor([0, 2, 1])), RuntimeError, "ascend"),
        (lambda w: F.embedding_bag(torch.tensor([[1]]), w, torch.tensor([0])), ValueError, "offsets has to be None"),
        (lambda w: F.embedding_bag(torch.tensor([[9]]), w), RuntimeError, "takes value 9"),
        (lambda w: F.embedding_bag(torch.tensor([[1]]), w, mode="min"), ValueError, "'min'"),
        (lambda w: F.embedding_bag(torch.tensor([[1]]), w, padding_idx=7), RuntimeError, "-4 through 3"),
        (
            lambda w: F.embedding_bag(torch.tensor([[1]]), w, per_sample_weights=torch.ones(1, 1)),
            NotImplementedError,
            "mode='mean'",
        ),
    ],
)
def test_what_does_not_fit_is_refused(call: Any, error: type, words: str) -> None:
    with pytest.raises(error, match=words):
        call(table())
