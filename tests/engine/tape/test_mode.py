"""Recording on and off: contexts, decorators, generators, and each thread on its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import allgrad as torch
from allgrad import Tensor


def test_contexts_nest_and_put_back_what_was_there() -> None:
    states = []
    with torch.no_grad():
        states.append(torch.is_grad_enabled())
        with torch.enable_grad():
            states.append(torch.is_grad_enabled())
        with torch.set_grad_enabled(True):
            states.append(torch.is_grad_enabled())
        states.append(torch.is_grad_enabled())
    assert states == [False, True, True, False]
    assert torch.is_grad_enabled()


def test_an_exception_puts_the_mode_back() -> None:
    with pytest.raises(ValueError, match="out"), torch.no_grad():
        raise ValueError("out")
    assert torch.is_grad_enabled()


def test_one_context_can_be_entered_again_inside_itself() -> None:
    context = torch.no_grad()
    with context:
        with context:
            assert not torch.is_grad_enabled()
        assert not torch.is_grad_enabled()
    assert torch.is_grad_enabled()


def test_set_grad_enabled_acts_at_once() -> None:
    torch.set_grad_enabled(False)
    try:
        assert not (torch.ones(1, requires_grad=True) * 2).requires_grad
    finally:
        torch.set_grad_enabled(True)
    assert torch.is_grad_enabled()


@pytest.mark.parametrize(
    "decorate",
    [
        torch.no_grad(),
        torch.no_grad,
        lambda function: torch.set_grad_enabled(False)(function),  # made here, it would act at once
        torch.inference_mode(),
        torch.inference_mode,
    ],
)
def test_modes_decorate_functions(decorate: Callable[[Any], Any]) -> None:
    @decorate
    def doubled(x: Tensor) -> Tensor:
        """Twice x."""
        return x * 2

    assert torch.is_grad_enabled()
    assert not doubled(torch.ones(1, requires_grad=True)).requires_grad
    assert torch.is_grad_enabled()
    assert (doubled.__name__, doubled.__doc__) == ("doubled", "Twice x.")


def test_a_decorated_function_may_call_itself() -> None:
    @torch.no_grad()  # type: ignore[untyped-decorator]
    def depth(n: int) -> int:
        assert not torch.is_grad_enabled()
        return 0 if n == 0 else 1 + depth(n - 1)

    assert depth(5) == 5
    assert torch.is_grad_enabled()


def test_a_decorated_generator_has_its_mode_only_while_it_runs() -> None:
    received: list[Any] = []
    closed: list[bool] = []

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def steps() -> Iterator[bool]:
        try:
            received.append((yield torch.is_grad_enabled()))
            yield torch.is_grad_enabled()
        except KeyError:
            yield torch.is_grad_enabled()
        finally:
            closed.append(torch.is_grad_enabled())

    generator: Any = steps()
    assert (next(generator), torch.is_grad_enabled()) == (False, True)
    assert (generator.send("sent"), torch.is_grad_enabled()) == (False, True)
    assert (generator.throw(KeyError()), torch.is_grad_enabled()) == (False, True)
    generator.close()
    assert (received, closed, torch.is_grad_enabled()) == (["sent"], [False], True)


def test_inference_mode_says_so() -> None:
    with torch.inference_mode():
        assert torch.is_inference_mode_enabled()
        y = torch.ones(1, requires_grad=True) * 2
        with torch.inference_mode(False):
            assert not torch.is_inference_mode_enabled()
            assert torch.is_grad_enabled()
        assert not torch.is_grad_enabled()
    assert not torch.is_inference_mode_enabled()
    assert not y.requires_grad


def test_leaves_can_be_made_and_marked_while_nothing_is_recorded() -> None:
    with torch.no_grad():
        x = torch.ones(2, requires_grad=True)
        y = x * 2
        assert (x.requires_grad, y.requires_grad, y.grad_fn) == (True, False, None)
        y.requires_grad_()
    assert y.is_leaf
    (y * 3).sum().backward()
    assert y.grad is not None
    assert y.grad.tolist() == [3.0, 3.0]


def test_a_new_thread_records_whatever_its_starter_does() -> None:
    states: list[bool] = []
    with torch.no_grad():
        thread = threading.Thread(target=lambda: states.append(torch.is_grad_enabled()))
        thread.start()
        thread.join()
    assert states == [True]


def test_threads_do_not_change_each_others_mode() -> None:
    entered, leave = threading.Event(), threading.Event()

    def without() -> None:
        with torch.no_grad():
            entered.set()
            leave.wait(10)

    thread = threading.Thread(target=without)
    thread.start()
    entered.wait(10)
    assert torch.is_grad_enabled()
    leave.set()
    thread.join()


def test_backward_runs_in_many_threads_at_once() -> None:
    shared = torch.ones(8, requires_grad=True)

    def work(number: int) -> list[float]:
        own = torch.full((8,), float(number), requires_grad=True)
        for _ in range(50):
            hidden = own * shared
            for _ in range(5):
                hidden = hidden * 1.0 + own * 0.0
            hidden.sum().backward()
        assert own.grad is not None
        found: list[float] = own.grad.tolist()
        return found

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(work, range(8)))
    assert results == [[50.0] * 8] * 8
    assert shared.grad is not None
    assert shared.grad.tolist() == [50.0 * sum(range(8))] * 8


def test_one_graph_can_be_run_from_several_threads() -> None:
    x = torch.ones(4, requires_grad=True)
    y = (x * x).sum()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: y.backward(retain_graph=True), range(20)))
    assert x.grad is not None
    assert x.grad.tolist() == [40.0] * 4
