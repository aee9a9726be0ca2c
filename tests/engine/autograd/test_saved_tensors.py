"""What the hooks on saved tensors are given, what is made of what they return, and what they must not do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import allgrad as torch
from allgrad import Tensor
from allgrad.autograd import graph


def keep(tensor: Tensor) -> Tensor:
    return tensor


class Scaled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        y = x * x
        ctx.save_for_backward(x, y)
        return y

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:
        x, y = ctx.saved_tensors
        return g * (2 * x + 0 * y)


PROGRAMS: dict[str, Callable[[Tensor], Tensor]] = {
    "operands": lambda x: x * x,
    "a result": lambda x: x.exp(),
    "one of several results": lambda x: torch.logsumexp(x, 0) + x.max(0).values,
    "a list of operands": lambda x: torch.einsum("i,i->i", x, x * 2),
    "a view": lambda x: (x[1:] * x[:2]).sum() * x,
    "a custom function": Scaled.apply,
    "a matrix product": lambda x: x.unsqueeze(0) @ x.unsqueeze(1),
}


@pytest.mark.parametrize("kind", list(PROGRAMS))
def test_packed_values_give_the_same_gradients(kind: str) -> None:
    x = torch.tensor([0.5, 1.0, 2.0], requires_grad=True)
    (expected,) = torch.autograd.grad(PROGRAMS[kind](x).sum(), x)
    packed: list[Any] = []

    def pack(tensor: Tensor) -> int:
        packed.append(tensor.numpy().copy())
        return len(packed) - 1

    with graph.saved_tensors_hooks(pack, lambda number: torch.from_numpy(packed[number])):
        y = PROGRAMS[kind](x).sum()
    (found,) = torch.autograd.grad(y, x)
    assert packed
    assert torch.equal(found, expected)


@pytest.mark.parametrize("kind", list(PROGRAMS))
def test_packed_values_can_be_differentiated_twice(kind: str) -> None:
    x = torch.tensor([0.5, 1.0, 2.0], requires_grad=True)

    def second(y: Tensor) -> Tensor:
        (g,) = torch.autograd.grad(y.sum(), x, create_graph=True)
        (gg,) = torch.autograd.grad((g * g).sum(), x)
        return gg

    expected = second(PROGRAMS[kind](x))
    with graph.saved_tensors_hooks(keep, keep):
        y = PROGRAMS[kind](x)
    assert torch.equal(second(y), expected)


def test_the_innermost_pair_of_hooks_acts() -> None:
    x = torch.ones(1, requires_grad=True)
    seen: list[str] = []

    def noting(name: str) -> Callable[[Tensor], Tensor]:
        def note(tensor: Tensor) -> Tensor:
            seen.append(name)
            return tensor

        return note

    with graph.saved_tensors_hooks(noting("outer"), keep):
        x.exp()
        with graph.saved_tensors_hooks(noting("inner"), keep):
            x.exp()
        x.sin()
    x.exp()
    assert seen == ["outer", "inner", "outer"]


def test_hooks_are_the_running_threads_own_and_what_they_compute_is_not_packed() -> None:
    x = torch.ones(2, requires_grad=True)
    calls: list[int] = []

    def pack(tensor: Tensor) -> Tensor:
        calls.append(1)
        return tensor * 2

    with graph.saved_tensors_hooks(pack, lambda tensor: tensor / 2):
        (x**3).sum().backward()
    assert len(calls) == 1
    assert x.grad is not None
    assert x.grad.tolist() == [3.0, 3.0]


def test_a_pack_hook_must_not_change_its_tensor() -> None:
    x = torch.ones(2, requires_grad=True)
    with (
        pytest.raises(RuntimeError, match="pack hook is modifying its input in place"),
        graph.saved_tensors_hooks(lambda t: t.mul_(2), keep),
    ):
        x.exp()


def test_an_unpack_hook_must_return_a_tensor() -> None:
    x = torch.ones(2, requires_grad=True)
    with graph.saved_tensors_hooks(keep, lambda t: t.numpy()):  # type: ignore[arg-type, return-value]
        y = x.exp()
    with pytest.raises(TypeError, match="unpack_hook expected to be a Tensor but got result of type ndarray"):
        y.sum().backward()


def test_disabled_hooks_raise_with_the_message_given() -> None:
    hooks = graph.saved_tensors_hooks(keep, keep)
    with graph.disable_saved_tensors_hooks("not here"), pytest.raises(RuntimeError, match="not here"):
        hooks.__enter__()
    with (
        graph.saved_tensors_hooks(keep, keep),
        pytest.raises(RuntimeError, match="too late"),
        graph.disable_saved_tensors_hooks("too late"),
    ):
        pass


def test_save_on_cpu_changes_nothing() -> None:
    x = torch.ones(2, requires_grad=True)
    with graph.save_on_cpu(pin_memory=True):
        (x * x).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [2.0, 2.0]


def test_mutation_of_saved_tensors_can_be_allowed() -> None:
    x = torch.ones(2, requires_grad=True)
    with graph.allow_mutation_on_saved_tensors() as context:
        y = x * 2
        z = (y**2).sum()
        y.add_(5)
        z.backward()
        context.clear()
    assert x.grad is not None
    assert x.grad.tolist() == [8.0, 8.0]


def test_an_incremented_version_counts_as_a_change() -> None:
    x = torch.ones(2, requires_grad=True)
    y = x * 1
    z = y.exp() * y
    graph.increment_version([y])
    assert y._version == 1
    with pytest.raises(RuntimeError, match="increment_version"):
        z.sum().backward()


def test_what_is_packed_is_freed_by_backward() -> None:
    x = torch.ones(2, requires_grad=True)
    with graph.saved_tensors_hooks(keep, keep):
        y = x.exp().sum()
    assert torch.memory(y).total == 8
    y.backward()
    assert torch.memory(y).total == 0
    with pytest.raises(RuntimeError, match="a second time"):
        y.backward()


def test_nodes_show_what_they_saved_by_pytorchs_names() -> None:
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    power, exponential = x**2, x.exp()
    assert power.grad_fn is not None
    assert exponential.grad_fn is not None
    assert power.grad_fn._saved_self is x
    assert torch.equal(exponential.grad_fn._saved_result, exponential)
    with pytest.raises(AttributeError, match="_saved_nothing"):
        _ = power.grad_fn._saved_nothing
    exponential.sum().backward()
    with pytest.raises(RuntimeError, match="directly access saved tensors after they have already been freed"):
        _ = exponential.grad_fn._saved_result


def test_a_saved_value_may_have_hooks_of_its_own_once() -> None:
    x = torch.ones(3, requires_grad=True)
    y = x**2
    assert y.grad_fn is not None
    saved = y.grad_fn._raw_saved_self
    saved.register_hooks(lambda tensor: tensor * 4, keep)
    with pytest.raises(RuntimeError, match="only one pair of hooks"):
        saved.register_hooks(keep, keep)
    y.sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [8.0, 8.0, 8.0]


def test_a_node_carries_what_the_user_wants() -> None:
    y = torch.ones(3, requires_grad=True) * 2
    assert y.grad_fn is not None
    y.grad_fn.metadata["step"] = 3
    assert y.grad_fn.metadata == {"step": 3}
