"""Hooks on tensors, leaves and nodes: when they are called, with what, and what their results do."""

from __future__ import annotations

from typing import Any

import pytest

import allgrad as torch
from allgrad import Tensor


@pytest.fixture
def x() -> Tensor:
    return torch.ones(2, requires_grad=True)


def gradient(t: Tensor) -> list[float]:
    assert t.grad is not None
    found: list[float] = t.grad.tolist()
    return found


def test_a_hook_on_a_leaf_sees_each_gradient_until_it_is_removed(x: Tensor) -> None:
    seen: list[list[float]] = []
    handle = x.register_hook(lambda g: seen.append(g.tolist()))
    (x * 2).sum().backward()
    handle.remove()
    handle.remove()
    (x * 3).sum().backward()
    assert seen == [[2.0, 2.0]]
    assert gradient(x) == [5.0, 5.0]


def test_hooks_replace_the_gradient_one_after_the_other(x: Tensor) -> None:
    x.register_hook(lambda g: g * 10)
    x.register_hook(lambda g: g + 1)
    (x * 2).sum().backward()
    assert gradient(x) == [21.0, 21.0]


def test_a_hook_on_a_result_changes_what_flows_on(x: Tensor) -> None:
    y = x * 2
    y.register_hook(lambda g: g * 10)
    y.sum().backward()
    assert gradient(x) == [20.0, 20.0]


def test_a_hook_runs_for_grad_too(x: Tensor) -> None:
    y = x * 2
    x.register_hook(lambda g: g * 10)
    y.register_hook(lambda g: g * 3)
    assert [g.tolist() for g in torch.autograd.grad(y.sum(), [y, x])] == [[3.0, 3.0], [60.0, 60.0]]


@pytest.mark.parametrize("retain_first", [True, False])
def test_a_retained_gradient_is_what_the_hooks_made_of_it(x: Tensor, retain_first: bool) -> None:
    y = x * 2
    if retain_first:
        y.retain_grad()
    y.register_hook(lambda g: g * 10)
    y.retain_grad()
    assert y.retains_grad
    (y * 3).sum().backward()
    assert gradient(y) == [30.0, 30.0]


def test_a_retained_gradient_accumulates(x: Tensor) -> None:
    y = x + 1
    y.retain_grad()
    y.sum().backward()
    y.sum().backward()
    assert gradient(y) == [2.0, 2.0]


def test_retain_grad_follows_a_tensor_that_is_changed_in_place(x: Tensor) -> None:
    y = x * 2
    y.retain_grad()
    y.mul_(3)
    y[0:1].mul_(5)
    y.sum().backward()
    assert gradient(y) == [1.0, 1.0]
    assert gradient(x) == [30.0, 6.0]


def test_retain_grad_of_a_leaf_does_nothing(x: Tensor) -> None:
    x.retain_grad()
    assert not x.retains_grad


@pytest.mark.parametrize("method", ["retain_grad", "register_hook", "register_post_accumulate_grad_hook"])
def test_a_tensor_that_records_nothing_has_no_hooks(method: str) -> None:
    with pytest.raises(RuntimeError):
        getattr(torch.ones(2), method)(*([] if method == "retain_grad" else [print]))


def test_a_hook_that_returns_no_tensor_is_named(x: Tensor) -> None:
    def careless(g: Tensor) -> Any:
        return 3

    x.register_hook(careless)
    with pytest.raises(TypeError, match="hook 'careless' returned 'int'"):
        (x * 2).sum().backward()


@pytest.mark.parametrize(
    ("returned", "complaint"),
    [
        (lambda g: torch.ones(3), r"changed the size of value: it was given \[2\] and returned \[3\]"),
        (lambda g: g.double(), "changed the type of value"),
    ],
)
def test_a_hook_may_not_change_shape_or_type(x: Tensor, returned: Any, complaint: str) -> None:
    x.register_hook(returned)
    with pytest.raises(RuntimeError, match=complaint):
        (x * 2).sum().backward()


def test_a_hook_under_create_graph_is_differentiated(x: Tensor) -> None:
    y = x * 1
    y.register_hook(lambda g: g * x)
    (first,) = torch.autograd.grad((y * 3).sum(), x, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), x)
    assert (first.tolist(), second.tolist()) == ([3.0, 3.0], [3.0, 3.0])


def test_a_hook_is_not_recorded_in_an_ordinary_pass(x: Tensor) -> None:
    modes: list[bool] = []
    x.register_hook(lambda g: modes.append(torch.is_grad_enabled()))
    (x * 2).sum().backward()
    assert modes == [False]


def test_a_node_hook_sees_both_sides_and_replaces_the_outgoing(x: Tensor) -> None:
    y = x * 2
    seen: list[Any] = []

    def hook(grad_inputs: Any, grad_outputs: Any) -> Any:
        seen.append((grad_inputs[0].tolist(), grad_inputs[1], grad_outputs[0].tolist()))
        return grad_inputs[0] * 5, None

    assert y.grad_fn is not None
    handle = y.grad_fn.register_hook(hook)
    y.backward(torch.tensor([1.0, 3.0]))
    assert seen == [([2.0, 6.0], None, [1.0, 3.0])]
    assert gradient(x) == [10.0, 30.0]
    handle.remove()


def test_a_node_pre_hook_replaces_the_incoming_after_the_hooks_on_the_tensor(x: Tensor) -> None:
    y = x * 2
    assert y.grad_fn is not None
    y.register_hook(lambda g: g * 3)
    y.grad_fn.register_prehook(lambda gs: (gs[0] + 1,))
    y.register_hook(lambda g: g * 5)
    (y * 2).sum().backward()
    assert gradient(x) == [62.0, 62.0]


def test_a_pre_hook_of_a_node_with_several_outputs_sees_them_all() -> None:
    class Two(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, a: Tensor) -> Any:
            return a * 2, a * 3

        @staticmethod
        def backward(ctx: Any, g: Tensor, h: Tensor) -> Tensor:
            return g * 2 + h * 3

    a = torch.tensor(1.0, requires_grad=True)
    y, z = Two.apply(a)
    seen: list[Any] = []
    y.grad_fn.register_prehook(lambda gs: seen.append([None if g is None else g.item() for g in gs]))
    y.register_hook(lambda g: g * 10)
    (y + z).backward(retain_graph=True)
    assert a.grad is not None
    assert (seen, a.grad.item()) == ([[10.0, 1.0]], 23.0)
    z.backward()
    assert seen[1] == [None, 1.0]


def test_a_hook_on_the_accumulation_of_a_leaf_is_called(x: Tensor) -> None:
    accumulation = (x * 2).grad_fn.next_functions[0][0]
    assert accumulation is not None
    seen: list[Any] = []
    accumulation.register_hook(lambda ins, outs: seen.append((ins, outs[0].tolist())))
    (x * 2).sum().backward()
    (x * 3).sum().backward(inputs=[x])
    assert seen == [((), [2.0, 2.0]), ((), [3.0, 3.0])]


def test_a_post_accumulate_hook_sees_the_leaf_with_its_new_gradient(x: Tensor) -> None:
    seen: list[Any] = []
    handle = x.register_post_accumulate_grad_hook(lambda p: seen.append((p is x, gradient(p))))
    (x * 2).sum().backward()
    (x * 2).sum().backward()
    handle.remove()
    (x * 2).sum().backward()
    assert seen == [(True, [2.0, 2.0]), (True, [4.0, 4.0])]


def test_an_optimizer_step_can_live_in_a_post_accumulate_hook(x: Tensor) -> None:
    def step(p: Tensor) -> None:
        with torch.no_grad():
            p.sub_(p.grad, alpha=0.5)
        p.grad = None

    x.register_post_accumulate_grad_hook(step)
    (x * 2).sum().backward()
    assert (x.tolist(), x.grad) == ([0.0, 0.0], None)


def test_post_accumulate_hooks_are_for_leaves(x: Tensor) -> None:
    with pytest.raises(RuntimeError, match="non-leaf"):
        (x * 2).register_post_accumulate_grad_hook(print)
