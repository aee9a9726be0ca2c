"""Saved values on their way through the hooks of ``saved_tensors_hooks``: packed when recorded, unpacked when needed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..tape.mode import mode, users_code
from ..tape.nodes import RELEASED, Node, Output, hooks_of
from ..tensors.tensor import Tensor
from .nodes import OperationNode, Packed, is_result
from .operation import Operation

Hook = Callable[[Any], Any]


def pack(tensor: Tensor, hook: Hook, unpack: Hook, node: Node | None = None) -> Packed:
    """*tensor* in the form that *hook* gives it; unpacked, it is made by *node* again.

    RuntimeError if the hook changes the tensor in place.
    """
    before, mode.enabled = mode.enabled, False
    packing, mode.packing = mode.packing, ()
    try:
        shown = tensor.detach()
        version = shown._version
        with users_code():
            packed = Packed(hook(shown), unpack, node)
    finally:
        mode.enabled, mode.packing = before, packing
    if shown._version != version:
        raise RuntimeError(
            "A saved tensor pack hook is modifying its input in place. Tensors provided as input to pack hook can not "
            "be modified by in-place operations as this can lead to unexpected side-effects: return a changed copy."
        )
    return packed


def pack_saved(op: Operation | None, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
    """An observer that packs what an operation has just saved, with the innermost pair of hooks."""
    if not mode.packing or op is None:
        return
    first = result[0] if isinstance(result, tuple) and result else result
    node = first._node if isinstance(first, Tensor) else None
    node = node.parent if isinstance(node, Output) else node
    if not isinstance(node, OperationNode) or node.operation is not op or (node.hooks and node.hooks.packed):
        return
    hook, unpack = mode.packing[-1]
    for name in op.saved_names():
        value = getattr(node, "_saved_" + name)
        if is_result(name):
            made = result if name == "y" else result[int(name[1:])]
            setattr(node, "_saved_" + name, pack(made, hook, unpack))
        elif name in op.operands and value is not None and value is not RELEASED:
            packed = tuple(pack(t, hook, unpack, t._node) for t in value) if isinstance(value, tuple) else \
                pack(value, hook, unpack, value._node)  # fmt: skip
            setattr(node, "_saved_" + name, packed)
    hooks_of(node).packed = True


class SavedTensor:
    """A value that a node saved, as PyTorch shows it in ``grad_fn._raw_saved_x``: for hooks of its own."""

    def __init__(self, node: OperationNode, name: str) -> None:
        self._node, self._name = node, name

    def register_hooks(self, pack_hook: Hook, unpack_hook: Hook) -> None:
        """Let this value go through *pack_hook* now, and through *unpack_hook* when backward needs it.

        RuntimeError if it has hooks already, was freed, or is no tensor.
        """
        value = getattr(self._node, "_saved_" + self._name)
        if isinstance(value, Packed):
            raise RuntimeError(
                "Calling register_hooks on a saved tensor whose hooks have already been set. Hint: only one pair of hooks is "
                "allowed at a time."
            )
        tensor = self._node._saved_tensor(self._name)
        if not isinstance(tensor, Tensor):
            raise RuntimeError(f"register_hooks: {self._name} is no tensor but {type(tensor).__name__}")
        node = None if is_result(self._name) else tensor._node
        setattr(self._node, "_saved_" + self._name, pack(tensor, pack_hook, unpack_hook, node))
        hooks_of(self._node).packed = True
