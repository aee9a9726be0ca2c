"""Views beyond slices: they share memory with their base, and what is written through them is differentiated."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import allgrad as torch
from allgrad import Tensor

VIEWS: list[Callable[[Tensor], Tensor]] = [
    lambda x: x.diagonal(),
    lambda x: x.diagonal(1),
    lambda x: x.as_strided((2, 2), (1, 2), 1),
    lambda x: x.unfold(1, 2, 2),
    lambda x: x.diagonal().as_strided((2,), (1,), 1),
]


@pytest.mark.parametrize("number", range(len(VIEWS)))
def test_a_write_through_the_view_reaches_the_base_and_its_gradient(number: int) -> None:
    view = VIEWS[number]
    leaf = torch.arange(9.0).reshape(3, 3).requires_grad_()
    whole = leaf * 1
    shown = view(whole)
    assert shown._base is whole
    shown.mul_(10)
    whole.sum().backward()
    marked = torch.ones(3, 3)
    view(marked).mul_(10)
    assert leaf.grad is not None
    assert whole.tolist() == (torch.arange(9.0).reshape(3, 3) * marked).tolist()
    assert leaf.grad.tolist() == marked.tolist()


def test_overlapping_windows_add_up_their_gradients() -> None:
    x = torch.arange(4.0).requires_grad_()
    torch.as_strided(x, (3, 2), (1, 1)).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [1, 2, 2, 1]


def test_as_strided_of_a_view_reaches_memory_around_it() -> None:
    column = torch.arange(6.0).reshape(3, 2)[:, 1]
    assert column.as_strided((2,), (1,)).tolist() == [1, 2]
    assert column.as_strided((2,), (1,), 0).tolist() == [0, 1]


def test_real_and_imaginary_parts_are_views() -> None:
    z = torch.tensor([1 + 2j, 3 + 4j])
    z.real.zero_()
    z.imag.mul_(2)
    assert z.tolist() == [4j, 8j]


IN_PLACE: list[tuple[str, tuple[Any, ...], list[int]]] = [
    ("t_", (), [3, 2]),
    ("transpose_", (0, 1), [3, 2]),
    ("unsqueeze_", (1,), [2, 1, 3]),
    ("squeeze_", (), [2, 3]),
    ("as_strided_", ((3,), (2,)), [3]),
]


@pytest.mark.parametrize(("name", "arguments", "shape"), IN_PLACE)
def test_a_shape_changes_in_place_over_the_same_memory(name: str, arguments: tuple[Any, ...], shape: list[int]) -> None:
    leaf = torch.arange(6.0).reshape(2, 3).requires_grad_()
    changed = leaf * 1
    memory = changed.data_ptr()
    expected = getattr(torch, name.rstrip("_"))(leaf, *arguments)
    assert getattr(changed, name)(*arguments) is changed
    assert list(changed.shape) == shape
    assert changed.data_ptr() == memory
    assert changed.tolist() == expected.tolist()
    (changed * changed).sum().backward()
    (again,) = torch.autograd.grad((expected * expected).sum(), leaf)
    assert leaf.grad is not None
    assert leaf.grad.tolist() == again.tolist()


def test_a_leaf_that_requires_grad_does_not_change_its_shape() -> None:
    with pytest.raises(RuntimeError, match="a leaf Variable that requires grad"):
        torch.ones(2, 3).requires_grad_().t_()
