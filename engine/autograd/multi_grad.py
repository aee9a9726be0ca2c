"""A hook on the gradients of several tensors at once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, Literal

from ..tape.nodes import Handle, Node, callbacks
from ..tensors.tensor import Tensor

Hook = Callable[..., None]


class _Handles(Handle):
    """Takes several hooks away at once."""

    def __init__(self, handles: Sequence[Handle]) -> None:
        self._handles = tuple(handles)

    def remove(self) -> None:
        for handle in self._handles:
            handle.remove()


def register_multi_grad_hook(tensors: Sequence[Tensor], fn: Hook, *, mode: Literal["all", "any"] = "all") -> Handle:
    """Call *fn* once in each backward pass that computes gradients of *tensors*.

    With *mode* "all", ``fn(grads)`` is called when the last of those that this pass computes is there, and the list has
    None for the others. With "any", ``fn(grad)`` is called with the first one.

    Raises:
        ValueError: *mode* is neither.
        RuntimeError: one of *tensors* does not require grad.

    Example:
        >>> import allgrad as torch
        >>> a, b = torch.ones(1, requires_grad=True), torch.ones(1, requires_grad=True)
        >>> handle = torch.autograd.graph.register_multi_grad_hook([a, b], lambda grads: print(grads))
        >>> (a * 2 + b * 3).backward()
        [tensor([2.]), tensor([3.])]
    """
    if mode not in ("all", "any"):
        raise ValueError(f"Expects mode to be one of ('all', 'any') but got {mode}")
    hook = _All(tensors, fn) if mode == "all" else _Any(fn)
    return _Handles([tensor.register_hook(hook.of(position)) for position, tensor in enumerate(tensors)])


class _Any:
    """Calls the hook with the first gradient of each pass."""

    def __init__(self, fn: Hook) -> None:
        self._fn, self._pass, self._lock = fn, 0, threading.Lock()

    def of(self, position: int) -> Callable[[Tensor], None]:
        """The hook for one tensor."""
        return self._seen

    def _seen(self, grad: Tensor) -> None:
        with self._lock:
            running = callbacks.passes[-1].number
            first, self._pass = running != self._pass, running
        if first:
            self._fn(grad)


class _All:
    """Gathers the gradients of each pass, and calls the hook when those that it will compute are there."""

    def __init__(self, tensors: Sequence[Tensor], fn: Hook) -> None:
        self._nodes: list[Node] = [t._recorded_node("cannot register a hook on a tensor that doesn't require gradient")
                                   for t in tensors]  # fmt: skip
        self._fn, self._lock = fn, threading.Lock()
        self._gathered: dict[int, list[Any]] = {}  # by the number of the pass

    def of(self, position: int) -> Callable[[Tensor], None]:
        """The hook for the tensor at *position*."""
        return lambda grad: self._seen(position, grad)

    def _seen(self, position: int, grad: Tensor) -> None:
        running = callbacks.passes[-1]
        with self._lock:
            grads = self._gathered.setdefault(running.number, [None] * len(self._nodes))
            grads[position] = grad
            complete = all(g is not None or not running.will_run(n) for g, n in zip(grads, self._nodes, strict=True))
            if complete:
                del self._gathered[running.number]
        if complete:
            self._fn(grads)
