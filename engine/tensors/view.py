"""Views: tensors over another's memory, which replay how they were made when that memory's history is rewritten."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..tape.mode import mode

if TYPE_CHECKING:
    from .tensor import Tensor


class Replay:
    """The operations that make a view of its base: the last one, and those before it."""

    __slots__ = ("before", "last")

    def __init__(self, before: Replay | None, last: Callable[[Any], Any]) -> None:
        self.before = before
        self.last = last

    def __call__(self, base: Any) -> Any:
        """The view made anew of *base*: the tensor that owns the memory, or an array or Tensor of its shape."""
        operations = []
        step: Replay | None = self
        while step is not None:
            operations.append(step.last)
            step = step.before
        for operation in reversed(operations):
            base = operation(base)
        return base


class View:
    """How a tensor was made as a view of *base*, and the change of that for which its node is valid."""

    __slots__ = ("base", "made_without_grad", "replay", "stamp")

    def __init__(self, base: Tensor, replay: Replay, stamp: int, made_without_grad: bool) -> None:
        self.base = base
        self.replay = replay
        self.stamp = stamp
        self.made_without_grad = made_without_grad

    def refresh(self, view: Tensor) -> None:
        """Give *view* a new node if its base was changed in place and recorded since."""
        version = view._counter
        if version is None or version.stamp <= self.stamp:
            return
        self.stamp = version.stamp
        if self.base._node is None:
            return
        enabled, mode.enabled = mode.enabled, True
        try:
            view._node = self.replay(self.base)._node
        finally:
            mode.enabled = enabled


def attach(view: Tensor, source: Tensor, operation: Callable[[Any], Any]) -> None:
    """Make *view*, just computed from *source* by *operation*, a view of the tensor that owns the memory."""
    version = source._counter_or_new()
    view._counter = version
    outer = source._view
    if outer is None:
        view._view = View(source, Replay(None, operation), version.stamp, not mode.enabled)
    else:
        without_grad = outer.made_without_grad or not mode.enabled
        view._view = View(outer.base, Replay(outer.replay, operation), version.stamp, without_grad)
