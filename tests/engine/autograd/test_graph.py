"""The order of a backward pass, and what may be hung between its operations, at its end, and under its leaves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import allgrad as torch
from allgrad import Tensor
from allgrad.autograd.graph import add_between_operations, queue_callback, set_gradient_destination
from allgrad.nn.functional import linear
from allgrad.operations import linear as products
from allgrad.testing import assert_close


def test_a_leaf_gets_its_gradient_before_the_operations_below_it_run() -> None:
    order: list[str] = []
    names = ["first", "second", "third"]
    weights = [torch.ones(2, requires_grad=True) for _ in names]
    x = torch.ones(2)
    for name, w in zip(names, weights, strict=True):
        w.register_post_accumulate_grad_hook(lambda p, name=name: order.append("grad of " + name))
        x = x * w
        x.register_hook(lambda g, name=name: order.append("result of " + name))
    x.sum().backward()
    assert order == [
        "result of third",
        "grad of third",
        "result of second",
        "grad of second",
        "result of first",
        "grad of first",
    ]


def test_a_leaf_used_twice_waits_for_its_last_gradient() -> None:
    w = torch.ones(1, requires_grad=True)
    seen: list[float] = []
    w.register_post_accumulate_grad_hook(lambda p: seen.append(p.grad.item()))
    (w * 2 * w * 3).sum().backward()
    assert seen == [12.0]


def test_nodes_know_what_they_feed() -> None:
    x = torch.ones(2, requires_grad=True)
    y = x * 2 + 1
    assert y.grad_fn is not None
    assert y.grad_fn.name() == "AddBackward0"
    ((product, index), (nothing, _)) = y.grad_fn.next_functions
    assert (product.name(), index, nothing) == ("MulBackward0", 0, None)
    assert product.next_functions[0][0].variable is x
    assert product.next_functions[0][0].name() == "AccumulateGrad"


def test_outputs_of_one_operation_share_their_node_and_know_their_number() -> None:
    values, _ = torch.tensor([[1.0, 3.0]], requires_grad=True).max(1)
    assert values.grad_fn is not None
    assert (values.grad_fn.name(), values.output_nr) == ("MaxBackward0", 0)


def test_a_callback_between_operations_runs_until_it_is_removed() -> None:
    x = torch.ones(2, requires_grad=True)
    calls: list[int] = []
    with add_between_operations(lambda: calls.append(1)):
        (x * 2 * 3).sum().backward()
    during = len(calls)
    (x * 2 * 3).sum().backward()
    assert during >= 4  # the sum, two products, the leaf
    assert len(calls) == during
    assert x.grad is not None
    assert x.grad.tolist() == [12.0, 12.0]


def test_a_queued_callback_runs_once_after_all_gradients() -> None:
    x, w = torch.ones(1, requires_grad=True), torch.ones(1, requires_grad=True)
    seen: list[bool] = []
    w.register_hook(lambda g: queue_callback(lambda: seen.append(x.grad is not None)))
    for _ in range(2):
        x.grad = None
        ((x * 2) * w).backward()
    assert seen == [True, True]


def test_a_callback_cannot_be_queued_outside_of_a_pass() -> None:
    with pytest.raises(RuntimeError, match="outside of a backward pass"):
        queue_callback(lambda: None)


def test_callbacks_of_a_pass_that_failed_do_not_run_in_the_next() -> None:
    x = torch.ones(1, requires_grad=True)
    y = x * 2
    calls: list[int] = []

    def fail(g: Tensor) -> None:
        queue_callback(lambda: calls.append(1))
        raise ValueError("no")

    handle = y.register_hook(fail)
    with pytest.raises(ValueError, match="no"):
        (y * 3).backward()
    handle.remove()
    (x * 2).backward()
    assert calls == []
    assert torch.is_grad_enabled()


def test_a_gradient_is_written_where_its_destination_says() -> None:
    bucket = np.full(5, 9.0, dtype=np.float32)
    w = torch.ones(2, requires_grad=True)
    set_gradient_destination(w, bucket[1:3])
    (w * 3).sum().backward()
    (w * 3).sum().backward()
    assert bucket.tolist() == [9.0, 6.0, 6.0, 9.0, 9.0]
    assert w.grad is not None
    assert np.shares_memory(w.grad.numpy(), bucket)
    w.grad = None
    (w * 2).sum().backward()
    assert bucket.tolist() == [9.0, 2.0, 2.0, 9.0, 9.0]
    set_gradient_destination(w, None)
    w.grad = None
    w.sum().backward()
    assert bucket.tolist() == [9.0, 2.0, 2.0, 9.0, 9.0]


def _gradients(destination: Any, losses: Callable[[Tensor, Tensor], list[Tensor]], hook: Any = None) -> tuple[Any, Any]:
    """The gradient of a matrix after the backward passes of *losses*, and what *hook* saw."""
    w = torch.arange(6, dtype=torch.float32).view(2, 3).requires_grad_()
    seen: list[Tensor] = []
    if hook is not None:
        w.register_hook(seen.append)
    set_gradient_destination(w, destination)
    for loss in losses(w, torch.arange(12, dtype=torch.float32).view(4, 3)):
        loss.backward()
    return w.grad, seen


def _once(w: Tensor, x: Tensor) -> list[Tensor]:
    return [linear(x, w).square().sum()]


def _twice_in_one_pass(w: Tensor, x: Tensor) -> list[Tensor]:
    return [(linear(x, w) * linear(x + 1, w)).sum()]


def _in_two_passes(w: Tensor, x: Tensor) -> list[Tensor]:
    return [linear(x, w).sum(), linear(x, w).square().sum()]


def _in_a_pass_inside_another(w: Tensor, x: Tensor) -> list[Tensor]:
    between = linear(x, w)
    between.register_hook(torch.enable_grad()(lambda g: linear(x, w).sum().backward()))
    return [(linear(x + 1, w) * 2 + between).sum()]


@pytest.mark.parametrize("losses", [_once, _twice_in_one_pass, _in_two_passes, _in_a_pass_inside_another])
def test_a_gradient_that_is_computed_in_its_destination_is_the_same(losses: Any) -> None:
    destination = np.full((2, 3), np.nan, dtype=np.float32)
    expected, _ = _gradients(None, losses)
    found, _ = _gradients(destination, losses)
    assert_close(found, expected)


def test_the_product_of_a_linear_layer_is_computed_in_the_destination_of_its_weight(monkeypatch: Any) -> None:
    rooms = []

    def product(a: Any, b: Any, into: Any) -> Any:
        rooms.append(into)
        return np.matmul(a, b, out=into)

    monkeypatch.setattr(products, "_product", product)
    destination = np.zeros((2, 3), dtype=np.float32)
    grad, _ = _gradients(destination, _once)
    assert [room is destination for room in rooms] == [True]
    assert grad.numpy() is destination


def test_what_a_hook_keeps_stays_when_the_destination_changes() -> None:
    destination = np.zeros((2, 3), dtype=np.float32)
    _, (seen,) = _gradients(destination, _once, hook=True)
    kept = seen.clone()
    destination[...] = -1
    assert_close(seen, kept)


def test_a_gradient_that_is_asked_for_is_not_computed_in_the_destination() -> None:
    w, destination = torch.ones(2, 3, requires_grad=True), np.zeros((2, 3), dtype=np.float32)
    set_gradient_destination(w, destination)
    (found,) = torch.autograd.grad(linear(torch.ones(4, 3), w).sum(), w)
    assert found.tolist() == [[4.0] * 3] * 2
    assert not destination.any()


def test_a_gradient_that_is_there_moves_to_its_destination() -> None:
    bucket = np.zeros(2, dtype=np.float32)
    w = torch.ones(2, requires_grad=True)
    (w * 3).sum().backward()
    set_gradient_destination(w, bucket)
    assert bucket.tolist() == [3.0, 3.0]


@pytest.mark.parametrize("array", [np.zeros(3, dtype=np.float32), np.zeros(2, dtype=np.float64)])
def test_a_destination_that_does_not_fit_is_refused(array: Any) -> None:
    with pytest.raises(ValueError, match="does not fit the leaf"):
        set_gradient_destination(torch.ones(2, requires_grad=True), array)


def test_only_a_leaf_that_requires_grad_has_a_destination() -> None:
    with pytest.raises(ValueError, match="not a leaf requiring grad"):
        set_gradient_destination(torch.ones(2), np.zeros(2, dtype=np.float32))


def test_backward_inside_a_hook_is_a_pass_of_its_own() -> None:
    x, inner = torch.ones(1, requires_grad=True), torch.ones(1, requires_grad=True)

    def differentiate(g: Tensor) -> None:
        with torch.enable_grad():
            (inner * 5).backward()

    y = x * 2
    y.register_hook(differentiate)
    (y * 3).backward()
    assert x.grad is not None
    assert inner.grad is not None
    assert (x.grad.item(), inner.grad.item()) == (6.0, 5.0)
