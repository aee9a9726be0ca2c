"""Changes in place: what they do to the history of a tensor, its base and its views, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import allgrad as torch
from allgrad import Tensor


def leaf(*shape: int) -> Tensor:
    return torch.ones(*shape, requires_grad=True)


def weights(*shape: int) -> Tensor:
    """0, 1, 2 … so that each element's gradient shows where it went."""
    return torch.arange(float(np.prod(shape))).reshape(*shape)


def gradient(t: Tensor) -> Any:
    assert t.grad is not None
    return t.grad.tolist()


def test_a_chain_of_in_place_operations_is_recorded() -> None:
    x = torch.full((2,), 3.0, requires_grad=True)
    y = x.clone()
    same = y.div_(2).add_(1).sub_(3, alpha=2).neg_().abs_()
    y.sum().backward()
    assert same is y
    assert str(y) == "tensor([3.5000, 3.5000], grad_fn=<AbsBackward0>)"
    assert gradient(x) == [-0.5, -0.5]


def test_operators_change_in_place() -> None:
    x = leaf(2)
    y = x * 2
    before = y
    y += 1
    y -= x
    y *= 3
    y /= 2
    y **= 2
    assert y is before
    y.sum().backward()
    assert gradient(x) == [9.0, 9.0]  # ((2x + 1 - x) · 3/2)² at 1


def test_a_tensor_multiplied_by_itself_in_place_has_lost_its_factor() -> None:
    x = leaf(2)
    y = x.clone()
    y.mul_(y)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


def test_a_plain_tensor_takes_part_once_something_recorded_is_written_into_it() -> None:
    w = leaf(3)
    x = torch.zeros(3)
    x.add_(w)
    assert (x.requires_grad, x.is_leaf) == (True, False)
    y = torch.zeros(3)
    with torch.no_grad():
        y.add_(w)
    assert (y.requires_grad, y.is_leaf) == (False, True)


@pytest.mark.parametrize(
    "change",
    [
        lambda x: x.add_(1),
        lambda x: x.zero_(),
        lambda x: x.fill_(2),
        lambda x: x.copy_(torch.ones(2)),
        lambda x: x.__setitem__(0, 1.0),
        lambda x: x.__iadd__(1),
    ],
)
def test_a_leaf_that_requires_grad_cannot_be_changed(change: Callable[[Tensor], Any]) -> None:
    x = leaf(2)
    with pytest.raises(RuntimeError, match=r"a leaf Variable that requires grad.*torch.no_grad\(\)"):
        change(x)
    assert x.tolist() == [1.0, 1.0]
    with torch.no_grad():
        change(x)
    assert (x.requires_grad, x.is_leaf, x._version) == (True, True, 1)


@pytest.mark.parametrize(
    "view", [lambda x: x[0], lambda x: x[0:1], lambda x: x.view(2, 1), lambda x: x.detach_ and x.T]
)
def test_nor_can_a_view_of_one(view: Callable[[Tensor], Tensor]) -> None:
    with pytest.raises(RuntimeError, match="a view of a leaf Variable that requires grad"):
        view(leaf(2)).add_(1)


def test_a_change_of_a_view_rewrites_the_history_of_its_base() -> None:
    w = leaf(3, 2)
    x = w * 1
    row, column = x[1], x[:, 1]
    row.mul_(3)
    column.mul_(7)
    (x * weights(3, 2)).sum().backward()
    assert x.tolist() == [[1.0, 7.0], [3.0, 21.0], [1.0, 7.0]]
    assert gradient(w) == [[0.0, 7.0], [6.0, 63.0], [4.0, 35.0]]
    assert "CopySlices" in str(x)


def test_views_of_a_base_that_was_changed_know_its_new_history() -> None:
    w = torch.full((4,), 3.0, requires_grad=True)
    x = w.clone()
    first, second = x[:2], x[1:3]
    inner = first[1:]
    old = first.grad_fn
    second.mul_(5)
    assert first.grad_fn is not old
    (first.sum() + inner.sum() * 10).backward()
    assert gradient(w) == [1.0, 55.0, 0.0, 0.0]


def test_a_change_of_the_base_reaches_its_views() -> None:
    w = leaf(2)
    x = w.clone()
    view = x.view(2, 1)
    x.mul_(2)
    view.sum().backward()
    assert gradient(w) == [2.0, 2.0]


def test_an_update_through_a_transposed_view_reaches_the_base() -> None:
    w = leaf(3, 2)
    x = w * 1
    x.T[0] += 1
    x.T[1] *= 5
    (x * weights(3, 2)).sum().backward()
    assert x.tolist() == [[2.0, 5.0]] * 3
    assert gradient(w) == [[0.0, 5.0], [2.0, 15.0], [4.0, 25.0]]


@pytest.mark.parametrize("create_graph", [False, True])
def test_a_view_of_a_base_in_another_memory_order_sends_its_gradient_to_the_right_place(create_graph: bool) -> None:
    w = leaf(2, 3)
    x = w.T * 1  # columns lie together in memory
    flat = x.T.reshape(-1)
    assert flat._base is x
    flat[1:3].mul_(10)
    (g,) = torch.autograd.grad((x.T * weights(2, 3)).sum(), w, create_graph=create_graph)
    assert g.tolist() == [[0.0, 10.0, 20.0], [3.0, 4.0, 5.0]]


def test_a_change_through_a_view_can_be_differentiated_twice() -> None:
    w = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
    x = w * w
    x[1:].mul_(w[1:])
    (first,) = torch.autograd.grad(x.sum(), w, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), w)
    assert first.tolist() == [2.0, 12.0, 27.0]
    assert second.tolist() == [2.0, 12.0, 18.0]


def test_subscripts_can_be_assigned_recorded_values() -> None:
    w = torch.tensor([3.0, 4.0], requires_grad=True)
    x = torch.ones(3, 2)
    x[1] = w
    x[[0, 2]] = w * 2
    (x * weights(3, 2)).sum().backward()
    assert x.tolist() == [[6.0, 8.0], [3.0, 4.0], [6.0, 8.0]]
    assert gradient(w) == [(0 + 4) * 2 + 2, (1 + 5) * 2 + 3]


def test_subscripts_can_be_updated_with_recorded_values() -> None:
    w = leaf(3)
    x = w * 2
    x[0] += x[1] * 3
    x[[2, 1]] *= 2
    x[x > 7] = 0
    x.sum().backward()
    assert x.tolist() == [0.0, 4.0, 4.0]
    assert gradient(w) == [0.0, 4.0, 4.0]


def test_a_broadcast_value_gets_the_sum_of_its_gradients() -> None:
    w = torch.tensor(3.0, requires_grad=True)
    x = torch.zeros(2, 2)
    x[:, 0] = w
    x[1] = w * 2
    x.sum().backward()
    assert gradient(w) == 5.0


@pytest.mark.parametrize(
    "overwrite",
    [
        lambda x: x.zero_(),
        lambda x: x.fill_(2),
        lambda x: x.fill_(torch.tensor(2.0)),
        lambda x: x.copy_(torch.ones(3)),
        lambda x: x.__setitem__(slice(None), 5.0),
    ],
)
def test_what_is_overwritten_gets_no_gradient(overwrite: Callable[[Tensor], Any]) -> None:
    w = leaf(3)
    x = w * 2
    overwrite(x)
    x.sum().backward()
    assert gradient(w) == [0.0, 0.0, 0.0]


def test_filling_and_copying_pass_gradients_to_their_source() -> None:
    value, source = torch.tensor(2.0, requires_grad=True), leaf(3)
    x, y = torch.zeros(3), torch.zeros(2, 3, dtype=torch.float64)
    x.fill_(value)
    y.copy_(source)
    (x.sum() + y.sum()).backward()
    assert gradient(value) == 3.0
    assert gradient(source) == [2.0, 2.0, 2.0]


def test_copying_into_whole_numbers_records_nothing() -> None:
    x = torch.zeros(2, dtype=torch.int64)
    x.copy_(torch.tensor([1.7, 2.2], requires_grad=True))
    assert (x.tolist(), x.requires_grad) == ([1, 2], False)


@pytest.mark.parametrize(
    "change",
    [
        lambda y: y.add_(1),
        lambda y: y[0].add_(1),
        lambda y: y.__setitem__(0, 5.0),
        lambda y: y.view(2, 1).zero_(),
        lambda y: y.detach().add_(1),
        lambda y: y.detach()[1:].mul_(2),
        lambda y: y.copy_(torch.zeros(2)),
    ],
)
@pytest.mark.parametrize("saved", ["operand", "result"])
@pytest.mark.parametrize("recorded", [True, False])
def test_a_saved_value_changed_in_place_names_both_lines(
    change: Callable[[Tensor], Any], saved: str, recorded: bool
) -> None:
    y = leaf(2) * 2
    z = y * y if saved == "operand" else y.exp()
    with torch.set_grad_enabled(recorded):
        change(y if saved == "operand" else z)
    with pytest.raises(RuntimeError) as caught:
        z.sum().backward()
    text = str(caught.value)
    assert "has been modified by an inplace operation" in text
    assert text.count("test_inplace.py:") == 2
    assert ".clone() it" in text or ".clone() before it" in text


def test_a_change_of_what_no_rule_saved_is_harmless() -> None:
    x = leaf(2)
    y = x * 2
    z = y + 1
    y.add_(1)
    z.sum().backward()
    assert gradient(x) == [2.0, 2.0]


def test_changes_through_data_go_unnoticed() -> None:
    x = leaf(2)
    y = x * 2
    z = y * y
    y.data.add_(1)
    z.sum().backward()
    assert gradient(x) == [12.0, 12.0]


def test_versions_count_the_changes_of_shared_memory() -> None:
    x = torch.zeros(3)
    assert x._version == 0
    x.add_(1)
    x.detach().add_(1)
    x[1:].add_(1)
    assert (x._version, x.detach()._version, x[1:]._version, x.clone()._version) == (3, 3, 3, 0)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (
            lambda: torch.arange(3).add_(1.5),
            r"result type Float can't be cast to the desired output type Long, in add_\(\)",
        ),
        (lambda: torch.arange(3).__itruediv__(2), "result type Float can't be cast"),
        (lambda: torch.zeros(3).add_(1j), "result type ComplexFloat can't be cast"),
        (
            lambda: torch.zeros(3, dtype=torch.bool).add_(1),
            "result type Long can't be cast to the desired output type Bool",
        ),
        (
            lambda: torch.zeros(3).add_(torch.ones(2, 3)),
            r"output with shape \[3\] doesn't match the broadcast shape \[2, 3\]",
        ),
        (lambda: torch.zeros(3).add_(torch.ones(2)), "must match the size of tensor"),
        (lambda: torch.zeros(1).expand(3).add_(1), "read-only memory"),
        (lambda: torch.zeros(1).expand(3).zero_(), "read-only memory"),
        (lambda: torch.zeros(1).expand(3).copy_(torch.ones(3)), "read-only memory"),
        (lambda: torch.zeros(1, 3).expand(3, 3).__setitem__(0, 1), "read-only memory"),
        (lambda: torch.zeros(2).fill_(torch.ones(2)), "only supports 0-dimension value tensor"),
        (lambda: torch.zeros(2).fill_(1j), "cannot be converted to torch.float32"),
        (lambda: torch.zeros(2).__setitem__(0, 1j), "cannot be converted to torch.float32"),
        (lambda: torch.zeros(2).__setitem__(0, torch.ones(2)), r"shape \[2\] cannot be broadcast to \[\]"),
        (lambda: torch.zeros(2).copy_(torch.ones(3)), "cannot be broadcast into one of"),
        (lambda: leaf(2).clone()[0:1].detach_(), "Can't detach views in-place"),
    ],
)
def test_a_change_that_does_not_fit_is_refused(change: Callable[[], Any], complaint: str) -> None:
    with pytest.raises(RuntimeError, match=complaint):
        change()


@pytest.mark.parametrize("value", ["a", None])
def test_only_numbers_and_tensors_can_be_assigned(value: Any) -> None:
    with pytest.raises(TypeError, match="can't assign a"):
        torch.zeros(2)[0] = value


def test_numbers_are_converted_to_the_type_of_the_tensor() -> None:
    x = torch.zeros(2, dtype=torch.float16)
    x += torch.ones(2)
    y = torch.arange(2)
    y[0] = 1.7
    assert (x.dtype, x.tolist(), y.tolist()) == (torch.float16, [1.0, 1.0], [1, 1])


def test_a_view_made_without_recording_cannot_be_changed_while_recording() -> None:
    x = leaf(2) * 2
    with torch.no_grad():
        view = x[0:1]
        view.mul_(2)
    with pytest.raises(RuntimeError, match="A view was created in no_grad mode"):
        view.mul_(2)
    with torch.no_grad():
        buffer = torch.zeros(2)[0:1]
    buffer.add_(1)
    with pytest.raises(RuntimeError, match="A view was created in no_grad mode"):
        buffer.add_(leaf(1))


def test_changing_memory_that_numpy_shares_shows_on_both_sides() -> None:
    array = np.zeros(2)
    t = torch.from_numpy(array)
    t.add_(1)
    array[1] = 5
    assert (array.tolist(), t.tolist()) == ([1.0, 5.0], [1.0, 5.0])
