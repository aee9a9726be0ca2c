"""The node an operation leaves in the graph: what it saved, and how its rules are run on arrays and on Tensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, NoReturn

import numpy as np

from ..tape.loops import in_respect_of_loop
from ..tape.mode import users_code
from ..tape.module_calls import ModulePaths
from ..tape.nodes import RELEASED, Node, Output, callbacks
from ..tape.provenance import caller
from ..tensors.tensor import Tensor
from .operation import Operation


class Packed:
    """What the pack hook of ``saved_tensors_hooks`` made of a saved tensor, and how it is unpacked."""

    __slots__ = ("hook", "node", "value")

    def __init__(self, value: Any, hook: Callable[[Any], Any], node: Node | None) -> None:
        self.value, self.hook, self.node = value, hook, node

    def unpack(self) -> Tensor:
        """The tensor again. TypeError unless that is what the hook returns."""
        with users_code():
            tensor = self.hook(self.value)
        if not isinstance(tensor, Tensor):
            raise TypeError(
                "Output of saved tensor unpack_hook expected to be a Tensor but got result of type "
                f"{type(tensor).__name__}"
            )
        return Tensor._wrap(tensor._array, self.node)


def _is_packed(value: Any) -> bool:
    return isinstance(value[0] if isinstance(value, tuple) and value else value, Packed)


def _unpacked(value: Any, result: bool) -> Any:
    """*value*, saved by a node, with everything packed in it unpacked; the array if it is a *result*."""
    if isinstance(value, tuple):
        return tuple(_unpacked(part, result) for part in value)
    if not isinstance(value, Packed):
        return value
    tensor = value.unpack()
    return tensor._array if result else tensor


class OperationNode(Node):
    """A recorded operation; each operation has a subclass of its own, with a slot ``_saved_x`` for each saved x."""

    __slots__ = ("counts", "shapes")

    operation: ClassVar[Operation]
    shapes: tuple[tuple[int, ...], ...] | None  # of the inputs, where broadcasting must be undone
    counts: tuple[int, ...] | None  # how many edges each operand has, where one of them is a list

    def name(self) -> str:
        name = self.operation.node_name
        return name if isinstance(name, str) else name(self)

    def __getattr__(self, name: str) -> Any:
        """PyTorch's names for saved values: ``_saved_self``, ``_saved_result``, and ``_raw_saved_x`` for the slot itself."""
        raw, short = name.startswith("_raw_"), name.removeprefix("_raw").removeprefix("_saved_")
        known = {"self": self.operation.operands[0], "result": "y"}.get(short, short)
        if known in self.operation.saved_names() and (raw or known != short):
            return self._raw(known) if raw else self._saved_tensor(known)
        raise AttributeError(
            f"{self.name()!r} object has no attribute {name!r}: it saves {self.operation.saved_names()}"
        )

    def _raw(self, name: str) -> Any:
        from .packing import SavedTensor

        return SavedTensor(self, name)

    def gradients(self, g: Any, wanted: Sequence[object]) -> Sequence[Any]:
        return self._run_rules(g, wanted, recorded=False)

    def recorded_gradients(self, g: Any, wanted: Sequence[object]) -> Sequence[Any]:
        return self._run_rules(g, wanted, recorded=True)

    def _run_rules(self, g: Any, wanted: Sequence[object], recorded: bool) -> list[Any]:
        from .batches import gradient

        results: list[Any] = []
        fetch = self._saved_tensor if recorded else self._saved_array
        for position, rule in enumerate(self.operation.rules):
            count = 1 if self.counts is None else self.counts[position]
            start = len(results)
            if rule is None or all(want is None for want in wanted[start : start + count]):
                results += [None] * count
                continue
            saved = list(map(fetch, rule.saved))
            computed = rule.function(g, *saved) if recorded else gradient(self.operation, rule.function, g, saved)
            several = self.operation.operands[position] in self.operation.several
            results += list(computed) if several else [computed]
            if self.shapes is not None:
                results[start:] = map(reduce_to, results[start:], self.shapes[start : start + count])
        return results

    def _saved_array(self, name: str) -> Any:
        value = self._checked(name)
        if isinstance(value, tuple) and name in self.operation.several:
            return [t._array for t in value]
        return value._array if isinstance(value, Tensor) else value

    def _saved_tensor(self, name: str) -> Any:
        value = self._checked(name)
        if not is_result(name):
            return value
        if name == "y":
            return Tensor._wrap(value, self)
        index, count = int(name[1:]), len(self._saved_dtypes())
        return Tensor._wrap(value, Output(self, index, count) if value.dtype.kind in "fc" else None)

    def _saved_dtypes(self) -> tuple[Any, ...]:
        return self.operation.outputs._fields  # type: ignore[union-attr, no-any-return]

    def _checked(self, name: str) -> Any:
        """The saved value *name*, if it was neither freed nor changed since it was saved."""
        value = getattr(self, "_saved_" + name)
        if value is RELEASED:
            released(self)
        if self.hooks is not None and self.hooks.packed and _is_packed(value):
            return _unpacked(value, is_result(name))
        for tensor in value if isinstance(value, tuple) else (value,):
            if isinstance(tensor, Tensor) and tensor._counter is not None:
                check_unchanged(self, tensor, name)
        if is_result(name):
            check_output(self)
        return value

    def release(self) -> None:
        for name in self.operation.saved_names():
            if _holds_memory(self.operation, name):
                setattr(self, "_saved_" + name, RELEASED)


def _holds_memory(op: Operation, name: str) -> bool:
    """Whether the saved *name* is a value (an operand or a result), and not a shape or an attribute."""
    return name in op.operands or is_result(name)


def is_result(name: str) -> bool:
    """Whether a rule's parameter *name* means the result, or one of several."""
    return name == "y" or (name[0] == "y" and name[1:].isdigit())


def reduce_to(g: Any, shape: tuple[int, ...]) -> Any:
    """*g* summed over the dimensions that broadcasting added or stretched, so that it has *shape* again."""
    found = tuple(g.shape)
    if found == shape:
        return g
    added = len(found) - len(shape)
    stretched = tuple(i + added for i, length in enumerate(shape) if length == 1 and found[i + added] != 1)
    dims = tuple(range(added)) + stretched
    if dims:
        g = np.sum(g, axis=dims, keepdims=True)
    return np.reshape(g, shape)


def check_unchanged(node: Node, tensor: Tensor, name: str) -> None:
    """RuntimeError if *tensor*, saved by *node*, was changed in place since."""
    version = tensor._counter
    if version is not None and version.stamp > node.seq:
        changed(node, tensor._array, name, version.place)


def check_output(node: Node) -> None:
    """RuntimeError if the output that *node* saved was changed in place since."""
    version = node.version
    if version is not None and version.stamp > node.seq:
        saved = getattr(node, "_saved_y", None)
        changed(node, saved if isinstance(saved, np.ndarray) else None, "the result", version.place)


def changed(node: Node, array: Any, name: str, place: object) -> NoReturn:
    """RuntimeError: *array*, saved by *node*, was overwritten at *place*."""
    shape = "" if array is None else f" {list(array.shape)}"
    raise RuntimeError(
        "one of the variables needed for gradient computation has been modified by an inplace operation: "
        f"{name}{shape}, saved for {told(node)}, was overwritten at {place}. "
        "Use the out-of-place form there, or .clone() before it."
    )


def released(node: Node) -> NoReturn:
    """RuntimeError: the values that *node* saved are gone after a first backward pass."""
    freed = callbacks.freed_at
    where = in_respect_of_loop(node.place, caller()) if node.place is not None else ""
    if where == "in an earlier turn of the loop":
        remedy = "Use .detach() on what is carried over from turn to turn, or retain_graph=True in the first backward."
    elif where:
        remedy = "Compute it inside the loop, or specify retain_graph=True in each backward but the last."
    else:
        remedy = "Specify retain_graph=True in the first backward, or compute that value again before the second."
    raise RuntimeError(
        "Trying to backward through the graph a second time (or directly access saved tensors after they have already "
        f"been freed): the first stale value was made by {told(node)}{', ' + where if where else ''}"
        f"{f', and freed by the backward at {freed}' if freed is not None else ''}. {remedy}"
    )


def told(node: Node) -> str:
    """*node* in words: its operation, the user's line that recorded it, the module around that."""
    name = f"{node.operation.shown_name}()" if isinstance(node, OperationNode) else node.name()
    path = ModulePaths().at(node.seq)
    return f"{name} at {node.place}{f' in {path}' if path else ''}"
