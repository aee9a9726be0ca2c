"""Operations tell observers what they did, in the observers' own thread, and nothing else changes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

import allgrad as torch
from allgrad import Tensor
from allgrad.registry.observe import start_observing, stop_observing


@contextmanager
def watched() -> Iterator[list[str]]:
    """The names of the operations that run inside."""
    seen: list[str] = []

    def note(op: Any, args: Any, kwargs: Any, result: Any) -> None:
        seen.append(op.name if op is not None else "Function")

    start_observing(note)
    try:
        yield seen
    finally:
        stop_observing(note)


def test_operations_of_every_form_are_seen_once() -> None:
    x = torch.ones(2, 2)
    with watched() as seen:
        x * 2
        2 * x
        torch.mul(x, other=x)
        x.sum(dim=0)
        x.max(0)
        torch.cat([x, x])
        x[0]
    assert seen == ["mul", "mul", "mul", "sum_over", "max_along", "cat", "index_by"]
    x * 2
    assert len(seen) == 7


def test_an_operation_called_first_while_watched_is_seen_then_and_not_later() -> None:
    class Fresh(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:
            return torch.special.ndtri(x)

    x = torch.tensor([0.5])
    with watched() as seen:
        Fresh.apply(x)
    assert seen[-1] == "Function"
    during = len(seen)
    assert during > 1
    torch.special.ndtri(x)
    assert len(seen) == during


def test_results_errors_and_lines_are_the_same_while_watched() -> None:
    x = torch.ones(2, requires_grad=True)
    with watched():
        y = x * 3  # the line of interest
        with pytest.raises(RuntimeError, match="must match the size"):
            x * torch.ones(3)
        with pytest.raises(TypeError):
            x * "3"
    assert y.grad_fn is not None
    assert "# the line of interest" in str(y.grad_fn.place)
    y.sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [3.0, 3.0]


def test_other_threads_are_not_observed() -> None:
    x = torch.ones(2)
    with watched() as seen:
        thread = threading.Thread(target=lambda: x * 2)
        thread.start()
        thread.join()
    assert seen == []


def test_observers_may_be_nested() -> None:
    x = torch.ones(2)
    with watched() as outer:
        with watched() as inner:
            x + 1
        x - 1
    assert (len(inner), len(outer)) == (1, 2)
