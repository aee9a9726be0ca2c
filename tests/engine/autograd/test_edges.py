"""Edges that stand for tensors, and hooks on several tensors at once."""

from __future__ import annotations

from typing import Any

import pytest

import allgrad as torch
from allgrad.autograd.graph import get_gradient_edge, register_multi_grad_hook


def test_an_edge_stands_for_a_tensor_that_is_gone() -> None:
    x = torch.ones(2, requires_grad=True)
    values, _ = (x * torch.tensor([1.0, 3.0])).max(0)
    edge = get_gradient_edge(values)
    assert edge.node.name() == "MaxBackward0"
    assert edge.output_nr == 0
    y = values * 5
    del values
    (g,) = torch.autograd.grad(y, edge, retain_graph=True)
    assert g.item() == 5.0
    torch.autograd.backward(get_gradient_edge(y), torch.tensor(2.0))
    assert x.grad is not None
    assert x.grad.tolist() == [0.0, 30.0]


def test_an_edge_of_a_leaf_is_accumulated_into() -> None:
    x, w = torch.ones(1, requires_grad=True), torch.ones(1, requires_grad=True)
    torch.autograd.backward(x * w * 3, inputs=get_gradient_edge(x))
    assert (x.grad, w.grad) == (torch.tensor([3.0]), None)


def test_what_an_edge_cannot_do_is_refused() -> None:
    x = torch.ones(1, requires_grad=True)
    y = x * 2
    with pytest.raises(RuntimeError, match="does not require gradients"):
        get_gradient_edge(torch.ones(1))
    with pytest.raises(RuntimeError, match="a gradient for each GradientEdge"):
        torch.autograd.grad(get_gradient_edge(y), x)
    with pytest.raises(RuntimeError, match="cannot be used when the given input is a GradientEdge"):
        torch.autograd.grad(x * 3, get_gradient_edge(y), materialize_grads=True)
    with pytest.raises(RuntimeError, match=r"no \.grad to add to"):
        torch.autograd.backward(y * 2, inputs=[get_gradient_edge(y)])


def test_a_hook_on_several_tensors_waits_for_those_that_the_pass_computes() -> None:
    a, b, c = (torch.ones(1, requires_grad=True) for _ in range(3))
    seen: list[list[Any]] = []
    handle = register_multi_grad_hook([a, b, c], lambda grads: seen.append(list(grads)))
    (a * 2 + b * 3).backward()
    (a * c).backward(inputs=[a])
    assert [[None if g is None else g.item() for g in grads] for grads in seen] == [[2.0, 3.0, None], [1.0, None, None]]
    handle.remove()
    (a * b * c).backward()
    assert len(seen) == 2


def test_a_hook_on_any_of_several_tensors_runs_once_in_each_pass() -> None:
    a, b = torch.ones(1, requires_grad=True), torch.ones(1, requires_grad=True)
    seen: list[float] = []
    with register_multi_grad_hook([a, b], lambda g: seen.append(g.item()), mode="any"):
        for factor in (2.0, 4.0):
            (a * factor + b * factor).backward()
    assert seen == [2.0, 4.0]


def test_a_hook_on_several_tensors_knows_two_modes() -> None:
    with pytest.raises(ValueError, match="one of"):
        register_multi_grad_hook([torch.ones(1, requires_grad=True)], print, mode="some")  # type: ignore[arg-type]


def test_grad_takes_and_gives_dicts_and_fills_what_is_missing() -> None:
    a, b = torch.ones(2, requires_grad=True), torch.ones(3, requires_grad=True)
    found = torch.autograd.grad((a * 2).sum(), {"a": a, "b": b}, materialize_grads=True, create_graph=True)
    assert found["a"].tolist() == [2.0, 2.0]
    assert found["b"].tolist() == [0.0, 0.0, 0.0]
    assert found["b"].requires_grad
    (a * 3).sum().backward(inputs={"a": a})
    assert a.grad is not None
    assert a.grad.tolist() == [3.0, 3.0]


def test_arguments_of_grad_that_make_no_sense_are_refused() -> None:
    x = torch.ones(1, requires_grad=True)
    with pytest.raises(RuntimeError, match="cannot be empty"):
        torch.autograd.grad(x * 2, [])
    with pytest.warns(FutureWarning, match="only_inputs argument is deprecated"):
        torch.autograd.grad(x * 2, x, only_inputs=False)
    with pytest.raises(RuntimeError, match="both grad_tensors and grad_variables"):
        torch.autograd.backward(x * 2, x, grad_variables=x)
