"""Whose memory a gradient lies in: never another gradient's, a saved value's or the user's, and always writeable."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import allgrad as torch
from allgrad import Tensor


def leaf(*values: float) -> Tensor:
    return torch.tensor(list(values), requires_grad=True)


def memory(t: Tensor | None) -> Any:
    assert t is not None
    return t.detach().numpy()


def test_two_leaves_of_a_sum_do_not_share_their_gradient() -> None:
    a, b = leaf(1.0, 2.0), leaf(3.0, 4.0)
    (a + b).backward(torch.ones(2))
    assert not np.shares_memory(memory(a.grad), memory(b.grad))


def test_a_gradient_given_by_the_user_stays_the_users() -> None:
    a, b, g = leaf(1.0), leaf(1.0), torch.tensor([5.0])
    a.backward(g)
    (b + 0).backward(g)
    g.add_(100)
    assert (a.grad.item(), b.grad.item()) == (5.0, 5.0)


def test_the_gradient_of_a_sum_is_not_its_read_only_expanded_view() -> None:
    x = leaf(1.0, 2.0, 3.0)
    x.sum().backward()
    assert x.grad is not None
    x.grad[0] = 7.0
    assert x.grad.tolist() == [7.0, 1.0, 1.0]


@pytest.mark.parametrize("make", [lambda x: x.reshape(3), lambda x: x.T, lambda x: x.expand(2, 1, 3), lambda x: x[0]])
def test_gradients_of_views_are_memory_of_their_own(make: Any) -> None:
    x, y = torch.ones(1, 3, requires_grad=True), torch.ones(1, 3, requires_grad=True)
    made = make(x) + make(y)
    made.backward(torch.ones(tuple(made.shape)))
    assert not np.shares_memory(memory(x.grad), memory(y.grad))
    assert memory(x.grad).flags.writeable


def test_with_create_graph_leaves_do_not_share_their_gradient_either() -> None:
    a, b, g = leaf(1.0), leaf(1.0), torch.tensor([5.0])
    (a + b).backward(g, create_graph=True)
    arrays = [memory(a.grad), memory(b.grad), g.numpy()]
    assert not any(np.shares_memory(arrays[i], arrays[j]) for i, j in ((0, 1), (0, 2), (1, 2)))


def test_what_grad_returns_is_neither_shared_nor_the_users() -> None:
    a, b, g = leaf(1.0), leaf(1.0), torch.tensor([5.0])
    found_a, found_b = torch.autograd.grad(a + b, [a, b], g)
    found_a.mul_(10)
    assert (found_b.item(), g.item()) == (5.0, 5.0)


def test_accumulation_in_place_keeps_the_tensor_that_grad_is() -> None:
    x = leaf(1.0, 2.0)
    x.sum().backward()
    before = x.grad
    x.sum().backward()
    assert x.grad is before
    assert before is not None
    assert before.tolist() == [2.0, 2.0]


def test_a_gradient_saved_for_backward_is_noticed_when_accumulation_changes_it() -> None:
    x, w = leaf(1.0), leaf(2.0)
    x.sum().backward()
    assert x.grad is not None
    y = w * x.grad
    x.sum().backward()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.backward()


def test_accumulation_does_not_write_into_read_only_memory() -> None:
    x = leaf(1.0, 2.0)
    x.grad = torch.ones(1).expand(2)
    x.sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [2.0, 2.0]


def test_a_saved_tensor_that_a_custom_backward_returns_is_copied() -> None:
    class Odd(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
            ctx.save_for_backward(weight)
            return x * weight

        @staticmethod
        def backward(ctx: Any, g: Tensor) -> Any:
            return ctx.saved_tensors[0], None

    x, weight = leaf(1.0), torch.tensor([3.0])
    Odd.apply(x, weight).backward()
    assert x.grad is not None
    x.grad.zero_()
    assert weight.item() == 3.0


def test_what_a_hook_returns_is_copied() -> None:
    x, constant = leaf(1.0), torch.tensor([3.0])
    x.register_hook(lambda g: constant)
    (x * 2).backward()
    assert x.grad is not None
    x.grad.zero_()
    assert constant.item() == 3.0


def test_a_retained_gradient_is_memory_of_its_own() -> None:
    x = leaf(1.0)
    y = x * 2
    y.retain_grad()
    z = y + 0
    z.retain_grad()
    z.backward()
    assert not np.shares_memory(memory(y.grad), memory(z.grad))


def test_a_gradient_is_a_tensor_whatever_class_its_leaf_is_of() -> None:
    class Weight(Tensor):  # type: ignore[misc]
        pass

    w = Weight([1.0, 2.0]).requires_grad_()
    (w * 2).sum().backward()
    assert type(w.grad) is Tensor


def test_many_parts_of_one_tensor_send_their_gradients_into_one_array() -> None:
    x = torch.arange(12.0).reshape(4, 3).requires_grad_()
    parts = [*x, x[1:3], x[..., 0], x[[0, 0, 2]]]
    loss = sum((k + 1) * part.sum() for k, part in enumerate(parts))
    loss.backward()
    expected = np.array([[1.0] * 3, [2.0] * 3, [3.0] * 3, [4.0] * 3])
    expected[1:3] += 5
    expected[:, 0] += 6
    np.add.at(expected, [0, 0, 2], 7)
    np.testing.assert_array_equal(x.grad.numpy(), expected)


def test_a_gradient_that_two_tensors_receive_is_not_changed_for_one_of_them() -> None:
    x, y = torch.ones(3, requires_grad=True), torch.ones(3, requires_grad=True)
    total = (x * 1) + (y * 1)
    (total.sum() + (x * 2).sum() + y[0]).backward()
    assert x.grad.tolist() == [3.0, 3.0, 3.0]
    assert y.grad.tolist() == [2.0, 1.0, 1.0]
