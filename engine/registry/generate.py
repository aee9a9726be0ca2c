"""Writes each operation's fast path: the function users call, and the node's step, with fixed arity and nothing generic.

A generic call costs twice as much as the arithmetic of a small tensor. The source is written and compiled when
an operation is called first, so that importing hundreds of them costs nothing; anything unusual (numbers as first
operands, mixed types, arrays, errors) goes to ``record.call``.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from inspect import CO_VARARGS
from types import FunctionType
from typing import Any

import numpy as np

from ..batching import Batched
from ..tape.mode import mode
from ..tape.provenance import INTERNAL_PACKAGES
from ..tape.version import tick
from ..tensors.tensor import Tensor
from .observe import give_code
from .operation import Operation, Promotion
from .quiet import SILENCE, hush, unhush
from .source import compiled, tuple_of
from .steps import node_type

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


def with_out(op: Operation) -> Callable[..., Any]:
    """The function of a composite *op* that takes ``out=`` too; its code is written on the first call."""

    def uncompiled(*args: Any, **kwargs: Any) -> Any:
        _compile_face(_op)  # type: ignore[name-defined] # noqa: F821 -- a global of the function made below
        return _op.call(*args, **kwargs)  # type: ignore[name-defined] # noqa: F821

    return _uncompiled_function(op, uncompiled)


def _uncompiled_function(op: Operation, uncompiled: Callable[..., Any]) -> FunctionType:
    names = {
        "_op": op,
        "_compile": compile_operation,
        "_compile_face": compile_face,
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
    op.node_type = node_type(op)
    from . import record

    names = _names(op)
    for function, general, out in ((op.call, record.call, op.takes_out), (op.operator, record.call_as_operator, False)):
        if isinstance(function, FunctionType):
            function.__globals__.update(names, _general=general)
            made = compiled("\n".join(_call_lines(op, out)), op.name, dict(names))
            give_code(function, made.__code__, made.__defaults__, made.__kwdefaults__)


def compile_face(op: Operation) -> None:
    """Write, compile and put in place the function of a composite *op* that takes ``out=``."""
    from .out import call_declared, call_into

    assert isinstance(op.call, FunctionType)
    if op.declared.__code__.co_flags & CO_VARARGS:
        signature, passed, values, keywords = "*args, out=None, **kwargs", "*args, **kwargs", "(args, kwargs)", True
    else:
        signature, values, keywords = _signature(op, out=True), tuple_of(op.parameters), bool(_keywords(op))
        passed = ", ".join([*op.parameters[: op.positional], *(f"{p}={p}" for p in _keywords(op))])
    names = {**_defaults(op), "_plain": op.declared, "_into": call_into, "_compute": call_declared}
    op.call.__globals__.update(names)
    lines = [f"def {op.identifier}({signature}):", f"    if {_OUT_IS_ABSENT[keywords]}:"]
    lines += [f"        return _plain({passed})", "    " + _out_line("_compute", values, keywords)]
    made = compiled("\n".join(lines), op.name, dict(names))
    # Not by give_code: what a composite calls is observed, not the composite.
    op.call.__code__, op.call.__defaults__, op.call.__kwdefaults__ = (
        made.__code__,
        made.__defaults__,
        made.__kwdefaults__,
    )


def _names(op: Operation) -> dict[str, Any]:
    from . import record
    from .out import call_into

    return {
        "_Batched": Batched, "_finish": record.finish, "_attach": record.attach_if_shared,
        "_forward": op.forward, "_new": object.__new__,
        "_Tensor": Tensor, "_Node": op.node_type, "_ndarray": np.ndarray, "_asarray": np.asarray, "_mode": mode,
        "_tick": tick, "_getframe": sys._getframe, "_internal": INTERNAL_PACKAGES, "_constant": constant,
        "_hush": hush, "_unhush": unhush, "_SILENCE": SILENCE,
        "_f32": np.dtype(np.float32), "_weak32": _constants[np.dtype(np.float32)],
        "_into": call_into,
        **_defaults(op),
    }  # fmt: skip


def _defaults(op: Operation) -> dict[str, Any]:
    """The default of each parameter that has one, under the name that the written code has for it."""
    values = op.declared.__defaults__ or ()
    positional = zip(op.parameters[op.positional - len(values) : op.positional], values, strict=True)
    return {f"_default_{name}": value for name, value in (*positional, *(op.declared.__kwdefaults__ or {}).items())}


# --- the call

# A keyword-only parameter makes every call of a function without others 28 ns slower, an optional positional one 3 ns:
# out is a positional one there, behind a parameter that catches the argument of a call with one too many.
_OUT_IS_ABSENT = {True: "out is None", False: "out is _surplus"}


def _keywords(op: Operation) -> tuple[str, ...]:
    return op.parameters[op.positional :]


def _out_line(compute: str, values: str, keywords: bool) -> str:
    return f"return _into({compute}, _op, {values}, out, {'None' if keywords else '_surplus'})"


def _signature(op: Operation, out: bool) -> str:
    defaults = op.declared.__defaults__ or ()
    without = op.positional - len(defaults)
    parts = [p if i < without else f"{p}=_default_{p}" for i, p in enumerate(op.parameters[: op.positional])]
    keywords = _keywords(op)
    if keywords:
        kwdefaults = op.declared.__kwdefaults__ or {}
        parts.append("*")
        parts += [f"{p}=_default_{p}" if p in kwdefaults else p for p in keywords]
    if out:
        parts += ["out=None"] if keywords else ["_surplus=None", "out=None"]
    return ", ".join(parts)


def _call_lines(op: Operation, out: bool) -> list[str]:
    """The function that calls *op*, with ``out=`` where *out* says so."""
    values, keywords = tuple_of(op.parameters), bool(_keywords(op))
    general = f"return _general(_op, {values})"
    body = [general] if op.several or op.outputs is not None else _fast_lines(op, general)
    if out:
        body = [f"if not ({_OUT_IS_ABSENT[keywords]}):", "    " + _out_line("_general", values, keywords), *body]
    return [f"def {op.identifier}({_signature(op, out)}):", *("    " + line for line in body)]


def _fast_lines(op: Operation, fallback: str) -> list[str]:
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
    return [*body, "return _out"]


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
    if "c" in op.refuses:
        lines += [f"    if {promoted[0]}.dtype.kind == 'c':", f"        {fallback}"]
    if promoting:
        lines.append(f"    _dtype = {promoted[0]}.dtype")
        others = [f"{x}.dtype is not _dtype" for x in promoted[1:]]
        others += [
            f"({arrays[n]} is not None and {arrays[n]}.dtype is not _dtype)" for n in op.operands if n in op.optional
        ]
        if others:
            lines += [f"    if {' or '.join(others)}:", f"        {fallback}"]
    if op.batching is not None:
        lines += [
            f"    if {' or '.join(f'{x}.__class__ is _Batched' for x in arrays.values())}:",
            f"        {fallback}",
        ]
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
    lines += ["if _y.__class__ is not _ndarray:", "    if _y.__class__ is _Batched:"]
    lines.append(f"        return _finish(_op, {tuple_of(op.parameters)}, _y)")
    return [*lines, "    _y = _asarray(_y)"]


_WRITTEN_IN_C = frozenset(("np", "asarray", "astype", "copy", "dtype", "kind", "ndim", "shape", "size", "RuntimeError"))
_KERNELS = frozenset(("WORTHWHILE", "in_one_pass", "exp_values"))  # of ours, which call nothing else


def _warns_in_our_name(forward: Any) -> bool:
    """Whether all that *forward* calls is C, so that our filter of warnings covers it, unlike NumPy's Python functions."""
    if isinstance(forward, np.ufunc):
        return True
    return all(
        n in _WRITTEN_IN_C | _KERNELS or isinstance(getattr(np, n, None), np.ufunc) for n in forward.__code__.co_names
    )


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
        "_node.edges = " + tuple_of([nodes.get(name, "None") for name in op.operands]),
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
    return [*lines, f"_node.shapes = None if {same} else {tuple_of([f'_s{i}' for i in range(len(shapes))])}"]


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
