"""The backward pass: gathers the graph without recursion, runs it in reverse order of creation, leaves as early as possible."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter
from typing import Any

import numpy as np

from ..tape.mode import mode
from ..tape.nodes import AccumulateGrad, Gradients, Node, Output, RunningPass, callbacks
from ..tape.provenance import caller
from .hooks import run_after_hooks, run_pre_hooks, run_tensor_hooks

by_seq = attrgetter("seq")


def execution_order(roots: Iterable[Node]) -> list[Node]:
    """Every node reachable from *roots*, latest first; each leaf right after the last node that feeds it.

    Leaves come as early as they can, so that what hangs on their gradients (an allreduce) starts during the pass.
    """
    stack = list(dict.fromkeys(roots))
    seen: set[Node] = set(stack)
    nodes: list[Node] = []
    fed_by: dict[Node, int] = {}  # leaf -> its earliest consumer, which is the last to run
    while stack:
        node = stack.pop()
        if type(node) is AccumulateGrad:  # a leaf asked for directly
            fed_by.setdefault(node, -1)
            continue
        nodes.append(node)
        for edge in node.edges:
            if edge is None:
                continue
            if type(edge) is AccumulateGrad:
                if node.seq < fed_by.get(edge, 1 << 62):
                    fed_by[edge] = node.seq
            elif edge not in seen:
                seen.add(edge)
                stack.append(edge)
    nodes.sort(key=by_seq, reverse=True)
    return _with_leaves(nodes, fed_by)


def _with_leaves(nodes: list[Node], fed_by: dict[Node, int]) -> list[Node]:
    """*nodes* with every leaf put right behind the node that feeds it last."""
    leaves = sorted(fed_by, key=fed_by.__getitem__)
    order: list[Node] = []
    for node in nodes:
        while leaves and fed_by[leaves[-1]] > node.seq:
            order.append(leaves.pop())
        order.append(node)
    order.extend(reversed(leaves))
    return order


def run(
    roots: Sequence[tuple[Node, Any]],
    *,
    retain_graph: bool,
    create_graph: bool,
    targets: Sequence[Node] | None = None,
    accumulate: bool = True,
) -> dict[Node, Any]:
    """Send each root's gradient back through the graph.

    *roots* pairs nodes with gradients: arrays, or Tensors under *create_graph*. With *targets*, only the part of
    the graph that leads to them runs, and the result holds the gradient that reached each; leaves among them
    are accumulated into only if *accumulate*.
    """
    grads = Gradients()
    for node, g in roots:
        grads.deliver(node, g)
        grads.shared.add(node)
    order = execution_order(grads)
    leading = None if targets is None else _leading_to(order, targets)
    plain = not (retain_graph or create_graph or mode.checks or mode.vmaps) and leading is None
    before = mode.enabled, mode.rules_on_arrays
    mode.enabled, mode.rules_on_arrays = create_graph, not create_graph
    callbacks.passes.append(RunningPass(order if leading is None else leading, leading is not None))
    try:
        with np.errstate(all="ignore"):
            if plain:
                _run_plain(order, grads)
                captured: dict[Node, Any] = {}
            else:
                captured = _Pass(grads, retain_graph, create_graph, targets, leading, accumulate).run(order)
    finally:
        mode.enabled, mode.rules_on_arrays = before
        callbacks.passes.pop()
        at_end = callbacks.at_end if not callbacks.passes else []
        if at_end:
            callbacks.at_end = []
    for callback in at_end:
        callback()
    if not (retain_graph or create_graph):
        callbacks.freed_at = caller()
    return captured


def _run_plain(order: list[Node], grads: Gradients) -> None:
    """The common case: run every node's own step, and free the graph on the way."""
    take = grads.pop
    between = callbacks.between
    for node in order:
        g = take(node, None)
        if g is None:
            continue
        if node.hooks is None:
            node.step(g, grads)
        else:
            _step_with_hooks(node, g, grads)
        if between:
            for callback in tuple(between.values()):
                callback()


def _step_with_hooks(node: Node, g: Any, grads: Gradients) -> None:
    g = run_pre_hooks(node, run_tensor_hooks(node, g, grads), grads)
    if node.hooks is None or not (node.hooks.after or node.hooks.packed):
        node.step(g, grads)
    elif type(node) is AccumulateGrad:
        node.step(g, grads)
        run_after_hooks(node, [], g)
    else:
        _deliver_generally(node, g, grads, node.edges, node.gradients)
        node.release()


def _deliver_generally(
    node: Node, g: Any, grads: Gradients, wanted: Sequence[object], compute: Callable[..., Sequence[Any]]
) -> None:
    """Compute the *wanted* gradients of *node*, let the hooks after it see them, and deliver them."""
    gradients = list(compute(g, wanted))
    for check in mode.checks:
        check.node_ran(node, g, gradients)
    fresh = node.returns_fresh
    if node.hooks is not None and node.hooks.after:
        gradients, fresh = run_after_hooks(node, gradients, g), False
    for edge, want, gradient in zip(node.edges, wanted, gradients, strict=True):
        if edge is not None and want is not None and gradient is not None:
            if gradient is g or not fresh:
                grads.shared.add(edge)
            grads.deliver(edge, gradient)


def _leading_to(order: list[Node], targets: Sequence[Node]) -> set[Node]:
    """The nodes of *order* from which a target can be reached, the targets among them."""
    leading = set(targets)
    for node in reversed(order):
        if node not in leading and any(edge in leading for edge in node.edges):
            leading.add(node)
    return leading


class _Pass:
    """A backward pass that must do more than the plain one: keep or record the graph, prune it, or capture."""

    def __init__(
        self,
        grads: Gradients,
        retain_graph: bool,
        create_graph: bool,
        targets: Sequence[Node] | None,
        leading: set[Node] | None,
        accumulate: bool,
    ) -> None:
        self.grads = grads
        self.keep = retain_graph or create_graph
        self.create_graph = create_graph
        self.targets = frozenset(targets or ())
        self.leading = leading
        self.accumulate = accumulate
        self.captured: dict[Node, Any] = {}

    def run(self, order: list[Node]) -> dict[Node, Any]:
        """Run the nodes of *order* and return what reached the targets."""
        for node in order:
            g = self.grads.pop(node, None)
            if g is not None and (self.leading is None or node in self.leading):
                try:
                    self._visit(node, g)
                except Exception as error:
                    for check in mode.checks:
                        check.node_failed(node, error)
                    raise
            for callback in tuple(callbacks.between.values()):
                callback()
        return self.captured

    def _visit(self, node: Node, g: Any) -> None:
        leaf = type(node) is AccumulateGrad
        if node.hooks is not None:
            g = run_tensor_hooks(node, g, self.grads)
        if node in self.targets and not (leaf and self.accumulate):
            self.captured[node] = g.copy() if node in self.grads.shared and isinstance(g, np.ndarray) else g
            if leaf or not self._wanted(node):
                return
        if node.hooks is not None:
            g = run_pre_hooks(node, g, self.grads)
        if leaf or type(node) is Output:
            node.step(g, self.grads)
            if node.hooks is not None and node.hooks.after:
                run_after_hooks(node, [], g)
            return
        compute = node.recorded_gradients if self.create_graph else node.gradients
        _deliver_generally(node, g, self.grads, self._wanted(node), compute)
        if not self.keep:
            node.release()

    def _wanted(self, node: Node) -> Sequence[object]:
        """The edges of *node* along which gradients go; empty where none does."""
        if self.leading is None:
            return node.edges
        wanted = [edge if edge in self.leading else None for edge in node.edges]
        return wanted if any(edge is not None for edge in wanted) else ()
