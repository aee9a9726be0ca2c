"""Writes each operation's node: a slot for each saved value and, for a single result, its own fast backward step."""

from __future__ import annotations

from typing import Any

from ..tape.nodes import RELEASED, AccumulateGrad
from .nodes import OperationNode, check_output, check_unchanged, is_result, reduce_to, released
from .operation import Operation, Rule
from .source import compiled, tuple_of


def node_type(op: Operation) -> type[OperationNode]:
    """The node class of *op*, with a slot for each saved value and, for a single result, its own fast step."""
    members: dict[str, Any] = {
        "__slots__": tuple("_saved_" + name for name in op.saved_names()),
        "__doc__": f"A recorded {op.name}.",
        "operation": op,
        "saves_output": "y" in op.saved_names(),
    }
    if op.outputs is None and not op.several and op.differentiable:
        names = {
            "_RELEASED": RELEASED, "_released": released, "_check": check_unchanged, "_check_output": check_output,
            "_reduce_to": reduce_to, "_adding": op.adding, "_AccumulateGrad": AccumulateGrad, "_room": AccumulateGrad.room,
            "__name__": "allgrad.operations", "__package__": "allgrad.operations",
            **{f"_rule{i}": rule.function for i, rule in enumerate(op.rules) if rule is not None},
        }  # fmt: skip
        members["step"] = compiled("\n".join(_step_lines(op)), f"{op.name} step", names)
    return type(op.node_name if isinstance(op.node_name, str) else op.name, (OperationNode,), members)


def _step_lines(op: Operation) -> list[str]:
    active = [i for i, rule in enumerate(op.rules) if rule is not None]
    edges = tuple_of([f"_e{i}" if i in active else "_" for i in range(len(op.rules))])
    lines = [f"{edges} = self.edges"]
    if op.broadcasts and len(op.operands) > 1:
        lines.append("_shapes = self.shapes")
    for i in active:
        lines += [f"if _e{i} is not None:", *("    " + line for line in _edge_lines(op, i))]
    held = [n for n in op.saved_names() if n in op.operands or is_result(n)]
    if held:
        lines.append(" = ".join(f"self._saved_{name}" for name in held) + " = _RELEASED")
    return ["def step(self, g, grads):", *("    " + line for line in lines)]


def _edge_lines(op: Operation, i: int) -> list[str]:
    rule = op.rules[i]
    assert rule is not None
    lines = []
    for name in rule.saved:
        lines.append(f"{name} = self._saved_{name}")
        if name in op.operands:
            indent = "    " if name in op.optional else ""
            lines += [f"if {name} is _RELEASED:", "    _released(self)"]
            lines += [f"if {name} is not None:"] if name in op.optional else []
            lines += [
                f"{indent}if {name}._counter is not None:",
                f"{indent}    _check(self, {name}, '{name}')",
            ]
            lines.append(f"{indent}{name} = {name}._array")
        elif name == "y":
            lines += ["if y is _RELEASED:", "    _released(self)"]
            lines += ["if self.version is not None:", "    _check_output(self)"]
    if op.adding is None or i:
        return lines + _deliver_lines(op, i, rule)
    lines += [
        f"_held = grads.owned(_e{i})",
        "if _held is not None and _held.dtype == g.dtype:",
        f"    _adding(_held, g, {', '.join(rule.saved)})",
    ]
    return [*lines, "else:", *("    " + line for line in _deliver_lines(op, i, rule))]


def _deliver_lines(op: Operation, i: int, rule: Rule) -> list[str]:
    into = [f"into=_room(_e{i}, g, grads) if _e{i}.__class__ is _AccumulateGrad else None"] if rule.takes_into else []
    lines = [f"_r = _rule{i}({', '.join(['g', *rule.saved, *into])})"]
    if op.broadcasts and len(op.operands) > 1:
        lines += ["if _shapes is not None:", f"    _r = _reduce_to(_r, _shapes[{i}])"]
    return [
        *lines,
        "if _r is g:",
        f"    grads.shared.add(_e{i})",
        f"if _e{i} in grads:",
        f"    grads.deliver(_e{i}, _r)",
        "else:",
        f"    grads[_e{i}] = _r",
    ]
