"""Deep graphs run and are freed without recursion, and training leaves nothing behind for the garbage collector."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import allgrad as torch
from allgrad import Tensor

DEEP = 100_000  # two orders of magnitude beyond Python's recursion limit


@pytest.fixture
def no_garbage_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def test_a_chain_of_a_million_operations_runs_backward_and_is_freed() -> None:
    x = torch.tensor([1.0], requires_grad=True)
    y = x
    for _ in range(1_000_000):
        y = y + 1.0
    assert y.item() == 1_000_001.0
    y.backward()
    assert x.grad is not None
    assert x.grad.item() == 1.0


class Same(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x * 1.0

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:
        return g


CHAINS: dict[str, Callable[[Tensor], Tensor]] = {
    "views": lambda y: y.view(1),
    "custom functions": Same.apply,
    "several inputs": lambda y: torch.cat([y, y])[:1],
    "in place": lambda y: y.mul_(1.0),
    "several outputs": lambda y: y.max(0, keepdim=True)[0],
}


@pytest.mark.parametrize("kind", list(CHAINS))
def test_deep_chains_of_every_kind_run_backward(kind: str) -> None:
    x = torch.tensor([1.0], requires_grad=True)
    y = x * 1.0
    for _ in range(DEEP // 10):
        y = CHAINS[kind](y)
    y.sum().backward()
    assert x.grad is not None
    assert x.grad.item() == 1.0


@pytest.mark.parametrize("kind", list(CHAINS))
def test_deep_chains_of_every_kind_are_freed_without_running(kind: str) -> None:
    y = torch.tensor([1.0], requires_grad=True) * 1.0
    node = weakref.ref(y.grad_fn)
    for _ in range(DEEP // 10):
        y = CHAINS[kind](y)
    del y
    assert node() is None


def test_a_deep_chain_can_be_differentiated_with_create_graph() -> None:
    x = torch.tensor([1.0], requires_grad=True)
    y = x
    for _ in range(DEEP // 10):
        y = y * 1.0
    (g,) = torch.autograd.grad(y * y, x, create_graph=True)
    g.backward()
    assert x.grad is not None
    assert x.grad.item() == 2.0


def test_a_view_of_a_view_of_a_view_follows_a_change_of_its_base() -> None:
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    base = x * 1.0
    view = base
    for _ in range(DEEP // 10):
        view = view.view(2)
    base.mul_(3.0)
    view.sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [3.0, 3.0]


def step(w: Tensor, b: Tensor) -> None:
    """One training step, and some of everything else that records."""
    hidden = (torch.randn(8, 16) @ w + b).relu()
    loss = (hidden**2).mean()
    w.grad = b.grad = None
    loss.backward()
    with torch.no_grad():
        w.sub_(w.grad, alpha=0.01)
    changed = w * 2
    changed[0] = 1.0
    changed[:, 1].mul_(2)
    changed.retain_grad()
    changed.register_hook(lambda g: g * 1)
    changed.max(0).values.sum().backward()
    Same.apply(w).sum()
    (g,) = torch.autograd.grad((w**3).sum(), w, create_graph=True)
    g.sum().backward()


@pytest.mark.usefixtures("no_garbage_collector")
def test_a_thousand_steps_leave_nothing_for_the_garbage_collector() -> None:
    w, b = torch.randn(16, 16, requires_grad=True), torch.zeros(16, requires_grad=True)
    for _ in range(10):
        step(w, b)
    gc.collect()
    before = len(gc.get_objects())
    for _ in range(1000):
        step(w, b)
    assert len(gc.get_objects()) - before < 20
    assert gc.collect() == 0


@pytest.mark.usefixtures("no_garbage_collector")
def test_a_dropped_graph_is_freed_by_reference_counting() -> None:
    x = torch.ones(4, requires_grad=True)
    hidden = (x * 2).exp()
    hidden.register_hook(lambda g: g)
    hidden.retain_grad()
    view = hidden[1:]
    view.mul_(3)
    loss = torch.cat([view, hidden]).sum()
    nodes = [weakref.ref(t.grad_fn) for t in (hidden, view, loss)]
    memory = weakref.ref(hidden)
    del hidden, view, loss
    assert [node() for node in nodes] == [None, None, None]
    assert memory() is None


@pytest.mark.usefixtures("no_garbage_collector")
def test_backward_frees_what_was_saved_as_it_passes() -> None:
    x = torch.ones(4, requires_grad=True)
    middle = x.exp()
    saved = weakref.ref(middle)
    y = middle * middle
    del middle
    assert saved() is not None
    y.sum().backward()
    assert saved() is None
