"""What goes into a custom operation and comes out of it: edges, outputs with their node, outputs that the node keeps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..registry.nodes import Packed
from ..tape.nodes import Node, Output
from ..tensors.tensor import Tensor

if TYPE_CHECKING:
    from .function import FunctionNode

NEVER_STALE = 1 << 62


class SavedOutput:
    """An output of a custom function that its own node keeps: the memory, and the change it was saved at."""

    __slots__ = ("array", "counter", "index", "packed", "stamp")

    def __init__(self, output: Tensor, index: int) -> None:
        self.array: Any = output._array
        self.index = index
        self.packed: Packed | None = None
        self.counter = output._counter_or_new()
        self.stamp = self.counter.stamp


def kind_of(output: Any) -> tuple[tuple[int, ...], Any]:
    """The shape and dtype of an output's gradient; those of a number where it is no tensor."""
    return (output._array.shape, output._array.dtype) if isinstance(output, Tensor) else ((), np.dtype(np.float32))


def edge_of(value: Any) -> Node | None:
    """The node that made the argument *value*; None for what no gradient goes to."""
    if not isinstance(value, Tensor):
        return None
    if value._view is not None:
        value._view.refresh(value)
    return value._node


def output_of(node: FunctionNode, value: Any, index: int, args: tuple[Any, ...], recording: bool) -> Any:
    """*value* as the caller gets it: made by *node*, unless it is no tensor, or not differentiable."""
    if not isinstance(value, Tensor):
        return value
    dirty = any(value is t for t in node._dirty)
    if dirty:
        from ..registry.inplace import check_may_change, rewrite_history

        check_may_change(value, recording)
    differentiable = recording and value._array.dtype.kind in "fc" and not any(value is t for t in node._constant)
    made_by: Node | None = None
    if differentiable:
        made_by = node if len(node._outputs) == 1 else Output(node, index, len(node._outputs))
    if dirty:
        rewrite_history(value, made_by)
        return value
    returned_input = any(value is a for a in args)
    made = Tensor._wrap(value._array, made_by)
    if returned_input or value._counter is not None:
        made._counter = value._counter_or_new()
    return made


def forget_own_outputs(node: FunctionNode, raw: tuple[Any, ...], made: tuple[Any, ...]) -> None:
    """Replace outputs among the saved tensors by their arrays, so that node and output form no cycle."""
    kept = list(node._saved)
    for position, tensor in enumerate(kept):
        for index, (before, after) in enumerate(zip(raw, made, strict=True)):
            if tensor is not None and (tensor is before or tensor is after) and isinstance(after, Tensor):
                if any(after is d for d in node._dirty) or after._node is not None:
                    kept[position] = SavedOutput(after, index)
                break
    node._saved = tuple(kept)
    node._dirty = node._constant = ()
