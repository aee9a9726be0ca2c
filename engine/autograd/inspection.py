"""Looking at a recorded graph: what it holds in memory, and how it hangs together."""

from __future__ import annotations

import html
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..tape.nodes import RELEASED, AccumulateGrad, Node, Output
from ..tensors.tensor import Tensor, add_method

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


def _owner(array: Array) -> Array:
    """The array that owns the memory under *array*."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


@dataclass(frozen=True)
class Ledger:
    """Who holds how many bytes of a graph: each piece of memory is counted once, for the first node that saved it.

    *operations* and *lines* give the bytes by kind of node and by line of the program; *parameters* are the bytes of
    leaves that require grad, which the graph does not cost.
    """

    total: int
    parameters: int
    operations: Counter[str] = field(default_factory=Counter)
    lines: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        rows = [f"{_size(self.total)} held for backward, besides {_size(self.parameters)} of parameters"]
        for title, counter in (("by operation", self.operations), ("by line", self.lines)):
            rows.append(title)
            rows += [f"{_size(count):>12}  {name}" for name, count in counter.most_common(12)]
        return "\n".join(rows)


def _size(count: int) -> str:
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.4g} {unit}"
        count /= 1000  # type: ignore[assignment]
    return f"{count:.4g} GB"


def memory(tensor: Tensor) -> Ledger:
    """What the graph behind *tensor* keeps in memory for its backward, by operation and by line of the program.

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
    for node in reversed(nodes):
        for _, array in saved_arrays(node):
            owner = _owner(array)
            if id(owner) not in seen:
                seen.add(id(owner))
                operations[node.name()] += owner.nbytes
                lines[str(node.place)] += owner.nbytes
    return Ledger(sum(operations.values()), sum(leaf._array.nbytes for leaf in leaves), operations, lines)


class Graph:
    """The graph behind a tensor, to be printed or written as a page: ``print(loss.graph())``."""

    def __init__(self, tensor: Tensor) -> None:
        self.nodes = nodes_of(tensor)
        self.number = {node: i for i, node in enumerate(self.nodes)}

    def __len__(self) -> int:
        return len(self.nodes)

    def __str__(self) -> str:
        return "\n".join(self._line(node) for node in self.nodes)

    def _line(self, node: Node) -> str:
        """``#3 MulBackward0 ← #4 #5   saved: other [4]   train.py:12 (y = x * w)``."""
        parts = [f"#{self.number[node]} {self._title(node)}"]
        if node.edges:
            parts.append("← " + " ".join(self._reference(e) for e in node.edges))
        saved = [f"{name} {list(array.shape)}" for name, array in saved_arrays(node)]
        if saved:
            parts.append("saved: " + ", ".join(saved))
        if node.place is not None:
            parts.append(str(node.place))
        return "   ".join(parts)

    def _title(self, node: Node) -> str:
        if not isinstance(node, AccumulateGrad):
            return node.name()
        leaf = node.variable
        return "leaf (dropped)" if leaf is None else f"leaf {list(leaf.shape)} {leaf.dtype}"

    def _reference(self, edge: Node | None) -> str:
        if edge is None:
            return "·"
        return f"#{self.number[edge.parent]}.{edge.index}" if isinstance(edge, Output) else f"#{self.number[edge]}"

    def html(self) -> str:
        """A page that needs nothing else: one row per node, its inputs as links."""
        rows = []
        for node in self.nodes:
            inputs = " ".join(
                f'<a href="#n{self._reference(e)[1:].split(".")[0]}">{self._reference(e)}</a>' if e is not None else "·"
                for e in node.edges
            )
            saved = ", ".join(f"{name} {list(array.shape)}" for name, array in saved_arrays(node))
            place = html.escape(str(node.place)) if node.place is not None else ""
            rows.append(
                f'<tr id="n{self.number[node]}"><td>#{self.number[node]}</td><td>{html.escape(self._title(node))}</td>'
                f"<td>{inputs}</td><td>{html.escape(saved)}</td><td>{place}</td></tr>"
            )
        return _PAGE.replace("ROWS", "\n".join(rows)).replace("COUNT", str(len(self.nodes)))

    def save(self, path: str | Path) -> None:
        """Write the page of ``html`` to *path*."""
        Path(path).write_text(self.html(), encoding="utf-8")


_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>allgrad graph</title>
<style>
body { font: 14px/1.5 system-ui, sans-serif; margin: 2em; color: #222; background: #fff }
table { border-collapse: collapse } td, th { padding: .2em .8em; border-bottom: 1px solid #ddd; text-align: left }
td:nth-child(4), td:nth-child(5) { font-family: ui-monospace, monospace; font-size: 12px; color: #555 }
tr:target { background: #ffef9e } a { color: #0645ad; text-decoration: none }
@media (prefers-color-scheme: dark) {
  body { color: #ddd; background: #181818 } a { color: #8ab4f8 } tr:target { background: #5a4a00 }
}
</style>
<h1>COUNT nodes, latest first</h1>
<table><tr><th></th><th>node</th><th>its inputs</th><th>saved</th><th>line</th></tr>
ROWS
</table></html>
"""


def _graph(self: Tensor) -> Graph:
    """The graph behind this tensor: print it, or ``.save("graph.html")``. RuntimeError if it does not require grad."""
    return Graph(self)


add_method("graph", _graph)
