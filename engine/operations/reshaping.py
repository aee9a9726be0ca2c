"""Changing a tensor's own shape: the methods that turn a tensor into a view of what it was."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..registry.inplace import check_may_change
from ..tensors.tensor import Tensor, add_method
from ..tensors.view import Replay, View
from .shape import squeeze, t, transpose, unsqueeze
from .strides import as_strided


def _become(tensor: Tensor, view_of: Callable[[Any], Any]) -> Tensor:
    """Let *tensor* be what *view_of* makes of it, over the same memory."""
    check_may_change(tensor)
    before = Tensor._wrap(tensor._array, tensor._node)
    made = view_of(before)
    tensor._array, tensor._node = made._array, made._node
    if tensor._view is not None:
        before_this = tensor._view
        replay = Replay(before_this.replay, view_of)
        tensor._view = View(before_this.base, replay, before_this.stamp, before_this.made_without_grad)
    return tensor


def _in_place(name: str, view: Callable[..., Any]) -> None:
    def method(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        return _become(self, lambda x: view(x, *args, **kwargs))

    method.__name__ = name
    method.__qualname__ = "Tensor." + name
    method.__doc__ = f"In-place version of :func:`{name.rstrip('_')}`: changes this tensor's shape and returns it."
    add_method(name, method)


for _name, _view in {
    "t_": t, "transpose_": transpose, "swapaxes_": transpose, "swapdims_": transpose, "squeeze_": squeeze,
    "unsqueeze_": unsqueeze, "as_strided_": as_strided,
}.items():  # fmt: skip
    _in_place(_name, _view)
