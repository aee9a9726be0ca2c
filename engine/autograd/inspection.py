"""What a recorded graph holds in memory, by operation, line and module."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..registry.nodes import Packed
from ..tape.module_calls import ModulePaths
from ..tape.nodes import RELEASED, AccumulateGrad, Node, Output
from ..tensors.tensor import Tensor

Array = np.ndarray[Any, Any]


def nodes_of(tensor: Tensor) -> list[Node]:
    """Every node behind *tensor*, latest first; RuntimeError if it does not require grad."""
    if tensor._node is None:
        raise RuntimeError("this tensor has no graph: it does not require grad")
    stack, found = [tensor._node], {tensor._node}
    while stack:
        for edge in stack.pop().edges:
            if edge is not None and edge not in found:
                found.add(edge)
                stack.append(edge)
    return sorted((n for n in found if not isinstance(n, Output)), key=lambda n: n.seq, reverse=True)


def saved_arrays(node: Node) -> Iterator[tuple[str, Array]]:
    """The names and arrays that *node* keeps for its backward."""
    for name in getattr(type(node), "__slots__", ()):
        if name.startswith("_saved_"):
            yield from _arrays(name.removeprefix("_saved_"), getattr(node, name))
    yield from _arrays("saved_tensors", getattr(node, "_saved", None))


def _arrays(name: str, value: Any) -> Iterator[tuple[str, Array]]:
    if value is RELEASED:
        return
    if isinstance(value, (tuple, list)):
        for item in value:
            yield from _arrays(name, item)
    elif isinstance(value, Tensor):
        yield name, value._array
    elif isinstance(value, np.ndarray):
        yield name, value
    elif isinstance(value, Packed):
        yield from _arrays(name, value.value)


def _owner(array: Array) -> Array:
    """The array that owns the memory under *array*."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


_SHOWN = 12  # the most that a table of the printed ledger lists


@dataclass(frozen=True)
class Ledger:
    """Who holds how many bytes of a graph: each piece of memory is counted once, for the first node that saved it.

    *operations*, *lines* and *modules* give the bytes by kind of node, by line of the program and by path of the module that
    recorded it ("" outside of modules); *parameters* are the bytes of leaves that require grad, which the graph does not cost.
    """

    total: int
    parameters: int
    operations: Counter[str] = field(default_factory=Counter)
    lines: Counter[str] = field(default_factory=Counter)
    modules: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        rows = [f"{_size(self.total)} held for backward, besides {_size(self.parameters)} of parameters"]
        tables = {"by operation": self.operations, "by module": self.modules, "by line": self.lines}
        for title, counter in tables.items():
            rows.append(title)
            rows += [f"{_size(count):>12}  {name or '(no module)'}" for name, count in counter.most_common(_SHOWN)]
            if len(counter) > _SHOWN:
                rest = sum(count for _, count in counter.most_common()[_SHOWN:])
                rows.append(f"{_size(rest):>12}  ({len(counter) - _SHOWN} others)")
        return "\n".join(rows)


def _size(count: int) -> str:
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.4g} {unit}"
        count /= 1000  # type: ignore[assignment]
    return f"{count:.4g} GB"


def memory(tensor: Tensor) -> Ledger:
    """What the graph behind *tensor* keeps in memory for its backward: by operation, line of the program, and module.

    >>> import allgrad as torch
    >>> x = torch.ones(1000, requires_grad=True)
    >>> torch.memory(x.exp().sum()).operations
    Counter({'ExpBackward0': 4000})
    """
    nodes = nodes_of(tensor)
    leaves = [leaf for n in nodes if isinstance(n, AccumulateGrad) and (leaf := n.variable) is not None]
    seen = {id(_owner(leaf._array)) for leaf in leaves}
    operations: Counter[str] = Counter()
    lines: Counter[str] = Counter()
    modules: Counter[str] = Counter()
    paths = ModulePaths()
    for node in reversed(nodes):
        for _, array in saved_arrays(node):
            owner = _owner(array)
            if id(owner) not in seen:
                seen.add(id(owner))
                operations[node.name()] += owner.nbytes
                lines[str(node.place)] += owner.nbytes
                modules[paths.at(node.seq)] += owner.nbytes
    return Ledger(sum(operations.values()), sum(leaf._array.nbytes for leaf in leaves), operations, lines, modules)
