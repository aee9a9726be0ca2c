"""Views: which operations give them, what they share, and whose views they are."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import allgrad as torch
from allgrad import Tensor

VIEWS: dict[str, Callable[[Tensor], Tensor]] = {
    "select": lambda x: x[0],
    "element": lambda x: x[1, 2],
    "slice": lambda x: x[:, 1:3],
    "ellipsis": lambda x: x[..., 0],
    "new dimension": lambda x: x[None],
    "negative step": lambda x: x[::-1],
    "view": lambda x: x.view(4, 3),
    "reshape": lambda x: x.reshape(-1),
    "flatten": lambda x: x.flatten(),
    "T": lambda x: x.T,
    "t": lambda x: x.t(),
    "transpose": lambda x: x.transpose(0, 1),
    "permute": lambda x: x.permute(1, 0),
    "unsqueeze": lambda x: x.unsqueeze(1),
    "squeeze": lambda x: x.squeeze(),
    "expand": lambda x: x.expand(2, 3, 4),
    "unbind": lambda x: x.unbind(1)[2],
    "split": lambda x: x.split(2)[1],
    "chunk": lambda x: x.chunk(2, 1)[0],
    "narrow": lambda x: x.narrow(0, 1, 2),
    "view_as": lambda x: x.view_as(x),
    "iteration": lambda x: next(iter(x)),
    "of a view": lambda x: x.T[1:].reshape(3, 3)[0],
}


@pytest.mark.parametrize("name", list(VIEWS))
def test_a_view_shares_memory_version_and_base(name: str) -> None:
    x = torch.arange(12.0).reshape(3, 4).clone()
    view = VIEWS[name](x)
    assert np.shares_memory(view.numpy(), x.numpy())
    assert view._is_view()
    assert view._base is x
    assert not x._is_view()
    assert x._base is None
    x.add_(100)
    assert view._version == x._version == 1
    assert float(view.min()) >= 100


@pytest.mark.parametrize("name", [n for n in VIEWS if n != "expand"])
def test_a_change_of_a_view_changes_the_base_and_its_gradient(name: str) -> None:
    w = torch.arange(12.0).reshape(3, 4).clone().requires_grad_()
    x = w * 1
    VIEWS[name](x).mul_(3)
    assert (x != w).any()
    x.sum().backward()
    assert w.grad is not None
    changed = torch.zeros(3, 4)
    VIEWS[name](changed).add_(2)
    assert w.grad.tolist() == (changed + 1).tolist()


@pytest.mark.parametrize(
    "copy", [lambda x: x.clone(), lambda x: x[[0, 1]], lambda x: x[x > 0], lambda x: x + 0, lambda x: x.T.contiguous()]
)
def test_a_copy_is_no_view(copy: Callable[[Tensor], Tensor]) -> None:
    x = torch.ones(2, 2)
    made = copy(x)
    assert not made._is_view()
    assert not np.shares_memory(made.numpy(), x.numpy())


def test_detached_tensors_share_memory_but_are_no_views() -> None:
    x = torch.ones(2, requires_grad=True)
    for alias in (x.detach(), x.data):
        assert alias.data_ptr() == x.data_ptr()
        assert not alias._is_view()
        assert not alias.requires_grad
        assert alias.is_leaf


def test_a_view_made_without_recording_does_not_require_grad() -> None:
    x = torch.ones(2, requires_grad=True)
    with torch.no_grad():
        view = x[0:1]
    assert (view.requires_grad, view._base is x) == (False, True)


def test_a_part_of_a_plain_tensor_can_be_a_leaf() -> None:
    x = torch.ones(2, 2)
    row = x[0]
    row.requires_grad_()
    (row * 2).sum().backward()
    assert row.grad is not None
    assert row.grad.tolist() == [2.0, 2.0]


@pytest.mark.parametrize(
    ("index", "name"),
    [
        (0, "SelectBackward0"),
        (slice(0, 1), "SliceBackward0"),
        (slice(None), "SliceBackward0"),
        ((slice(None), 0), "SelectBackward0"),
        ((0, slice(1, None)), "SliceBackward0"),
        (None, "UnsqueezeBackward0"),
        (..., "AliasBackward0"),
        ([0, 1], "IndexBackward0"),
        (True, "IndexBackward0"),
    ],
)
def test_a_subscript_is_recorded_under_the_name_of_its_last_step(index: object, name: str) -> None:
    found = torch.ones(2, 3, requires_grad=True)[index]
    assert found.grad_fn is not None
    assert found.grad_fn.name() == name
