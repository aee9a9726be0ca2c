"""Every operation mapped over a batch gives what it gives for each example, and so do its gradients."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import allgrad
from allgrad import Tensor
from allgrad.batching import loops
from allgrad.func import grad, vmap
from allgrad.registry import OPERATIONS

from ..derivatives import samples_of, weighted_sum
from .every_operation import Case, case_of

NAMES = [name for name, op in OPERATIONS.items() if op.samples is not None]

ROW_BY_ROW = {
    "cumprod_along", "local_response_norm",
    "ctc_likelihood", "ctc_loss", "ctc_posterior", "decayed_sum", "frames", "istft", "lstm_run", "mode", "mode_along",
    "multilabel_margin_loss", "overlap_added", "stft", "unfold", "unfold_copy", "unfold_zeros",
}  # fmt: skip
"""The operations that, for some of their samples, are computed for one example after the other."""

BY_THE_DATA = {"repeat_interleave", "tensor_split"}
"""Those whose result has another shape for other integers, which vmap refuses."""


@pytest.fixture
def looped() -> Iterator[list[str]]:
    found: list[str] = []
    loops.told = found.append
    yield found
    loops.told = None


def cases(name: str) -> Iterator[Case]:
    for sample in samples_of(name):
        case = case_of(OPERATIONS[name], sample)
        if case.points:
            yield case


def masks(name: str, case: Case) -> list[list[bool]]:
    """Which of the points are batches: all, only those that can be differentiated, only the first."""
    floating = [p.is_floating_point() for p in case.points]
    wanted = [floating, [i == 0 for i in range(len(floating))]]
    if name not in BY_THE_DATA:
        wanted.append([True] * len(floating))
    return [list(mask) for mask in dict.fromkeys(map(tuple, wanted)) if any(mask)]


def rows_of(case: Case, function: Callable[..., Any], mask: list[bool]) -> list[Any] | None:
    """*function* of each of the three examples; None where the samples' integers in another order are no valid input."""
    if all(p.is_floating_point() for p, own in zip(case.points, mask, strict=True) if own):
        return [function(*row) for row in case.rows(mask)]
    try:
        return [function(*row) for row in case.rows(mask)]
    except (RuntimeError, IndexError, ValueError):
        return None


def arguments(case: Case, mask: list[bool]) -> tuple[tuple[int | None, ...], list[Tensor]]:
    batches = [b if own else p for b, p, own in zip(case.batches(), case.points, mask, strict=True)]
    return tuple(0 if own else None for own in mask), batches


def stacked(rows: list[Any], position: int) -> Any:
    return np.stack([row[position].detach().numpy() for row in rows])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.filterwarnings("ignore")
def test_a_batch_gives_what_each_of_its_examples_gives(name: str, looped: list[str]) -> None:
    for case in cases(name):
        for mask in masks(name, case):
            expected = rows_of(case, case.function, mask)
            if expected is None:
                continue
            dims, batches = arguments(case, mask)
            del looped[:]
            found = vmap(case.function, in_dims=dims, randomness="same")(*batches)
            if name not in ROW_BY_ROW and all(p.is_floating_point() for p in case.points):
                assert looped == []
            for position, result in enumerate(found):
                assert result.dtype is expected[0][position].dtype
                np.testing.assert_allclose(result.numpy(), stacked(expected, position), rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("name", [name for name in NAMES if any(case.differentiable for case in cases(name))])
@pytest.mark.filterwarnings("ignore")
def test_the_gradient_of_a_batch_is_that_of_each_of_its_examples(name: str) -> None:
    for case in cases(name):
        numbers = case.differentiable

        def loss(*points: Tensor, case: Case = case) -> Tensor:
            return weighted_sum(list(case.function(*points)))

        for mask in masks(name, case)[:1] if numbers else []:
            expected = [grad(loss, numbers)(*row) for row in case.rows(mask)]
            dims, batches = arguments(case, mask)
            found = vmap(grad(loss, numbers), in_dims=dims, randomness="same")(*batches)
            for position, result in enumerate(found):
                np.testing.assert_allclose(result.detach().numpy(), stacked(expected, position), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("name", [name for name in NAMES if any(len(case.differentiable) > 1 for case in cases(name))])
@pytest.mark.filterwarnings("ignore")
def test_what_all_examples_share_gets_the_sum_of_their_gradients(name: str) -> None:
    for case in cases(name):
        numbers = case.differentiable
        if len(numbers) < 2:
            continue
        mask = [i == numbers[0] for i in range(len(case.points))]

        def loss(*points: Tensor, case: Case = case) -> Tensor:
            return weighted_sum(list(case.function(*points)))

        expected = [grad(loss, numbers)(*row) for row in case.rows(mask)]
        dims, batches = arguments(case, mask)

        def mapped(*points: Tensor, dims: Any = dims) -> Tensor:
            return vmap(loss, in_dims=dims, randomness="same")(*points).sum()

        found = grad(mapped, numbers)(*batches)
        for position, (number, result) in enumerate(zip(numbers, found, strict=True)):
            each = stacked(expected, position)
            wanted = each if mask[number] else each.sum(0)
            np.testing.assert_allclose(result.detach().numpy(), wanted, rtol=1e-6, atol=1e-8)


def test_hardly_an_operation_is_computed_row_by_row() -> None:
    assert set(NAMES) >= ROW_BY_ROW
    assert len(ROW_BY_ROW) < 0.03 * len(NAMES)


def test_warnings_of_the_samples_stay_warnings() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        vmap(lambda x: allgrad.nn.functional.mse_loss(x, allgrad.zeros(1)))(allgrad.ones(2, 3))
    assert [str(w.category.__name__) for w in caught] == ["UserWarning"]
