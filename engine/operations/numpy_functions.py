"""Which operation answers for which NumPy function: with Tensors, NumPy's functions record like allgrad's own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..registry import OPERATIONS
from ..registry.record import result_dtype
from ..tensors.protocol import FUNCTIONS, UFUNCS
from ..tensors.tensor import Tensor
from . import (
    arithmetic,
    comparison,
    conversion,
    creation,
    elementwise,
    extremes,
    floating,
    linear,
    logarithms,
    ordering,
    rearranging,
    reduction,
    shape,
)

for _operation in OPERATIONS.values():
    if isinstance(_operation.forward, np.ufunc):
        UFUNCS[_operation.forward] = _operation.call
UFUNCS[np.exp] = elementwise.exp
UFUNCS[np.logaddexp] = logarithms.logaddexp
UFUNCS[np.matmul] = linear.matmul_promoted
UFUNCS[np.power] = arithmetic.pow
UFUNCS[np.floor_divide] = arithmetic.floor_divide
UFUNCS[np.remainder] = arithmetic.remainder
UFUNCS[np.fmod] = arithmetic.fmod
UFUNCS[np.sign] = lambda x: floating.sgn(x) if as_tensor(x).is_complex() else elementwise.sign(x)


def as_tensor(value: Any) -> Tensor:
    """*value*, a tensor, an array or a number, as a tensor."""
    return value if isinstance(value, Tensor) else Tensor._wrap(np.asarray(value))


def answers(*functions: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Let the decorated function answer for these NumPy functions."""

    def register(counterpart: Callable[..., Any]) -> Callable[..., Any]:
        FUNCTIONS.update(dict.fromkeys(functions, counterpart))
        return counterpart

    return register


def _reduction(function: Any, counterpart: Callable[..., Any]) -> None:
    def answer(a: Any, axis: Any = None, keepdims: bool = False, **options: Any) -> Any:
        return counterpart(as_tensor(a), axis, keepdims, **options)

    FUNCTIONS[function] = answer


_reduction(np.sum, reduction.sum)
_reduction(np.mean, reduction.mean)
_reduction(np.prod, reduction.prod)
_reduction(np.all, reduction.all)
_reduction(np.any, reduction.any)
_reduction(np.argmax, extremes.argmax)
_reduction(np.argmin, extremes.argmin)


@answers(np.max, np.amax)
def _max(a: Any, axis: Any = None, keepdims: bool = False) -> Any:
    return extremes.amax(as_tensor(a), () if axis is None else axis, keepdims)


@answers(np.min, np.amin)
def _min(a: Any, axis: Any = None, keepdims: bool = False) -> Any:
    return extremes.amin(as_tensor(a), () if axis is None else axis, keepdims)


@answers(np.var)
def _var(a: Any, axis: Any = None, *, ddof: int = 0, keepdims: bool = False) -> Any:
    return reduction.var(as_tensor(a), axis, correction=ddof, keepdim=keepdims)


@answers(np.std)
def _std(a: Any, axis: Any = None, *, ddof: int = 0, keepdims: bool = False) -> Any:
    return reduction.std(as_tensor(a), axis, correction=ddof, keepdim=keepdims)


@answers(np.cumsum)
def _cumsum(a: Any, axis: Any = None) -> Any:
    return reduction.cumsum(as_tensor(a).reshape(-1), 0) if axis is None else reduction.cumsum(as_tensor(a), axis)


@answers(np.cumprod)
def _cumprod(a: Any, axis: Any = None) -> Any:
    return reduction.cumprod(as_tensor(a).reshape(-1), 0) if axis is None else reduction.cumprod(as_tensor(a), axis)


@answers(np.where)
def _where(condition: Any, *choices: Any) -> Any:
    mask = as_tensor(condition)
    if not choices:
        return comparison.where(mask)
    x, y = choices
    if not isinstance(x, Tensor) and not isinstance(y, Tensor):
        x = as_tensor(x)
    return comparison.choose(mask if mask._array.dtype == bool else mask != 0, x, y)


@answers(np.clip)
def _clip(a: Any, a_min: Any = None, a_max: Any = None) -> Any:
    return comparison.clamp(as_tensor(a), a_min, a_max)


@answers(np.reshape)
def _reshape(a: Any, /, shape: Any) -> Any:
    return shape_of(a, shape)


def shape_of(a: Any, sizes: Any) -> Any:
    """*a* with the shape *sizes*, a number or a tuple."""
    return shape.reshape(as_tensor(a), (sizes,) if isinstance(sizes, int) else tuple(sizes))


@answers(np.ravel)
def _ravel(a: Any) -> Any:
    return shape.reshape(as_tensor(a), (-1,))


@answers(np.transpose)
def _transpose(a: Any, axes: Any = None) -> Any:
    tensor = as_tensor(a)
    return shape.permute(tensor, tuple(range(tensor.ndim))[::-1] if axes is None else tuple(axes))


@answers(np.swapaxes)
def _swapaxes(a: Any, axis1: int, axis2: int) -> Any:
    return shape.transpose(as_tensor(a), axis1, axis2)


@answers(np.moveaxis)
def _moveaxis(a: Any, source: Any, destination: Any) -> Any:
    return shape.movedim(as_tensor(a), source, destination)


@answers(np.expand_dims)
def _expand_dims(a: Any, axis: int) -> Any:
    return shape.unsqueeze(as_tensor(a), axis)


@answers(np.squeeze)
def _squeeze(a: Any, axis: Any = None) -> Any:
    return shape.squeeze(as_tensor(a), axis)


@answers(np.broadcast_to)
def _broadcast_to(array: Any, shape_: Any = None, **options: Any) -> Any:
    return shape.expand(as_tensor(array), tuple(options.get("shape", shape_)))


@answers(np.concatenate)
def _concatenate(arrays: Any, axis: int = 0) -> Any:
    return shape.cat([as_tensor(a) for a in arrays], axis)


@answers(np.stack)
def _stack(arrays: Any, axis: int = 0) -> Any:
    return shape.stack([as_tensor(a) for a in arrays], axis)


@answers(np.flip)
def _flip(m: Any, axis: Any = None) -> Any:
    tensor = as_tensor(m)
    axes = range(tensor.ndim) if axis is None else (axis,) if isinstance(axis, int) else axis
    return rearranging.flip(tensor, tuple(axes))


@answers(np.roll)
def _roll(a: Any, shift: Any, axis: Any = None) -> Any:
    return rearranging.roll(as_tensor(a), shift, axis)


@answers(np.tril)
def _tril(m: Any, k: int = 0) -> Any:
    return rearranging.tril(as_tensor(m), k)


@answers(np.triu)
def _triu(m: Any, k: int = 0) -> Any:
    return rearranging.triu(as_tensor(m), k)


@answers(np.tile)
def _tile(A: Any, reps: Any) -> Any:
    return rearranging.tile(as_tensor(A), (reps,) if isinstance(reps, int) else tuple(reps))


@answers(np.dot)
def _dot(a: Any, b: Any) -> Any:
    left, right = as_tensor(a), as_tensor(b)
    if not left.ndim or not right.ndim:
        return left * right
    return linear.matmul_promoted(left, right)


@answers(np.outer)
def _outer(a: Any, b: Any) -> Any:
    return linear.outer(as_tensor(a).reshape(-1), as_tensor(b).reshape(-1))


@answers(np.einsum)
def _einsum(subscripts: Any, *operands: Any, optimize: Any = True) -> Any:
    if isinstance(subscripts, str):
        return linear.einsum(subscripts, *_of_one_type(operands))
    listed = [subscripts, *operands]  # operands and lists of numbers in turn, and perhaps the list of the result
    result = listed[len(listed) // 2 * 2 :]
    tensors = _of_one_type(listed[: len(listed) - len(result) : 2])
    pairs = zip(tensors, listed[1::2], strict=True)
    return linear.einsum(*(part for tensor, numbers in pairs for part in (tensor, list(numbers))), *map(list, result))


def _of_one_type(operands: Sequence[Any]) -> list[Any]:
    tensors = [as_tensor(operand) for operand in operands]
    common = result_dtype(tensors)
    return [tensor.to(common) for tensor in tensors]


@answers(np.zeros_like)
def _zeros_like(a: Any, dtype: Any = None) -> Any:
    return creation.zeros_like(a, dtype=dtype)


@answers(np.ones_like)
def _ones_like(a: Any, dtype: Any = None) -> Any:
    return creation.ones_like(a, dtype=dtype)


@answers(np.full_like)
def _full_like(a: Any, fill_value: Any, dtype: Any = None) -> Any:
    return creation.full_like(a, fill_value, dtype=dtype)


@answers(np.copy)
def _copy(a: Any) -> Any:
    return conversion.clone(as_tensor(a))


@answers(np.real)
def _real(val: Any) -> Any:
    return conversion.real(as_tensor(val))


@answers(np.imag)
def _imag(val: Any) -> Any:
    tensor = as_tensor(val)
    return conversion.imag(tensor) if tensor.is_complex() else creation.zeros_like(tensor)


@answers(np.round, np.around)
def _round(a: Any, decimals: int = 0) -> Any:
    return as_tensor(a).round(decimals=decimals)


@answers(np.sort)
def _sort(a: Any, axis: int = -1) -> Any:
    return ordering.sort(as_tensor(a), axis).values


@answers(np.shape)
def _shape(a: Any) -> tuple[int, ...]:
    return tuple(a.shape)


@answers(np.ndim)
def _ndim(a: Any) -> int:
    return int(a.ndim)


@answers(np.size)
def _size(a: Any, axis: int | None = None) -> int:
    return int(a.numel() if axis is None else a.shape[axis])


@answers(np.iscomplexobj)
def _iscomplexobj(x: Any) -> bool:
    return bool(x.is_complex())


@answers(np.allclose)
def _allclose(a: Any, b: Any, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> bool:
    return comparison.allclose(as_tensor(a), as_tensor(b), rtol, atol, equal_nan)


@answers(np.array_equal)
def _array_equal(a1: Any, a2: Any) -> bool:
    return comparison.equal(as_tensor(a1), as_tensor(a2))
