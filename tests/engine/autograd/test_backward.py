"""backward and grad: every option, the errors, and what reaches which leaf."""

from __future__ import annotations

import pytest

import allgrad as torch
from allgrad import Tensor


def leaf(*values: float) -> Tensor:
    return torch.tensor(list(values), requires_grad=True)


def gradient(t: Tensor) -> list[float]:
    assert t.grad is not None
    found: list[float] = t.grad.tolist()
    return found


def test_a_result_of_several_elements_needs_a_gradient() -> None:
    with pytest.raises(RuntimeError, match=r"grad can be implicitly created only for scalar outputs.*\[2\]"):
        (leaf(1.0, 2.0) * 2).backward()


def test_a_single_element_of_any_shape_needs_none() -> None:
    x = leaf(3.0)
    (x * x).reshape(1, 1).backward()
    assert gradient(x) == [6.0]


def test_gradients_accumulate_over_passes() -> None:
    x = leaf(1.0)
    (x**2).backward()
    (x**3).backward()
    assert gradient(x) == [5.0]


def test_one_tensor_twice_in_an_operation_gets_both_gradients() -> None:
    x = leaf(3.0)
    (x * x + (x + x)).backward()
    assert gradient(x) == [8.0]


def test_a_shared_subgraph_is_differentiated_once_with_the_sum() -> None:
    x = leaf(2.0)
    shared = x * x
    calls: list[Tensor] = []
    shared.register_hook(calls.append)
    (shared * 3 + shared * 4).backward()
    assert gradient(x) == [28.0]
    assert [c.tolist() for c in calls] == [[7.0]]


def test_a_leaf_is_a_root_too() -> None:
    x = torch.tensor(3.0, requires_grad=True)
    x.backward()
    x.backward()
    assert x.grad is not None
    assert x.grad.item() == 2.0
    assert torch.autograd.grad(x, x)[0].item() == 1.0


def test_several_roots_are_summed() -> None:
    x = leaf(1.0, 2.0)
    y = x * x
    torch.autograd.backward([y, y.sum()], [torch.tensor([1.0, 10.0]), None])
    assert gradient(x) == [4.0, 44.0]


def test_only_the_inputs_named_are_accumulated_into() -> None:
    x, w = leaf(3.0), leaf(2.0)
    y = x * w
    (y * 5).backward(inputs=[x, y])
    assert gradient(x) == [10.0]
    assert gradient(y) == [5.0]
    assert w.grad is None


def test_inputs_must_not_be_empty() -> None:
    with pytest.raises(RuntimeError, match="cannot be empty"):
        (leaf(3.0) * 2).backward(inputs=[])


def test_create_graph_lets_the_gradient_be_differentiated() -> None:
    x = leaf(2.0)
    (first,) = torch.autograd.grad(x**3, x, create_graph=True)
    (second,) = torch.autograd.grad(first, x, create_graph=True)
    (third,) = torch.autograd.grad(second, x)
    assert (first.item(), second.item(), third.item()) == (12.0, 12.0, 6.0)
    assert not third.requires_grad


def test_backward_with_create_graph_leaves_a_gradient_that_records() -> None:
    x = leaf(2.0)
    (x**3).backward(create_graph=True)
    assert x.grad is not None
    assert x.grad.requires_grad
    (second,) = torch.autograd.grad(x.grad, x)
    assert second.item() == 12.0


def test_a_second_backward_names_the_node_and_the_line_that_recorded_it() -> None:
    x = leaf(2.0)
    y = x.exp() * x  # the line of interest
    y.backward()
    with pytest.raises(RuntimeError) as caught:
        y.backward()
    text = str(caught.value)
    assert "Trying to backward through the graph a second time" in text
    assert "the first stale value was made by mul() at" in text
    assert "test_backward.py" in text
    assert "# the line of interest" in text
    assert "retain_graph=True" in text


def test_retain_graph_allows_a_second_backward() -> None:
    x = leaf(2.0)
    y = x.exp() * x
    y.backward(retain_graph=True)
    first = gradient(x)
    y.backward()
    assert gradient(x) == pytest.approx([2 * first[0]])


def test_a_graph_that_saved_nothing_can_be_run_again() -> None:
    x = leaf(2.0)
    y = x + 1
    y.backward()
    y.backward()
    assert gradient(x) == [2.0]


def test_an_unused_input_raises_or_gives_none_or_zeros() -> None:
    x, w = leaf(3.0), leaf(2.0, 4.0)
    y = x * 2
    with pytest.raises(RuntimeError, match="appears to not have been used in the graph"):
        torch.autograd.grad(y, [x, w], retain_graph=True)
    assert torch.autograd.grad(y, [x, w], allow_unused=True, retain_graph=True)[1] is None
    assert torch.autograd.grad(y, [x, w], materialize_grads=True)[1].tolist() == [0.0, 0.0]
    with pytest.raises(ValueError, match="Expected allow_unused to be True or not passed"):
        torch.autograd.grad(y, [x, w], materialize_grads=True, allow_unused=False)


def test_a_dict_of_inputs_gives_a_dict_of_gradients() -> None:
    x, w = leaf(3.0), leaf(2.0)
    found = torch.autograd.grad(x * w, {"x": x, "w": w})
    assert {name: g.item() for name, g in found.items()} == {"x": 2.0, "w": 3.0}


def test_grad_leaves_grad_attributes_alone() -> None:
    x = leaf(3.0)
    torch.autograd.grad(x * x, x)
    assert x.grad is None


def test_batched_gradients_are_stacked_and_free_the_graph() -> None:
    x = leaf(3.0, 1.0)
    y = x * x
    (rows,) = torch.autograd.grad(y, x, torch.eye(2), is_grads_batched=True)
    assert rows.tolist() == [[6.0, 0.0], [0.0, 2.0]]
    with pytest.raises(RuntimeError, match="second time"):
        torch.autograd.grad(y, x, torch.ones(2))


@pytest.mark.parametrize("weights", [None, torch.tensor(1.0), torch.zeros(0, 2)])
def test_batched_gradients_need_a_batch(weights: Tensor | None) -> None:
    x = leaf(3.0, 1.0)
    with pytest.raises(RuntimeError, match="first dimension is one batch"):
        torch.autograd.grad(x * x, x, weights, is_grads_batched=True)


def test_a_gradient_of_another_shape_is_refused() -> None:
    with pytest.raises(RuntimeError, match=r"Mismatch in shape: grad_output\[0\] has a shape of"):
        (leaf(3.0) * 2).backward(torch.tensor(1.0))


def test_as_many_gradients_as_tensors_are_wanted() -> None:
    y = leaf(3.0) * 2
    with pytest.raises(RuntimeError, match="got 2 tensors and 1 gradients"):
        torch.autograd.backward([y, y], [torch.ones(1)])


@pytest.mark.parametrize("weight", [1.0, [1.0], "one"])
def test_a_gradient_that_is_no_tensor_is_refused(weight: object) -> None:
    with pytest.raises(TypeError, match="gradients can be either Tensors or None, but got"):
        torch.autograd.backward(leaf(3.0) * 2, weight)


def test_a_gradient_of_another_real_type_is_converted() -> None:
    x = leaf(3.0)
    (x * x).backward(torch.ones(1, dtype=torch.int64))
    assert x.grad is not None
    assert x.grad.dtype is torch.float32


def test_what_does_not_require_grad_says_why() -> None:
    x = leaf(3.0)
    with pytest.raises(RuntimeError, match=r"does not require grad.*made inside torch.no_grad\(\), detached"):
        (x.detach() * 2).backward()
    with pytest.raises(RuntimeError, match=r"of type torch.int64 \[\], and only floating-point"):
        x.argmax().backward()
    with pytest.raises(RuntimeError, match=r"call .requires_grad_\(\) on it before"):
        torch.autograd.grad(x * 2, torch.ones(1))
    with pytest.raises(TypeError, match="with respect to Tensors only, found int"):
        torch.autograd.grad(x * 2, [3])


def test_results_that_are_not_floating_do_not_require_grad() -> None:
    x = leaf(3.0, 4.0)
    assert not (x > 2).requires_grad
    assert not x.int().requires_grad
    assert not x.to(torch.bool).requires_grad
    assert not x.argmax().requires_grad
    values, indices = x.max(0)
    assert values.requires_grad
    assert not indices.requires_grad


@pytest.mark.parametrize(
    "make", [lambda: torch.tensor([3], requires_grad=True), lambda: torch.tensor([3]).requires_grad_()]
)
def test_only_floating_and_complex_tensors_can_require_grad(make: object) -> None:
    with pytest.raises(RuntimeError, match="only Tensors of floating point and complex dtype can require gradients"):
        make()  # type: ignore[operator]


def test_gradients_come_back_in_the_type_of_each_input() -> None:
    x = torch.tensor([1.0, 2.0], dtype=torch.float64, requires_grad=True)
    w = leaf(3.0, 4.0)
    half = torch.tensor([1.0, 2.0], dtype=torch.float16, requires_grad=True)
    zero_dim = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
    (x * w * half.float() * zero_dim).sum().backward()
    assert [t.grad.dtype for t in (x, w, half, zero_dim)] == [
        torch.float64,
        torch.float32,
        torch.float16,
        torch.float64,
    ]


def test_requires_grad_of_a_computed_tensor_cannot_be_taken_away() -> None:
    y = leaf(3.0) * 2
    with pytest.raises(RuntimeError, match="you can only change requires_grad flags of leaf variables"):
        y.requires_grad = False
    assert y.requires_grad_() is y
