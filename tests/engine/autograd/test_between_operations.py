"""What the engine offers to training over ranks: callbacks in a backward pass, and a place for a leaf's gradient."""

import numpy as np
import pytest

import allgrad as torch
from allgrad.autograd.graph import add_between_operations, queue_callback, set_gradient_destination


def chain(leaf: torch.Tensor, length: int) -> torch.Tensor:
    for _ in range(length):
        leaf = leaf * 2.0
    return leaf.sum()


@pytest.mark.parametrize("retain_graph", [False, True])
def test_a_callback_is_called_between_the_operations_of_every_backward_pass(retain_graph: bool) -> None:
    leaf = torch.ones(3).requires_grad_()
    calls = []
    handle = add_between_operations(lambda: calls.append(leaf.grad is not None))
    chain(leaf, 5).backward(retain_graph=retain_graph)
    assert len(calls) >= 5
    assert calls == sorted(calls), "the leaf's gradient comes once and stays"
    assert not calls[0]
    assert leaf.grad.tolist() == [32.0] * 3
    handle.remove()
    seen = len(calls)
    chain(leaf, 5).backward()
    assert len(calls) == seen


def test_a_leaf_in_the_middle_is_delivered_while_backward_goes_on() -> None:
    early, late = torch.ones(3).requires_grad_(), torch.ones(3).requires_grad_()
    order = []
    early.register_post_accumulate_grad_hook(lambda _: order.append("early"))
    late.register_post_accumulate_grad_hook(lambda _: order.append("late"))
    with add_between_operations(lambda: order.append("-")):
        (chain(late, 10) * early).sum().backward()
    assert [name for name in order if name != "-"] == ["early", "late"]
    assert order[order.index("early") : order.index("late")].count("-") >= 10


def test_what_is_queued_runs_once_after_the_last_gradient() -> None:
    first, second = torch.ones(2).requires_grad_(), torch.ones(2).requires_grad_()
    seen = []
    first.register_post_accumulate_grad_hook(lambda _: queue_callback(lambda: seen.append((first.grad, second.grad))))
    (first * second).sum().backward()
    ((one, other),) = seen
    assert one is first.grad
    assert other is second.grad
    (second * 1.0).sum().backward()
    assert len(seen) == 1
    with pytest.raises(RuntimeError, match="outside of a backward pass"):
        queue_callback(lambda: None)


def test_a_gradient_is_written_and_added_up_at_its_destination() -> None:
    memory = np.full(6, np.nan, np.float32)
    leaf = torch.ones(3).requires_grad_()
    set_gradient_destination(leaf, memory[3:])
    for total in (4.0, 8.0):
        chain(leaf, 2).backward()
        assert memory[3:].tolist() == [total] * 3
        assert leaf.grad.numpy().base is memory
    leaf.grad = None
    chain(leaf, 2).backward()
    assert memory[3:].tolist() == [4.0] * 3
    assert np.isnan(memory[:3]).all()
