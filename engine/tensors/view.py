"""Views: tensors over another's memory, which replay how they were made when that memory's history is rewritten."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..tape.mode import mode

if TYPE_CHECKING:
    from .tensor import Tensor


class View:
    """How a tensor was made as a view of *base*: the operations to replay, and the change they were last valid for."""

    __slots__ = ("base", "replay", "stamp")

    def __init__(self, base: Tensor, replay: Callable[[Any], Any], stamp: int) -> None:
        self.base = base
        self.replay = replay
        self.stamp = stamp

    def refresh(self, view: Tensor) -> None:
        """Give *view* a new node if its base was changed in place and recorded since."""
        version = view._version
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


def attach(view: Tensor, source: Tensor, replay: Callable[[Any], Any]) -> None:
    """Make *view*, just computed from *source* by *replay*, a view of the tensor that owns the memory."""
    version = source._version_or_new()
    view._version = version
    outer = source._view
    if outer is None:
        view._view = View(source, replay, version.stamp)
    else:
        first = outer.replay
        view._view = View(outer.base, lambda base: replay(first(base)), version.stamp)
