"""L-BFGS: its minima, its state, its errors, and PyTorch's numbers where it is installed."""

from __future__ import annotations

import copy
import io
from typing import Any

import numpy as np
import pytest

import allgrad
from allgrad import optim
from allgrad.optim.lbfgs import LBFGS
from allgrad.optim.line_search import Point, strong_wolfe

OPTIONS: list[dict[str, Any]] = [
    {},
    {"lr": 0.1, "max_iter": 5},
    {"line_search_fn": "strong_wolfe"},
    {"line_search_fn": "strong_wolfe", "lr": 0.3, "history_size": 2, "max_iter": 7},
    {"line_search_fn": "strong_wolfe", "max_eval": 3},
]


def rosenbrock(x: Any, y: Any) -> Any:
    """The banana valley, whose least value is 0 at (1, 1)."""
    return (1 - x[0]) ** 2 + 100 * (y - x[0] ** 2) ** 2 + x[1] ** 4 + (x[1] - 0.5).abs()


def losses(library: Any, steps: int, **options: Any) -> list[float]:
    x = library.tensor([-0.5, 0.7], dtype=library.float64, requires_grad=True)
    y = library.tensor(0.3, dtype=library.float64, requires_grad=True)
    unused = library.tensor([1.0], dtype=library.float64, requires_grad=True)
    optimizer = library.optim.LBFGS([x, unused, y], **options)
    found: list[float] = []

    def closure() -> Any:
        optimizer.zero_grad()
        loss = rosenbrock(x, y)
        loss.backward()
        found.append(loss.item())
        return loss

    for _ in range(steps):
        optimizer.step(closure)
    return found


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_every_evaluation_equals_pytorchs(options: dict[str, Any]) -> None:
    torch: Any = pytest.importorskip("torch")
    steps = 2 if options else 1  # without a line search the valley throws it far away, where rounding decides
    ours, theirs = losses(allgrad, steps, **options), losses(torch, steps, **options)
    assert len(ours) == len(theirs)
    np.testing.assert_allclose(ours[:20], theirs[:20], rtol=1e-6)


def test_it_finds_the_minimum_in_few_evaluations() -> None:
    x = allgrad.tensor([-1.0, 2.0], dtype=allgrad.float64, requires_grad=True)
    optimizer = LBFGS([x], max_iter=100, line_search_fn="strong_wolfe")

    def closure() -> Any:
        optimizer.zero_grad()
        loss = (1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2
        loss.backward()
        return loss

    first = optimizer.step(closure)
    assert first.item() == pytest.approx(104.0)
    np.testing.assert_allclose(x.detach().numpy(), [1, 1], atol=1e-6)
    assert optimizer.state[x]["func_evals"] < 100


def test_complex_parameters_count_as_pairs_of_numbers() -> None:
    z = allgrad.tensor([1 + 2j, -3j], requires_grad=True)
    optimizer = LBFGS([z], line_search_fn="strong_wolfe")

    def closure() -> Any:
        optimizer.zero_grad()
        loss = ((z - (2 - 1j)).abs() ** 2).sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    np.testing.assert_allclose(z.detach().numpy(), [2 - 1j, 2 - 1j], atol=1e-5)


def test_a_saved_optimizer_goes_on_as_if_it_had_not_stopped() -> None:
    def run(interrupted: bool) -> Any:
        x = allgrad.tensor([-1.0, 2.0], requires_grad=True)
        optimizer = LBFGS([x], max_iter=3, line_search_fn="strong_wolfe")

        def closure() -> Any:
            optimizer.zero_grad()
            loss = (1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2
            loss.backward()
            return loss

        optimizer.step(closure)
        if interrupted:
            file = io.BytesIO()
            allgrad.save(optimizer.state_dict(), file)
            file.seek(0)
            optimizer = LBFGS([x], max_iter=3, line_search_fn="strong_wolfe")
            optimizer.load_state_dict(copy.deepcopy(allgrad.load(file)))
        optimizer.step(closure)
        return x.detach().numpy()

    assert run(True).tolist() == run(False).tolist()


def test_a_change_by_the_optimizer_is_noticed_by_backward() -> None:
    x = allgrad.tensor([1.0], requires_grad=True)
    optimizer = LBFGS([x], max_iter=1)
    before = (x * x).sum()

    def closure() -> Any:
        optimizer.zero_grad()
        loss = (x * x).sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        before.backward()


def test_a_line_search_on_a_loss_that_turns_infinite_stays_where_it_is_finite() -> None:
    def evaluate(step: float) -> Point:
        loss = np.float64(-step if step < 0.3 else np.inf)
        return Point(step, loss, np.array([-1.0]), np.float64(-1.0 if step < 0.3 else np.nan))

    reached, calls = strong_wolfe(evaluate, evaluate(0.0), 1.0, 1.0, 1e-9, 25)
    assert np.isfinite(reached.loss)
    assert 0 <= reached.step < 0.3
    assert calls <= 26


def test_impossible_arguments_raise_pytorchs_errors() -> None:
    x = allgrad.zeros(1, requires_grad=True)
    with pytest.raises(ValueError, match="doesn't support per-parameter options"):
        optim.LBFGS([{"params": [x]}, {"params": [allgrad.zeros(1, requires_grad=True)]}])
    with pytest.raises(ValueError, match="Invalid learning rate: -1"):
        optim.LBFGS([x], lr=-1)
    with pytest.raises(RuntimeError, match="only 'strong_wolfe' is supported"):
        optim.LBFGS([x], line_search_fn="weak").step(lambda: x.sum())
