"""Checkpointing: the same gradients for less memory, the same random numbers, and a complaint if the function changes."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from contextlib import contextmanager
from typing import Any

import pytest

import allgrad as torch
from allgrad import Tensor, nn
from allgrad.utils.checkpoint import (
    CheckpointError,
    checkpoint,
    checkpoint_sequential,
    noop_context_fn,
    set_checkpoint_early_stop,
)


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 3))


def gradients(net: nn.Module, x: Tensor, program: Callable[[], Tensor]) -> list[list[Any]]:
    """The gradients of the input and all parameters, after *program* with the same random numbers."""
    net.zero_grad()
    x.grad = None
    torch.manual_seed(1)
    program().pow(2).sum().backward()
    return [t.grad.tolist() for t in (x, *net.parameters()) if t.grad is not None]


@pytest.mark.parametrize("reentrant", [True, False])
def test_gradients_are_those_without_checkpointing_random_numbers_too(reentrant: bool) -> None:
    net, x = network(), torch.randn(5, 4, requires_grad=True)
    expected = gradients(net, x, lambda: net(x))
    assert len(expected) == 7
    assert gradients(net, x, lambda: checkpoint(net, x, use_reentrant=reentrant)) == expected
    assert gradients(net, x, lambda: checkpoint_sequential(net, 3, x, use_reentrant=reentrant)) == expected


def test_nested_checkpoints_compute_each_part_once_more() -> None:
    net, x = network(), torch.randn(5, 4, requires_grad=True)
    calls: list[str] = []

    def inner(h: Tensor) -> Tensor:
        calls.append("inner")
        return net[3:](h)

    def outer(h: Tensor) -> Tensor:
        calls.append("outer")
        return checkpoint(inner, net[:3](h), use_reentrant=False)

    expected = gradients(net, x, lambda: net(x))
    assert gradients(net, x, lambda: checkpoint(outer, x, use_reentrant=False)) == expected
    assert calls == ["outer", "inner", "outer", "inner"]


def test_nothing_inside_is_kept_and_the_graph_is_freed_by_reference_counting() -> None:
    gc.disable()
    try:
        x = torch.ones(1000, requires_grad=True)
        y = checkpoint(lambda t: t.exp().sin().exp().sum(), x, use_reentrant=False)
        assert torch.memory(y).total == 0
        node = weakref.ref(y.grad_fn)
        y.backward()
        del y
        assert node() is None
    finally:
        gc.enable()


def test_the_recomputation_stops_when_it_has_what_is_needed() -> None:
    x = torch.ones(1, requires_grad=True)
    reached: list[int] = []

    def function(t: Tensor) -> Tensor:
        y = t.exp()
        reached.append(1)
        return y + 1

    checkpoint(function, x, use_reentrant=False).backward()
    assert len(reached) == 1
    checkpoint(function, x, use_reentrant=False, early_stop=False).backward()
    assert len(reached) == 3
    with set_checkpoint_early_stop(False):
        y = checkpoint(function, x, use_reentrant=False)
    y.backward()
    assert len(reached) == 5


def test_it_can_be_differentiated_twice_and_run_backward_twice() -> None:
    x = torch.tensor([0.3], requires_grad=True)

    def function(t: Tensor) -> Tensor:
        return t.exp().sin()

    (g,) = torch.autograd.grad(checkpoint(function, x, use_reentrant=False), x, create_graph=True)
    (gg,) = torch.autograd.grad(g, x)
    (h,) = torch.autograd.grad(function(x), x, create_graph=True)
    (hh,) = torch.autograd.grad(h, x)
    assert (g.item(), gg.item()) == (h.item(), hh.item())
    y = checkpoint(function, x, use_reentrant=False)
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad is not None
    assert x.grad.item() == pytest.approx(2 * h.item())


def test_a_function_that_does_something_else_the_second_time_is_noticed() -> None:
    x = torch.ones(2, requires_grad=True)
    calls: list[int] = []

    def fewer(t: Tensor) -> Tensor:
        calls.append(1)
        return t.exp() if len(calls) == 1 else t + 1

    y = checkpoint(fewer, x, use_reentrant=False)
    with pytest.raises(CheckpointError, match=r"during forward: 1\..*during recomputation: 0.*test_checkpoint.py"):
        y.sum().backward()
    calls.clear()

    def longer(t: Tensor) -> Tensor:
        calls.append(1)
        return torch.cat([t] * len(calls)).exp()

    y = checkpoint(longer, x, use_reentrant=False)
    with pytest.raises(CheckpointError, match=r"position 0: saved \[2\] torch.float32, recomputed \[4\]"):
        y.sum().backward()
    with pytest.raises(ValueError, match="determinism_check should be one of"):
        checkpoint(longer, x, use_reentrant=False, determinism_check="always")


def test_random_numbers_go_on_where_they_were_after_the_recomputation() -> None:
    x = torch.ones(3, requires_grad=True)
    torch.manual_seed(3)
    y = checkpoint(lambda t: torch.dropout(t, 0.5, True).exp(), x, use_reentrant=False)
    expected = torch.rand(2, generator=torch.Generator().set_state(torch.get_rng_state()))
    y.sum().backward()
    assert torch.equal(torch.rand(2), expected)


def test_forward_and_recomputation_run_in_contexts_of_their_own() -> None:
    log: list[str] = []

    @contextmanager
    def noting(name: str) -> Any:
        log.append(name)
        yield

    x = torch.ones(1, requires_grad=True)
    y = checkpoint(torch.exp, x, use_reentrant=False, context_fn=lambda: (noting("forward"), noting("again")))
    y.backward()
    assert log == ["forward", "again"]


def test_only_the_form_that_is_not_reentrant_takes_keywords_and_serves_grad() -> None:
    x = torch.ones(1, requires_grad=True)
    assert checkpoint(lambda t, power: t**power, x, power=2, use_reentrant=False).item() == 1.0
    with pytest.raises(ValueError, match="Unexpected keyword arguments: power"):
        checkpoint(lambda t, power: t**power, x, power=2, use_reentrant=True)
    with pytest.raises(ValueError, match="only supported when use_reentrant=False"):
        checkpoint(torch.exp, x, use_reentrant=True, context_fn=lambda: noop_context_fn())
    y = checkpoint(torch.exp, x, use_reentrant=True)
    with pytest.raises(RuntimeError, match=r"incompatible with \.grad\(\)"):
        torch.autograd.grad(y, x)
    with pytest.warns(UserWarning, match="should be passed explicitly"):
        checkpoint(torch.exp, x)
    with pytest.warns(UserWarning, match="None of the inputs have requires_grad=True"):
        checkpoint(torch.exp, torch.ones(1), use_reentrant=True)


def test_nothing_is_done_where_nothing_is_recorded() -> None:
    x = torch.ones(1, requires_grad=True)
    with torch.no_grad():
        y = checkpoint(torch.exp, x, use_reentrant=False)
    assert not y.requires_grad
