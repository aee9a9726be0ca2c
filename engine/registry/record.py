"""The general way to call an operation: any operands, promoted, checked and recorded; the generated fast path falls back on it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import dtypes, errors
from ..batching import Batched, as_array, levels_of
from ..tape.mode import mode
from ..tape.nodes import Node, Output
from ..tape.provenance import caller
from ..tape.version import Version, tick
from ..tensors.tensor import Tensor
from ..tensors.view import attach
from . import batches
from .batches import alike, has_batch
from .nodes import OperationNode, is_result
from .operation import Operation, Promotion

_NUMBERS = (int, float, complex, bool, np.number, np.bool_)


def call(op: Operation, values: tuple[Any, ...]) -> Any:
    """Apply *op* to *values*, one for each of its parameters in order."""
    arguments = dict(zip(op.parameters, values, strict=True))
    if mode.rules_on_arrays and not _any_tensor(op, arguments):
        named = dict(list(arguments.items())[op.positional :])
        if has_batch(values):
            return batches.forward(op, values[: op.positional], named)
        return op.forward(*values[: op.positional], **named)
    try:
        _check_operands(op, arguments)
        _promote(op, arguments)
        arrays = {name: _array_of(value) if name in op.operands else value for name, value in arguments.items()}
        result = _forward(op, arrays)
    except Exception as error:
        if not isinstance(error, ForeignOperandError):
            errors.name_call(error, op.shown_name, [_shape_of(arguments[n]) for n in op.operands], caller())
        raise
    return _wrap(op, arguments, result)


def finish(op: Operation, values: tuple[Any, ...], result: Any) -> Any:
    """Wrap and record the batch *result*, which the fast path computed of *values*."""
    for value in values:
        if isinstance(value, Tensor) and value._view is not None:
            value._view.refresh(value)
    return _wrap(op, dict(zip(op.parameters, values, strict=True)), result)


def _shape_of(value: Any) -> str:
    """The shape, or shapes, of an operand, for an error message."""
    if isinstance(value, (tuple, list)):
        return ", ".join(map(_shape_of, value))
    return str(list(value._array.shape)) if isinstance(value, Tensor) else repr(value)


def call_as_operator(op: Operation, values: tuple[Any, ...]) -> Any:
    """Like ``call``, but NotImplemented where an operand is neither a tensor nor a number: Python asks the other one."""
    try:
        return call(op, values)
    except ForeignOperandError:
        return NotImplemented


class ForeignOperandError(TypeError):
    """An operand is of a type that no operation takes."""


def _any_tensor(op: Operation, arguments: dict[str, Any]) -> bool:
    for name in op.operands:
        value = arguments[name]
        if isinstance(value, Tensor) or (name in op.several and any(isinstance(v, Tensor) for v in value)):
            return True
    return False


def _array_of(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value._array
    return [v._array for v in value] if isinstance(value, (list, tuple)) else value


def _check_operands(op: Operation, arguments: dict[str, Any]) -> None:
    """TypeError unless every operand is something that can be a tensor; arrays beside tensors become constants."""
    tensors = _any_tensor(op, arguments)
    for position, name in enumerate(op.operands):
        value = arguments[name]
        if name in op.several:
            if not isinstance(value, (list, tuple)):
                raise ForeignOperandError(_wrong_type(op, position, name, "tuple of Tensors", value))
            arguments[name] = tuple(_operand(op, position, name, v, tensors) for v in value)
        else:
            arguments[name] = _operand(op, position, name, value, tensors)
        if op.refuses and _kind(arguments[name]) in op.refuses:
            raise errors.refused(op.shown_name, _kind(arguments[name]))


def _kind(value: Any) -> str:
    """NumPy's letter for the kind of a tensor or number: "b" of bools, "c" of complex numbers."""
    return value._array.dtype.kind if isinstance(value, Tensor) else np.asarray(value).dtype.kind


def _operand(op: Operation, position: int, name: str, value: Any, tensors: bool) -> Any:
    if isinstance(value, Tensor):
        if value._view is not None:
            value._view.refresh(value)
        return value
    if value is None and name in op.optional:
        return value
    if tensors and isinstance(value, np.ndarray):
        return Tensor._wrap(value)
    if tensors and isinstance(value, _NUMBERS) and op.promotion is not Promotion.NONE:
        return value
    raise ForeignOperandError(_wrong_type(op, position, name, "Tensor", value))


def _wrong_type(op: Operation, position: int, name: str, wanted: str, value: Any) -> str:
    found = type(value).__name__
    hint = ": make one with torch.from_numpy(...)" if isinstance(value, np.ndarray) else ""
    return f"{op.shown_name}(): argument '{name}' (position {position + 1}) must be {wanted}, not {found}{hint}"


def _promote(op: Operation, arguments: dict[str, Any]) -> None:
    """Cast the operands to PyTorch's common type; the casts are recorded, so gradients come back uncast."""
    if op.promotion is Promotion.NONE:
        return
    if op.promotion is Promotion.ALIKE:
        _expect_one_type(op, arguments)
    taking_part = [n for n in op.operands if n not in op.indexes and arguments[n] is not None]
    target = result_dtype([v for n in taking_part for v in _listed(arguments[n])])
    if op.promotion is Promotion.FLOATING and target.category < dtypes.FLOATING:
        target = dtypes.get_default_dtype()
    for name in taking_part:
        value = arguments[name]
        arguments[name] = tuple(cast(v, target) for v in value) if isinstance(value, tuple) else cast(value, target)


def _expect_one_type(op: Operation, arguments: dict[str, Any]) -> None:
    found = {
        name if len(values) == 1 else f"{name}[{i}]": value.dtype
        for name in op.operands
        if arguments[name] is not None
        for values in [_listed(arguments[name])]
        for i, value in enumerate(values)
    }
    if len(set(found.values())) > 1:
        told = ", ".join(f"{name} {kind}" for name, kind in found.items())
        raise RuntimeError(
            f"expected operands to have the same dtype in {op.shown_name}(), but got: {told}. Convert one, for instance with "
            f".to({next(reversed(found.values()))})"
        )


def _listed(value: Any) -> Sequence[Any]:
    return value if isinstance(value, tuple) else (value,)


def result_dtype(values: Sequence[Any]) -> dtypes.dtype:
    """The type that an arithmetic operation on *values* (tensors and numbers) has."""
    dimensioned: list[dtypes.dtype] = []
    zero_dim: list[dtypes.dtype] = []
    scalars: list[int] = []
    for value in values:
        if isinstance(value, Tensor):
            (dimensioned if value._array.ndim else zero_dim).append(value.dtype)
        else:
            scalars.append(dtypes.category_of_scalar(_python(value)))
    return dtypes.result_dtype(dimensioned, zero_dim, scalars)


def _python(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def cast(value: Any, target: dtypes.dtype) -> Tensor:
    """*value*, a tensor or number, as a tensor of type *target*; the same tensor if it is one already."""
    if not isinstance(value, Tensor):
        return Tensor._wrap(constant_array(_python(value), target))
    if value._array.dtype == target.numpy:
        return value
    converted: Tensor = value.to(target)
    return converted


def constant_array(value: Any, target: dtypes.dtype) -> Any:
    """The 0-d array of *value*, wrapped round where it is an integer that *target* cannot hold."""
    if target.category == dtypes.INTEGER and isinstance(value, int):
        if not -(1 << 63) <= value < 1 << 64:
            raise OverflowError(f"int too big to convert: {value} does not fit into 64 bits")
        return np.asarray(value % (1 << 64), dtype=np.uint64).astype(target.numpy)
    return np.asarray(value).astype(target.numpy)


def _forward(op: Operation, arrays: dict[str, Any]) -> Any:
    positional = [arrays[p] for p in op.parameters[: op.positional]]
    named = {p: arrays[p] for p in op.parameters[op.positional :]}
    try:
        with np.errstate(all="ignore"):
            if has_batch(tuple(arrays.values())):
                return batches.forward(op, positional, named)
            return op.forward(*positional, **named)
    except Exception as error:
        if any(_is_brain_float(array) for array in arrays.values()):
            return _rounded(_forward(op, {name: _widened(array) for name, array in arrays.items()}))
        better = errors.translated(op.shown_name, error, [arrays[n] for n in op.operands])
        if better is error:
            raise
        raise better from None


def _is_brain_float(value: Any) -> bool:
    if isinstance(value, list):
        return any(map(_is_brain_float, value))
    return isinstance(value, np.ndarray) and value.dtype.name == "bfloat16"


def _widened(value: Any) -> Any:
    """*value* with float32 for bfloat16, which NumPy's functions know nothing of."""
    if isinstance(value, list):
        return [_widened(part) for part in value]
    return value.astype(np.float32) if _is_brain_float(value) else value


def _rounded(result: Any) -> Any:
    """*result*, computed in float32, as bfloat16 again."""
    if isinstance(result, tuple):
        return tuple(map(_rounded, result))
    array = np.asarray(result)
    return array.astype(dtypes.bfloat16.numpy) if array.dtype == np.float32 else array


def _wrap(op: Operation, arguments: dict[str, Any], result: Any) -> Any:
    if op.outputs is not None:
        return _wrap_several(op, result, _node_for(op, arguments, result), arguments)
    array = as_array(result)
    made = Tensor._wrap(array, _node_for(op, arguments, array) if array.dtype.kind in "fc" else None)
    if op.is_view:
        attach_if_shared(op, made, arguments)
    return made


def _wrap_several(op: Operation, result: Any, node: OperationNode | None, arguments: dict[str, Any]) -> Any:
    assert op.outputs is not None
    made = []
    for index, array in enumerate(alike([as_array(part) for part in result])):
        own: Node | None = None
        if node is not None and array.dtype.kind in "fc":
            own = Output(node, index, len(result))
        tensor = Tensor._wrap(array, own)
        if node is not None and node.version is not None and f"y{index}" in op.saved_names():
            tensor._counter = node.version
        if op.is_view:
            attach_if_shared(op, tensor, arguments, index)
        made.append(tensor)
    return op.outputs(*made)


def _node_for(op: Operation, arguments: dict[str, Any], result: Any) -> OperationNode | None:
    """The node that records this call, or None where none of its inputs asks for a gradient."""
    if not op.differentiable or not mode.enabled:
        return None
    edges: list[Node | None] = []
    counts: list[int] = []
    for name, rule in zip(op.operands, op.rules, strict=True):
        values = _listed(arguments[name])
        edges += [v._node if rule is not None and isinstance(v, Tensor) else None for v in values]
        counts.append(len(values))
    if all(edge is None for edge in edges):
        return None
    assert op.node_type is not None
    levels = levels_of([result, [_array_of(arguments[name]) for name in op.operands]])
    if levels and not op.crosses_levels:
        operands = [value for name in op.operands for value in _listed(arguments[name])]
        edges = batches.collapsed(operands, edges, levels)
    node: OperationNode = object.__new__(batches.batched_type(op) if levels else op.node_type)
    node.seq = tick()
    node.edges = tuple(edges)
    node.hooks = node.version = None
    node.code, node.lasti = caller()
    node.counts = tuple(counts) if op.several else None
    node.shapes = _shapes(op, arguments) if op.broadcasts else None
    _save(op, node, arguments, result)
    return node


def _shapes(op: Operation, arguments: dict[str, Any]) -> tuple[tuple[int, ...], ...]:
    return tuple(() if v is None else v._array.shape for name in op.operands for v in _listed(arguments[name]))


def _save(op: Operation, node: OperationNode, arguments: dict[str, Any], result: Any) -> None:
    """Give *node* what the rules of the operands that need a gradient name."""
    needed = _needed(op, node)
    for name in op.saved_names():
        value: Any = None
        if is_result(name):
            value = as_array(result if name == "y" else result[int(name[1:])])
            if name != "y":
                node.version = node.version or Version()
        elif name.endswith("_shape"):
            operand = arguments[name.removesuffix("_shape")]
            value = tuple(t._array.shape for t in operand) if isinstance(operand, tuple) else operand._array.shape
        elif name in needed or name not in op.operands:
            value = arguments[name]
        setattr(node, "_saved_" + name, value)


def _needed(op: Operation, node: OperationNode) -> set[str]:
    start = 0
    needed: set[str] = set()
    for position, rule in enumerate(op.rules):
        count = 1 if node.counts is None else node.counts[position]
        if rule is not None and any(edge is not None for edge in node.edges[start : start + count]):
            needed.update(rule.saved)
        start += count
    return needed


def attach_if_shared(op: Operation, made: Tensor, arguments: dict[str, Any], index: int | None = None) -> None:
    """Make *made* a view of the first operand if it really shares its memory."""
    source = arguments[op.operands[0]]
    array, shown = source._array, made._array
    if isinstance(array, Batched) or isinstance(shown, Batched):
        array, shown = getattr(array, "values", array), getattr(shown, "values", shown)
    base = shown.base
    if shown is not array and (base is None or (base is not array and base is not array.base)):
        return
    attach(made, source, _Again(op, tuple(arguments.values())[1:], index))


class _Again:
    """An operation to be applied once more, to another first operand and the same other arguments."""

    __slots__ = ("index", "op", "others")

    def __init__(self, op: Operation, others: tuple[Any, ...], index: int | None) -> None:
        self.op, self.others, self.index = op, others, index

    def __call__(self, operand: Any) -> Any:
        values, positional = (operand, *self.others), self.op.positional
        again = self.op.call(
            *values[:positional], **dict(zip(self.op.parameters[positional:], values[positional:], strict=True))
        )
        return again if self.index is None else again[self.index]
