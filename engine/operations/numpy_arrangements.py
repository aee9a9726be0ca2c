"""Which operation answers for NumPy's functions that rearrange, join, split, pad and pick elements."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..tensors.protocol import FUNCTIONS, UFUNCS
from ..tensors.tensor import Tensor
from . import (
    angles,
    comparison,
    creation,
    diagonal,
    elementwise,
    floating,
    gathering,
    indexing,
    joining,
    older_linalg,
    products,
    rearranging,
    reduction,
    scan,
    shape,
    tensor_products,
)
from .copies import repeat_interleave
from .numpy_functions import answers, as_tensor

UFUNCS.update({
    np.rad2deg: angles.rad2deg, np.degrees: angles.rad2deg, np.deg2rad: angles.deg2rad, np.radians: angles.deg2rad,
    np.fabs: elementwise.abs, np.positive: elementwise.positive, np.rint: elementwise.round,
    np.signbit: floating.signbit, np.heaviside: floating.heaviside, np.vecdot: products.vecdot,
})  # fmt: skip


def _same(function: Any, counterpart: Callable[..., Any]) -> None:
    """Let *counterpart*, which takes one tensor and the same arguments, answer for *function*."""
    FUNCTIONS[function] = lambda a, *args, **kwargs: counterpart(as_tensor(a), *args, **kwargs)


_same(np.fliplr, rearranging.fliplr)
_same(np.flipud, rearranging.flipud)
_same(np.sinc, angles.sinc)
_same(np.diagflat, lambda v, k=0: diagonal.diagflat(v, k))
_same(np.diag, lambda v, k=0: diagonal.diag(v, k))
_same(np.matrix_transpose, lambda x: shape.transpose(x, -2, -1))
_same(np.count_nonzero, reduction.count_nonzero)
_same(np.isneginf, floating.isneginf)
_same(np.isposinf, floating.isposinf)


def _joining(function: Any, counterpart: Callable[..., Any]) -> None:
    FUNCTIONS[function] = lambda tup, **_: counterpart([as_tensor(a) for a in tup])


_joining(np.vstack, joining.vstack)
_joining(np.hstack, joining.hstack)
_joining(np.dstack, joining.dstack)
_joining(np.column_stack, joining.column_stack)


def _dimensioned(function: Any, counterpart: Callable[..., Any]) -> None:
    def answer(*arrays: Any) -> Any:
        made = tuple(counterpart(as_tensor(a)) for a in arrays)
        return made[0] if len(made) == 1 else made

    FUNCTIONS[function] = answer


def _at_least_3d(x: Tensor) -> Tensor:
    return x.unsqueeze(0).unsqueeze(-1) if x.ndim == 1 else x.unsqueeze(-1) if x.ndim == 2 else joining.atleast_3d(x)


_dimensioned(np.atleast_1d, joining.atleast_1d)
_dimensioned(np.atleast_2d, joining.atleast_2d)
_dimensioned(np.atleast_3d, _at_least_3d)


@answers(np.broadcast_arrays)
def _broadcast_arrays(*args: Any) -> Any:
    return joining.broadcast_tensors(*map(as_tensor, args))


@answers(np.meshgrid)
def _meshgrid(*xi: Any, indexing: str = "xy") -> Any:
    return joining.meshgrid(*map(as_tensor, xi), indexing=indexing)


@answers(np.append)
def _append(arr: Any, values: Any, axis: int | None = None) -> Any:
    parts = [as_tensor(arr), as_tensor(values)]
    return shape.cat([p.reshape(-1) for p in parts], 0) if axis is None else shape.cat(parts, axis)


@answers(np.split, np.array_split)
def _split(ary: Any, indices_or_sections: Any, axis: int = 0) -> Any:
    where = indices_or_sections
    return list(joining.tensor_split(as_tensor(ary), where if isinstance(where, int) else tuple(where), axis))


@answers(np.hsplit)
def _hsplit(ary: Any, indices_or_sections: Any) -> Any:
    return _split(ary, indices_or_sections, 1 if ary.ndim > 1 else 0)


@answers(np.vsplit)
def _vsplit(ary: Any, indices_or_sections: Any) -> Any:
    return _split(ary, indices_or_sections, 0)


@answers(np.dsplit)
def _dsplit(ary: Any, indices_or_sections: Any) -> Any:
    return _split(ary, indices_or_sections, 2)


@answers(np.unstack)
def _unstack(x: Any, *, axis: int = 0) -> Any:
    return shape.unbind(as_tensor(x), axis)


@answers(np.repeat)
def _repeat(a: Any, repeats: Any, axis: int | None = None) -> Any:
    counts = repeats if isinstance(repeats, (int, Tensor)) else as_tensor(repeats)
    return repeat_interleave(as_tensor(a), counts, axis)


@answers(np.rot90)
def _rot90(m: Any, k: int = 1, axes: Sequence[int] = (0, 1)) -> Any:
    return rearranging.rot90(as_tensor(m), k, list(axes))


@answers(np.rollaxis)
def _rollaxis(a: Any, axis: int, start: int = 0) -> Any:
    order = list(range(a.ndim))
    moved = order.pop(axis)
    position = start + a.ndim if start < 0 else start
    order.insert(position - (moved < position), moved)
    return shape.permute(as_tensor(a), order)


@answers(np.trace)
def _trace(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    return reduction.sum(diagonal.diagonal(as_tensor(a), offset, axis1, axis2), -1)


@answers(np.diagonal)
def _diagonal(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    return diagonal.diagonal(as_tensor(a), offset, axis1, axis2)


@answers(np.diff)
def _diff(a: Any, n: int = 1, axis: int = -1, prepend: Any = None, append: Any = None) -> Any:
    around = {key: as_tensor(v) for key, v in (("prepend", prepend), ("append", append)) if v is not None}
    return scan.diff(as_tensor(a), n, axis, **around)


@answers(np.gradient)
def _gradient(f: Any, *varargs: Any, axis: Any = None, edge_order: int = 1) -> Any:
    tensor = as_tensor(f)
    dims = range(tensor.ndim) if axis is None else (axis,) if isinstance(axis, int) else axis
    spacing = {} if not varargs else {"spacing": varargs[0] if len(varargs) == 1 else list(varargs)}
    found = scan.gradient(tensor, dim=list(dims), edge_order=edge_order, **spacing)
    return found[0] if len(found) == 1 else found


@answers(np.inner)
def _inner(a: Any, b: Any) -> Any:
    return tensor_products.inner(as_tensor(a), as_tensor(b))


@answers(np.kron)
def _kron(a: Any, b: Any) -> Any:
    return tensor_products.kron(as_tensor(a), as_tensor(b))


@answers(np.vdot)
def _vdot(a: Any, b: Any) -> Any:
    return tensor_products.vdot(as_tensor(a).reshape(-1), as_tensor(b).reshape(-1))


@answers(np.tensordot)
def _tensordot(a: Any, b: Any, axes: Any = 2) -> Any:
    if not np.ndim(a) or not np.ndim(b):
        return as_tensor(a) * as_tensor(b)
    if not isinstance(axes, int):
        axes = tuple([side] if isinstance(side, int) else list(side) for side in axes)
    return tensor_products.tensordot(as_tensor(a), as_tensor(b), axes)


@answers(np.cross)
def _cross(a: Any, b: Any, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: int | None = None) -> Any:
    axisa, axisb, axisc = (axisa, axisb, axisc) if axis is None else (axis,) * 3
    left, right = shape.movedim(as_tensor(a), axisa, -1), shape.movedim(as_tensor(b), axisb, -1)
    return shape.movedim(older_linalg.cross(*joining.broadcast_tensors(left, right), -1), -1, axisc)


@answers(np.angle)
def _angle(z: Any, deg: bool = False) -> Any:
    found = angles.angle(as_tensor(z))
    return angles.rad2deg(found) if deg else found


@answers(np.nan_to_num)
def _nan_to_num(x: Any, copy: bool = True, nan: float = 0.0, posinf: Any = None, neginf: Any = None) -> Any:
    return floating.nan_to_num(as_tensor(x), nan, posinf, neginf)


@answers(np.real_if_close)
def _real_if_close(a: Any, tol: float = 100) -> Any:
    tensor = as_tensor(a)
    kept = not tensor.is_complex() or np.iscomplexobj(np.real_if_close(tensor._array, tol))
    return tensor if kept else tensor.real


@answers(np.isclose)
def _isclose(a: Any, b: Any, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> Any:
    return comparison.isclose(as_tensor(a), as_tensor(b), rtol, atol, equal_nan)


@answers(np.linspace)
def _linspace(start: Any, stop: Any, num: int = 50, endpoint: bool = True) -> Any:
    steps = as_tensor(np.arange(num) / max(num - 1 if endpoint else num, 1))
    first = as_tensor(start)
    return first + (as_tensor(stop) - first) * steps.reshape([-1] + [1] * first.ndim)


@answers(np.take)
def _take(a: Any, indices: Any, axis: int | None = None) -> Any:
    tensor, chosen = as_tensor(a), as_tensor(indices)._array
    tensor = tensor.reshape(-1) if axis is None else tensor
    return indexing.index_by(tensor, (slice(None),) * ((axis or 0) % tensor.ndim) + (chosen,))


@answers(np.take_along_axis)
def _take_along_axis(arr: Any, indices: Any, axis: int | None = -1) -> Any:
    return gathering.take_along_dim(as_tensor(arr), as_tensor(indices), axis)


@answers(np.partition)
def _partition(a: Any, kth: Any, axis: int | None = -1) -> Any:
    tensor = as_tensor(a)
    return _take_along_axis(tensor, np.argpartition(tensor._array, kth, axis), axis)


@answers(np.argsort)
def _argsort(a: Any, axis: int = -1, kind: Any = None, order: Any = None, *, stable: Any = None) -> Any:
    return as_tensor(np.argsort(as_tensor(a)._array, axis, kind, stable=stable))


@answers(np.select)
def _select(condlist: Any, choicelist: Any, default: Any = 0) -> Any:
    chosen = as_tensor(default)
    for condition, choice in reversed(list(zip(condlist, choicelist, strict=True))):
        chosen = comparison.where(as_tensor(condition), as_tensor(choice), chosen)
    return chosen


@answers(np.pad)
def _pad(array: Any, pad_width: Any, mode: str = "constant", constant_values: Any = 0) -> Any:
    """Every mode that repeats elements: *array* taken at an index that was padded; and constants beside it."""
    tensor = as_tensor(array)
    widths = np.broadcast_to(np.asarray(pad_width), (tensor.ndim, 2)).tolist()
    constants = np.broadcast_to(np.asarray(constant_values, dtype=object), (tensor.ndim, 2))
    for axis, (before, after) in enumerate(widths):
        if mode == "constant":
            tensor = _between_constants(tensor, axis, (before, after), constants[axis])
        else:
            places = np.pad(np.arange(tensor.shape[axis]), (before, after), mode)  # type: ignore[call-overload]
            tensor = _take(tensor, places, axis)
    return tensor


def _between_constants(tensor: Tensor, axis: int, widths: Sequence[int], constants: Sequence[Any]) -> Tensor:
    sides = []
    for width, constant in zip(widths, constants, strict=True):
        size = [width if d == axis else n for d, n in enumerate(tensor.shape)]
        sides.append(creation.full(size, constant, dtype=tensor.dtype))
    return shape.cat([sides[0], tensor, sides[1]], axis)


@answers(np.nansum)
def _nansum(a: Any, axis: Any = None, keepdims: bool = False) -> Any:
    return reduction.sum(floating.nan_to_num(as_tensor(a), 0.0, np.inf, -np.inf), axis, keepdims)


@answers(np.average)
def _average(a: Any, axis: Any = None, weights: Any = None, *, keepdims: bool = False) -> Any:
    tensor = as_tensor(a)
    if weights is None:
        return reduction.mean(tensor, axis, keepdims)
    scale = as_tensor(weights)
    if scale.ndim == 1 and tensor.ndim > 1:
        scale = scale.reshape([-1 if d == axis % tensor.ndim else 1 for d in range(tensor.ndim)])
    scale = scale.expand(tuple(tensor.shape))
    return reduction.sum(tensor * scale, axis, keepdims) / reduction.sum(scale, axis, keepdims)


@answers(np.ptp)
def _ptp(a: Any, axis: Any = None, keepdims: bool = False) -> Any:
    return np.max(a, axis=axis, keepdims=keepdims) - np.min(a, axis=axis, keepdims=keepdims)
