"""The recorded graph, to be read: as text, one line for each node, and as a page that needs nothing else."""

from __future__ import annotations

import html
from pathlib import Path

from ..tape.module_calls import ModulePaths
from ..tape.nodes import AccumulateGrad, Node, Output
from ..tensors.tensor import Tensor, add_method
from .inspection import nodes_of, saved_arrays


class Graph:
    """The graph behind a tensor, to be printed or written as a page: ``print(loss.graph())``."""

    def __init__(self, tensor: Tensor) -> None:
        self.nodes = nodes_of(tensor)
        self.number = {node: i for i, node in enumerate(self.nodes)}
        self._paths = ModulePaths()

    def __len__(self) -> int:
        return len(self.nodes)

    def __str__(self) -> str:
        return "\n".join(self._line(node) for node in self.nodes)

    def _line(self, node: Node) -> str:
        """``#3 MulBackward0 ← #4 #5   saved: other [4]   Net.scale (Scale)   train.py:12 (y = x * w)``."""
        parts = [f"#{self.number[node]} {self._title(node)}"]
        if node.edges:
            parts.append("← " + " ".join(map(self._reference, node.edges)))
        if saved := self._saved(node):
            parts.append("saved: " + saved)
        if module := self._paths.at(node.seq):
            parts.append(module)
        if node.place is not None:
            parts.append(str(node.place))
        return "   ".join(parts)

    def _saved(self, node: Node) -> str:
        return ", ".join(f"{name} {list(array.shape)}" for name, array in saved_arrays(node))

    def _title(self, node: Node) -> str:
        if not isinstance(node, AccumulateGrad):
            return node.name()
        leaf = node.variable
        return "leaf (dropped)" if leaf is None else f"leaf {list(leaf.shape)} {leaf.dtype}"

    def _reference(self, edge: Node | None) -> str:
        if edge is None:
            return "·"
        return f"#{self.number[edge.parent]}.{edge.index}" if isinstance(edge, Output) else f"#{self.number[edge]}"

    def _link(self, edge: Node | None) -> str:
        shown = self._reference(edge)
        return shown if edge is None else f'<a href="#n{shown[1:].split(".")[0]}">{shown}</a>'

    def html(self) -> str:
        """A page that needs nothing else: one row for each node with its inputs as links, and a field to search in."""
        rows = "\n".join(map(self._row, self.nodes))
        return _PAGE.replace("COUNT", str(len(self.nodes))).replace("ROWS", rows)

    def _row(self, node: Node) -> str:
        number = self.number[node]
        place = "" if node.place is None else str(node.place)
        folder = "" if node.place is None else node.place.code.co_filename.rpartition("/")[0] + "/"
        kind = "leaf" if isinstance(node, AccumulateGrad) else "node"
        return (
            f'<tr id="n{number}" class="{kind}"><td>#{number}</td><td>{html.escape(self._title(node))}</td>'
            f"<td>{' '.join(map(self._link, node.edges))}</td><td>{html.escape(self._saved(node))}</td>"
            f"<td>{html.escape(self._paths.at(node.seq))}</td>"
            f'<td title="{html.escape(place)}">{html.escape(place.removeprefix(folder))}</td></tr>'
        )

    def save(self, path: str | Path) -> None:
        """Write the page of ``html`` to *path*."""
        Path(path).write_text(self.html(), encoding="utf-8")


_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>allgrad graph</title>
<style>
:root { color-scheme: light dark; --line: #8883; --faint: color-mix(in srgb, CanvasText 62%, Canvas); --mark: #ffd54a66 }
body { font: 14px/1.5 system-ui, sans-serif; margin: 1.5em 2em }
h1 { font-size: 1.3em; font-weight: 600 } input { font: inherit; padding: .2em .6em; width: 22em; max-width: 100% }
table { border-collapse: collapse; margin-top: 1em; width: 100% }
td, th { padding: .2em .8em; border-bottom: 1px solid var(--line); text-align: left; vertical-align: baseline; white-space: nowrap }
td:last-child { width: 100%; max-width: 0; min-width: 22em; overflow: hidden; text-overflow: ellipsis }
th { position: sticky; top: 0; background: Canvas } td:first-child { color: var(--faint); text-align: right }
td:nth-child(4), td:nth-child(6) { font-family: ui-monospace, monospace; font-size: 12px; color: var(--faint) }
tr.leaf td:nth-child(2) { font-weight: 600 } tr:target, tr.fed { background: var(--mark); --faint: CanvasText }
tr[hidden] { display: none }
a { color: LinkText; text-decoration: none } a:hover { text-decoration: underline }
</style>
<h1>COUNT nodes, latest first</h1>
<input type="search" placeholder="operation, module or line" aria-label="show only rows with">
<table><thead>
<tr><th></th><th>node</th><th>its inputs</th><th>saved</th><th>module</th><th>line</th></tr></thead>
<tbody>
ROWS
</tbody></table>
<script>
const rows = [...document.querySelectorAll("tbody tr")]
document.querySelector("input").oninput = event => {
  const words = event.target.value.toLowerCase()
  for (const row of rows) row.hidden = !row.textContent.toLowerCase().includes(words)
}
for (const row of rows) {
  const inputs = [...row.querySelectorAll("a")].map(link => document.querySelector(link.getAttribute("href")))
  row.onmouseenter = () => inputs.forEach(input => input.classList.add("fed"))
  row.onmouseleave = () => inputs.forEach(input => input.classList.remove("fed"))
}
</script>
</html>
"""


def _graph(self: Tensor) -> Graph:
    """The graph behind this tensor: print it, or ``.save("graph.html")``. RuntimeError if it does not require grad."""
    return Graph(self)


add_method("graph", _graph)
