"""In-place variants: the result is written into the tensor's memory, and its history, or its base's, is rewritten."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .. import dtypes
from ..batching import levels_of
from ..tape.mode import mode
from ..tape.nodes import AccumulateGrad, Node, hooks_of
from ..tape.provenance import caller
from ..tape.version import tick
from ..tensors.tensor import Tensor
from ..tensors.view import View
from .batches import collapsed
from .operation import Operation


def variant(op: Operation) -> Callable[..., Tensor]:
    """The method ``op_`` that changes its tensor in place and returns it."""
    first = op.operands[0] if op.operands else op.parameters[0]
    copies = first in op.saved_names() or not op.differentiable

    def in_place(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        return apply(op.call, op.shown_name + "_", self, args, kwargs, copies)

    in_place.__name__ = op.name + "_"
    in_place.__qualname__ = "Tensor." + op.name + "_"
    in_place.__doc__ = f"In-place version of :func:`{op.name}`: changes this tensor and returns it."
    return in_place


def apply(
    function: Callable[..., Any],
    name: str,
    target: Tensor,
    args: Sequence[Any],
    kwargs: dict[str, Any],
    copies: bool,
) -> Tensor:
    """Let *target* become ``function(target, *args, **kwargs)``; *copies*: the old values are saved by a rule."""
    recorded = any(_needs_grad(a) for a in args) or any(_needs_grad(a) for a in kwargs.values())
    check_may_change(target, recorded, name)
    before = target
    if mode.enabled and copies and (target._node is not None or recorded):
        before = Tensor._wrap(target._array.copy(), target._node)
    elif target._node is not None:
        before = Tensor._wrap(target._array, target._node)
    write(target, function(before, *args, **kwargs), name)
    return target


def _needs_grad(value: Any) -> bool:
    return isinstance(value, Tensor) and value._node is not None


def check_may_change(target: Tensor, recorded: bool = False, name: str = "an assignment") -> None:
    """RuntimeError if operations are recorded and *target* is a leaf that requires grad, or a view of one.

    So is a view that was made inside ``no_grad``, where it has a history, or gets one (*recorded*).
    """
    view = target._view
    if view is not None:
        view.refresh(target)
    if not mode.enabled:
        return
    if type(target._node) is AccumulateGrad:
        raise RuntimeError(
            f"a leaf Variable that requires grad is being used in an in-place operation, {name} on {list(target.shape)}: "
            "do it inside torch.no_grad(), or write x = x + 1 rather than x += 1"
        )
    if view is not None and type(view.base._node) is AccumulateGrad:
        raise RuntimeError(
            f"a view of a leaf Variable that requires grad is being used in an in-place operation, {name} on "
            f"{list(target.shape)}: do it inside torch.no_grad()"
        )
    if view is not None and view.made_without_grad and (recorded or view.base._node is not None):
        raise RuntimeError(
            "A view was created in no_grad mode and is being modified inplace with grad mode enabled: it is not clear "
            "whether the change should be recorded. Put both inside no_grad, or both outside of it."
        )


def write(target: Tensor, result: Tensor, name: str) -> None:
    """Put the values of *result* into the memory of *target*, which takes over the history of *result*."""
    array = target._array
    if result._array.shape != array.shape:
        raise RuntimeError(
            f"output with shape {list(array.shape)} doesn't match the broadcast shape {list(result._array.shape)}, "
            f"in {name}()"
        )
    if result._array.dtype != array.dtype:
        if not dtypes.can_cast(result.dtype, target.dtype):
            raise RuntimeError(
                f"result type {title(result.dtype)} can't be cast to the desired output type {title(target.dtype)}, "
                f"in {name}(): use the out-of-place form"
            )
        result = result.to(target.dtype)
    if not array.flags.writeable:
        raise RuntimeError(
            f"{name}() would change a tensor over read-only memory (an expanded view, or an array that is not "
            "writeable): .clone() it first"
        )
    np.copyto(array, result._array)
    rewrite_history(target, _for_each_example(result, array))


def _for_each_example(result: Tensor, array: Any) -> Node | None:
    """The node of *result*, which was written into *array*: summing over examples, where that alone has some."""
    return collapsed([result], [result._node], levels_of(array))[0]


def rewrite_history(target: Tensor, made_by: Node | None) -> None:
    """Note that the memory of *target* was just overwritten by values that *made_by* recorded."""
    target._counter_or_new().bump(caller())
    if made_by is None or not mode.enabled:
        return
    if target._view is None:
        _move_retained(target._node, made_by)
        target._node = made_by
        return
    base, before = target._view.base, target._view.base._node
    base._node = CopySlices(before, made_by, target._view)
    _move_retained(before, base._node)
    before = target._node
    target._view.refresh(target)
    _move_retained(before, target._node)


def _move_retained(before: Node | None, after: Node | None) -> None:
    """Let ``retain_grad`` of a tensor, which *before* made, follow it to *after*, which made its new value."""
    if before is not None and after is not None and before.hooks is not None and before.hooks.retain is not None:
        hooks_of(after).retain, before.hooks.retain = before.hooks.retain, None


def title(d: dtypes.dtype) -> str:
    """PyTorch's name of *d* in messages, such as "Float" for float32."""
    names = {"float32": "Float", "float64": "Double", "float16": "Half", "bfloat16": "BFloat16",
             "int64": "Long", "int32": "Int", "bool": "Bool",
             "int16": "Short", "int8": "Char", "uint8": "Byte", "complex64": "ComplexFloat",
             "complex128": "ComplexDouble"}  # fmt: skip
    return names.get(d.name, d.name)


class CopySlices(Node):
    """A tensor after one of its views was overwritten: the old values where the view is not, the new ones where it is."""

    __slots__ = ("axes", "replay")

    def __init__(self, before: Node | None, written: Node, view: View) -> None:
        self.edges = (before, written)
        self.replay = view.replay
        strides = view.base._array.strides
        self.axes = sorted(range(len(strides)), key=lambda axis: -strides[axis])
        self.seq = tick()
        self.code, self.lasti = caller()
        self.hooks = self.version = None

    def gradients(self, g: Any, wanted: Sequence[object]) -> Sequence[Any]:
        kept = self._laid_out_as_base(g)
        written = self.replay(kept).copy() if wanted[1] is not None else None
        if wanted[0] is None:
            return None, written
        self.replay(kept)[...] = 0
        return kept, written

    def _laid_out_as_base(self, g: Any) -> Any:
        """*g* copied in the base's memory order: there what is replayed (a reshape, strides) finds what was in the base."""
        return np.transpose(g, self.axes).copy().transpose(np.argsort(self.axes))

    def recorded_gradients(self, g: Any, wanted: Sequence[object]) -> Sequence[Any]:
        g = g.permute(self.axes).contiguous().permute(tuple(np.argsort(self.axes).tolist()))
        written = self.replay(g) if wanted[1] is not None else None
        if wanted[0] is None:
            return None, written
        enabled, mode.enabled = mode.enabled, False
        try:
            kept = Tensor._wrap(self._laid_out_as_base(np.ones_like(g._array)))
            self.replay(kept)._array[...] = 0
        finally:
            mode.enabled = enabled
        return np.where(kept != 0, g, np.zeros_like(g)), written
