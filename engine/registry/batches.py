"""Operations on batches, inside ``vmap``: how forwards and rules run on them, and where gradients are summed over examples."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..batching import (
    Batched,
    Unbatchable,
    any_batched,
    by_rows,
    completed,
    computed,
    levels_of,
    lowered,
    note,
    sizes_of,
)
from ..tape.mode import mode
from ..tape.nodes import Node
from ..tape.version import tick
from ..tensors.tensor import Tensor
from .nodes import OperationNode
from .operation import Operation


def has_batch(values: Sequence[Any]) -> bool:
    """Whether one of *values*, the arguments of a forward, is a batch."""
    for value in values:
        kind = type(value)
        if kind is Batched or ((kind is tuple or kind is list) and any_batched(value)):
            return True
    return False


def forward(op: Operation, positional: Sequence[Any], named: dict[str, Any]) -> Any:
    """The forward of *op* on arrays, batches among them: by its own rule for them, else at once, else row by row."""
    if op.batching is not None:
        try:
            return lowered(op.batching(*lowered(list(positional)), **lowered(named)))
        except Unbatchable:
            return by_rows(op.forward, positional, named, op.shown_name)
    return computed(op.forward, positional, named, op.shown_name)


def gradient(op: Operation, rule: Callable[..., Any], g: Any, saved: Sequence[Any]) -> Any:
    """What *rule*, a derivative of *op*, gives for arrays, which may be batches."""
    if type(g) is not Batched and not any_batched((g, *saved)):
        return rule(g, *saved)
    return computed(rule, (g, *saved), {}, f"the gradient of {op.shown_name}")


def alike(results: list[Any]) -> list[Any]:
    """*results* of one operation, all of them batches at the same levels if one of them is a batch.

    So the gradient of each is that of an example, and a rule may add them.
    """
    sizes = sizes_of(results)
    return [Batched(completed(array, sizes), tuple(sizes)) for array in results] if sizes else results


def batched_type(op: Operation) -> type[OperationNode]:
    """The node class of *op* where batches are involved: its step is the general one."""
    if op.batched_node_type is None:
        assert op.node_type is not None
        members = {"__slots__": (), "__doc__": op.node_type.__doc__, "step": Node.step}
        op.batched_node_type = type(op.node_type.__name__, (op.node_type,), members)
    return op.batched_node_type


def collapsed(values: Sequence[Any], edges: Sequence[Node | None], levels: Sequence[int]) -> list[Node | None]:
    """*edges* to the nodes of *values*, operands of what has *levels*, by way of a sum where an operand has fewer."""
    found: list[Node | None] = []
    for value, edge in zip(values, edges, strict=True):
        own = levels_of(value._array) if isinstance(value, Tensor) else ()
        found.append(edge if edge is None or len(own) == len(levels) else Collapse(edge, own))
    return found


class Collapse(Node):
    """Where a value that is the same for all examples was used by each: their gradients are summed.

    Not at the levels of a ``vmap`` that still runs when backward does: inside it, each example has its own gradient.
    """

    __slots__ = ("levels",)

    def __init__(self, edge: Node, levels: tuple[int, ...]) -> None:
        self.edges = (edge,)
        self.levels = levels
        self.seq = tick()
        self.code, self.lasti = None, 0
        self.hooks = self.version = None

    def name(self) -> str:
        return "SumOverExamplesBackward0"

    def _surplus(self, g: Any) -> tuple[int, ...]:
        kept = {*self.levels, *(vmap.level for vmap in mode.vmaps)}
        return tuple(level for level in levels_of(g) if level not in kept)

    def gradients(self, g: Any, wanted: Sequence[object]) -> Sequence[Any]:
        return (summed(g, self._surplus(g)),)

    def recorded_gradients(self, g: Any, wanted: Sequence[object]) -> Sequence[Any]:
        from ..operations.batches import sum_of_examples

        surplus = self._surplus(g._array)
        return (sum_of_examples(g, surplus) if surplus else g,)


def summed(array: Any, levels: tuple[int, ...]) -> Any:
    """*array* summed over the examples at *levels*."""
    if not levels:
        return array
    rest = tuple(level for level in array.levels if level not in levels)
    total = np.sum(array.values, axis=tuple(array.levels.index(level) for level in levels))
    return Batched(total, rest) if rest else total


def example_by_example(function: Callable[..., Any], name: str = "") -> Callable[..., Any]:
    """A composite that decides by the values of its arguments: inside ``vmap`` it is called for each example."""

    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        if not mode.vmaps:
            return function(*args, **kwargs)
        from ..func.tree import flatten, unflatten
        from ..operations.batches import leave_batch

        leaves, structure = flatten((args, kwargs))
        sizes = sizes_of([x._array for x in leaves if isinstance(x, Tensor)])
        if not sizes:
            return function(*args, **kwargs)
        note(name or function.__name__)
        level, size = sizes.popitem()
        own = [isinstance(x, Tensor) and level in levels_of(x._array) for x in leaves]
        apart = [leave_batch(x, 0, level) if mine else x for x, mine in zip(leaves, own, strict=True)]
        rows = []
        for i in range(size):
            given, named = unflatten(structure, [x[i] if mine else x for x, mine in zip(apart, own, strict=True)])
            rows.append(wrapped(*given, **named))
        return _together(rows, level)

    return wrapped


def _together(rows: Sequence[Any], level: int) -> Any:
    """The results for the examples at *level* as one."""
    from ..operations.batches import enter_batch
    from ..operations.shape import stack

    first = rows[0]
    if isinstance(first, (tuple, list)):
        made = [_together(column, level) for column in zip(*rows, strict=True)]
        return type(first)(*made) if hasattr(first, "_fields") else type(first)(made)
    return enter_batch(stack(list(rows)), 0, level) if isinstance(first, Tensor) else first
