"""Writes each operation's fast path: the function users call, and the node's step, with fixed arity and nothing generic.

A generic call costs twice as much as the arithmetic of a small tensor. The source is written and compiled when
an operation is called first, so that importing hundreds of them costs nothing; anything unusual (numbers as first
operands, mixed types, arrays, errors) goes to ``record.call``.
"""

from __future__ import annotations

import linecache
import sys
import warnings
from collections.abc import Callable
from types import FunctionType
from typing import Any

import numpy as np

from ..tape.mode import mode
from ..tape.nodes import RELEASED
from ..tape.provenance import INTERNAL_PACKAGES
from ..tape.version import tick
from ..tensors.tensor import Tensor
from .nodes import OperationNode, check_output, check_unchanged, is_result, reduce_to, released
from .observe import give_code
from .operation import Operation, Promotion
from .quiet import SILENCE, hush, unhush

_PROMOTING = (Promotion.ARITHMETIC, Promotion.ALIKE, Promotion.FLOATING)
_MOST_CONSTANTS = 4096

# Infinities and nan are results like others, as in PyTorch; an errstate around every operation would cost half of it.
warnings.filterwarnings("ignore", category=RuntimeWarning, module=r"allgrad\.")

# The 0-d tensors that stand for Python numbers beside float32 and float64 tensors: NumPy multiplies by a 0-d array
# twice as fast as by a Python float. Zero is left out, since 0.0 and -0.0 are equal keys.
_constants: dict[Any, dict[Any, Tensor]] = {np.dtype(np.float32): {}, np.dtype(np.float64): {}}


def constant(value: Any, dtype: np.dtype[Any]) -> Tensor | None:
    """The 0-d tensor of the number *value*, or None where *dtype* is no common floating type."""
    table = _constants.get(dtype)
    if table is None:
        return None
    try:
        made = Tensor._wrap(np.asarray(value, dtype=dtype))
    except OverflowError:
        return None
    if value:
        if len(table) >= _MOST_CONSTANTS:
            table.clear()
        table[value] = made
    return made


def wrapper(op: Operation) -> Callable[..., Any]:
    """The function that calls *op*; its code is written on the first call."""

    def uncompiled(*args: Any, **kwargs: Any) -> Any:
        _compile(_op)  # type: ignore[name-defined] # noqa: F821 -- a global of the function made below
        return _op.call(*args, **kwargs)  # type: ignore[name-defined] # noqa: F821

    return _uncompiled_function(op, uncompiled)


def operator(op: Operation) -> Callable[..., Any]:
    """The function behind a Python operator: like *op*, but NotImplemented where an operand is of a foreign type."""

    def uncompiled(*args: Any, **kwargs: Any) -> Any:
        _compile(_op)  # type: ignore[name-defined] # noqa: F821 -- a global of the function made below
        return _op.operator(*args, **kwargs)  # type: ignore[name-defined] # noqa: F821

    return _uncompiled_function(op, uncompiled)


def _uncompiled_function(op: Operation, uncompiled: Callable[..., Any]) -> FunctionType:
    names = {
        "_op": op,
        "_compile": compile_operation,
        "__package__": "allgrad.operations",
        "__name__": "allgrad.operations",
    }
    assert isinstance(uncompiled, FunctionType)
    function = FunctionType(uncompiled.__code__, names, op.identifier)
    function.__doc__ = op.doc
    function.__module__ = f"allgrad.{op.namespace}" if op.namespace else "allgrad"
    function.__qualname__ = op.identifier
    function.__wrapped__ = op.declared  # type: ignore[attr-defined] # inspect.signature follows it
    return function


def compile_operation(op: Operation) -> None:
    """Write, compile and put in place the code of *op*."""
    op.node_type = _node_type(op)
    lines = _call_lines(op) if not op.several and op.outputs is None else _general_lines(op)
    from . import record

    names = _names(op)
    made = _function("\n".join(lines), op.name, dict(names))
    for function, general in ((op.call, record.call), (op.operator, record.call_as_operator)):
        if isinstance(function, FunctionType):
            function.__globals__.update(names, _general=general)
            give_code(function, made.__code__, made.__defaults__, made.__kwdefaults__)


def _function(source: str, name: str, names: dict[str, Any]) -> FunctionType:
    filename = f"<allgrad {name} {id(names):x}>"
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
    scope: dict[str, Any] = {}
    exec(compile(source, filename, "exec"), names, scope)  # noqa: S102 -- our own source, written below
    made = scope.popitem()[1]
    assert isinstance(made, FunctionType)
    return made


def _names(op: Operation) -> dict[str, Any]:
    from . import record

    defaults = dict(zip(op.parameters[op.positional - len(op.declared.__defaults__ or ()) :],
                        op.declared.__defaults__ or (), strict=False)) | (op.declared.__kwdefaults__ or {})  # fmt: skip
    return {
        "_attach": record.attach_if_shared, "_forward": op.forward, "_new": object.__new__,
        "_Tensor": Tensor, "_Node": op.node_type, "_ndarray": np.ndarray, "_asarray": np.asarray, "_mode": mode,
        "_tick": tick, "_getframe": sys._getframe, "_internal": INTERNAL_PACKAGES, "_constant": constant,
        "_hush": hush, "_unhush": unhush, "_SILENCE": SILENCE,
        "_f32": np.dtype(np.float32), "_weak32": _constants[np.dtype(np.float32)],
        **{f"_default_{name}": value for name, value in defaults.items()},
    }  # fmt: skip


# --- the call


def _signature(op: Operation) -> str:
    defaults = op.declared.__defaults__ or ()
    without = op.positional - len(defaults)
    parts = [p if i < without else f"{p}=_default_{p}" for i, p in enumerate(op.parameters[: op.positional])]
    keywords = op.parameters[op.positional :]
    if keywords:
        kwdefaults = op.declared.__kwdefaults__ or {}
        parts.append("*")
        parts += [f"{p}=_default_{p}" if p in kwdefaults else p for p in keywords]
    return ", ".join(parts)


def _tuple(items: list[str] | tuple[str, ...]) -> str:
    return "(" + "".join(f"{item}, " for item in items) + ")"


def _general_lines(op: Operation) -> list[str]:
    return [f"def {op.identifier}({_signature(op)}):", f"    return _general(_op, {_tuple(op.parameters)})"]


def _call_lines(op: Operation) -> list[str]:
    fallback = f"return _general(_op, {_tuple(op.parameters)})"
    body = [*_weak_scalar_lines(op, fallback), *_forward_lines(op, fallback)]
    body += [
        "_out = _new(_Tensor)",
        "_out._array = _y",
        "_out._grad = _out._counter = _out._view = None",
    ]
    body += _record_lines(op) if op.differentiable else ["_out._node = None"]
    if op.is_view:
        arguments = "{" + ", ".join(f"'{p}': {p}" for p in op.parameters) + "}"
        body.append(f"_attach(_op, _out, {arguments})")
    body.append("return _out")
    return [f"def {op.identifier}({_signature(op)}):", *("    " + line for line in body)]


def _weak_scalar_lines(op: Operation, fallback: str) -> list[str]:
    """A Python number as second of two operands becomes a constant of the first one's type."""
    if op.promotion not in _PROMOTING or len(op.operands) != 2 or op.indexes or op.optional:
        return []
    first, second = op.operands
    return [
        f"_kind = {second}.__class__",
        "if _kind is float or _kind is int:",
        "    try:",
        f"        _dtype = {first}._array.dtype",
        "    except AttributeError:",
        f"        {fallback}",
        f"    _number = _weak32.get({second}) if _dtype is _f32 else None",
        "    if _number is None:",
        f"        _number = _constant({second}, _dtype)",
        "        if _number is None:",
        f"            {fallback}",
        f"    {second} = _number",
    ]


def _forward_lines(op: Operation, fallback: str) -> list[str]:
    arrays = {name: f"_x{i}" for i, name in enumerate(op.operands)}
    lines = ["try:"]
    for name, local in arrays.items():
        value = f"{name}._array"
        lines.append(f"    {local} = " + (f"None if {name} is None else {value}" if name in op.optional else value))
    promoted = [arrays[n] for n in op.operands if n not in op.indexes and n not in op.optional]
    promoting = op.promotion is not Promotion.NONE
    if promoting:
        lines.append(f"    _dtype = {promoted[0]}.dtype")
        if "c" in op.refuses:
            lines += ["    if _dtype.kind == 'c':", f"        {fallback}"]
        others = [f"{x}.dtype is not _dtype" for x in promoted[1:]]
        others += [
            f"({arrays[n]} is not None and {arrays[n]}.dtype is not _dtype)" for n in op.operands if n in op.optional
        ]
        if others:
            lines += [f"    if {' or '.join(others)}:", f"        {fallback}"]
    passed = [arrays.get(p, p) for p in op.parameters[: op.positional]]
    passed += [f"{p}={arrays.get(p, p)}" for p in op.parameters[op.positional :]]
    forward = [f"_y = _forward({', '.join(passed)})"]
    if not op.is_view and not _warns_in_our_name(op.forward):
        forward = ["_state = _hush(_SILENCE)", "try:", "    " + forward[0], "finally:", "    _unhush(_state)"]
    lines += [*("    " + line for line in forward), "except Exception:", f"    {fallback}"]
    if op.promotion in _PROMOTING:
        widened = "_y.dtype is not _dtype"
        if op.promotion is Promotion.FLOATING and _may_keep_integers(op.forward):
            widened += " or _dtype.kind not in 'fc'"
        lines += [f"if {widened}:", f"    {fallback}"]
    return [*lines, "if _y.__class__ is not _ndarray:", "    _y = _asarray(_y)"]


_WRITTEN_IN_C = frozenset(("np", "asarray", "astype", "copy", "dtype", "kind", "ndim", "shape", "size", "RuntimeError"))


def _warns_in_our_name(forward: Any) -> bool:
    """Whether all that *forward* calls is C, so that our filter of warnings covers it, unlike NumPy's Python functions."""
    if isinstance(forward, np.ufunc):
        return True
    return all(n in _WRITTEN_IN_C or isinstance(getattr(np, n, None), np.ufunc) for n in forward.__code__.co_names)


def _may_keep_integers(forward: Callable[..., Any]) -> bool:
    """Whether *forward* may give whole numbers for whole numbers: of NumPy's functions, those that list such a loop."""
    if not isinstance(forward, np.ufunc):
        return True
    return any(loop.rpartition("->")[2] in "bBhHiIlLqQ" for loop in forward.types)


def _record_lines(op: Operation) -> list[str]:
    operands = [name for name, rule in zip(op.operands, op.rules, strict=True) if rule is not None]
    nodes = {name: f"_n{i}" for i, name in enumerate(operands)}
    lines = []
    for name, node in nodes.items():
        if name in op.optional:
            lines += [f"{node} = None", f"if {name} is not None:"]
            lines += [
                f"    if {name}._view is not None:",
                f"        {name}._view.refresh({name})",
                f"    {node} = {name}._node",
            ]
        else:
            lines += [
                f"if {name}._view is not None:",
                f"    {name}._view.refresh({name})",
                f"{node} = {name}._node",
            ]
    constant = " and ".join(f"{node} is None" for node in nodes.values())
    if op.converts:
        constant += ") or (_y.dtype.kind not in 'fc'"
    lines += [f"if ({constant}) or not _mode.enabled:", "    _out._node = None", "else:"]
    recorded = [
        "_out._node = _node = _new(_Node)",
        "_node.seq = _tick()",
        "_node.hooks = _node.version = _node.counts = None",
        "_frame = _getframe(1)",
        "while _frame.f_globals.get('__package__') in _internal and _frame.f_back is not None:",
        "    _frame = _frame.f_back",
        "_node.code = _frame.f_code",
        "_node.lasti = _frame.f_lasti",
        "_node.edges = " + _tuple([nodes.get(name, "None") for name in op.operands]),
        *_shape_lines(op),
        *_save_lines(op, nodes),
    ]
    return lines + ["    " + line for line in recorded]


def _shape_lines(op: Operation) -> list[str]:
    if not op.broadcasts or len(op.operands) < 2:
        return ["_node.shapes = None"]
    shapes = [f"_x{i}.shape" for i in range(len(op.operands))]
    shapes = [
        f"() if {s[:3]} is None else {s}" if n in op.optional else s for n, s in zip(op.operands, shapes, strict=True)
    ]
    lines = [f"_s{i} = {shape}" for i, shape in enumerate(shapes)]
    same = " == ".join(f"_s{i}" for i in range(len(shapes)))
    return [*lines, f"_node.shapes = None if {same} else {_tuple([f'_s{i}' for i in range(len(shapes))])}"]


def _save_lines(op: Operation, nodes: dict[str, str]) -> list[str]:
    lines = []
    for name in op.saved_names():
        value = name
        if name == "y":
            value = "_y"
        elif name.endswith("_shape") and name.removesuffix("_shape") in op.operands:
            value = f"_x{op.operands.index(name.removesuffix('_shape'))}.shape"
        elif name in op.operands and len(nodes) > 1:
            users = [nodes[o] for o, rule in zip(op.operands, op.rules, strict=True) if rule and name in rule.saved]
            if len(users) < len(nodes):
                value = f"{name} if {' or '.join(f'{u} is not None' for u in users)} else None"
        lines.append(f"_node._saved_{name} = {value}")
    return lines


# --- the node


def _node_type(op: Operation) -> type[OperationNode]:
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
            "_reduce_to": reduce_to, "__name__": "allgrad.operations", "__package__": "allgrad.operations",
            **{f"_rule{i}": rule.function for i, rule in enumerate(op.rules) if rule is not None},
        }  # fmt: skip
        members["step"] = _function("\n".join(_step_lines(op)), f"{op.name} step", names)
    return type(op.node_name if isinstance(op.node_name, str) else op.name, (OperationNode,), members)


def _step_lines(op: Operation) -> list[str]:
    active = [i for i, rule in enumerate(op.rules) if rule is not None]
    edges = _tuple([f"_e{i}" if i in active else "_" for i in range(len(op.rules))])
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
    lines.append(f"_r = _rule{i}(g, {', '.join(rule.saved)})" if rule.saved else f"_r = _rule{i}(g)")
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
