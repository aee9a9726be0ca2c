"""Matrix products of batches, by as few calls of BLAS as there can be."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .array import Batched, Unbatchable, aligned, levels_of, ndim_of, raised, wrap


def matmul(a: Any, b: Any, **options: Any) -> Any:
    """``np.matmul(a, b)`` for every example."""
    if options:
        raise Unbatchable("np.matmul into an array")
    rows, columns = ndim_of(a) == 1, ndim_of(b) == 1
    if not ndim_of(a) or not ndim_of(b):
        raise Unbatchable("np.matmul of a number")
    if rows:
        a = np.expand_dims(a, 0)
    if columns:
        b = np.expand_dims(b, 1)
    result = _matrices(a, b)
    if rows:
        result = np.squeeze(result, -2)
    return np.squeeze(result, -1) if columns else result


def _matrices(a: Any, b: Any) -> Any:
    levels = levels_of((a, b))
    rank = max(a.ndim, b.ndim)
    if not isinstance(b, Batched) and b.ndim == 2:  # all rows of all examples meet the same matrix
        return wrap(_rows_times(a.values, b), levels)
    if not isinstance(a, Batched) and a.ndim == 2 and b.shape[-1] == 1:
        return wrap(_rows_times(b.values[..., 0], a.T)[..., None], levels)
    left, right = raised(a, levels, rank), raised(b, levels, rank)
    if left.shape[-1] == right.shape[-2] == 1:  # outer products
        return wrap(left * right, levels)
    return wrap(np.matmul(left, right), levels)


def _rows_times(a: Any, matrix: Any) -> Any:
    if a.ndim == 2 or a.shape[-1] != matrix.shape[0]:
        return np.matmul(a, matrix)
    flat = a.reshape(math.prod(a.shape[:-1]), a.shape[-1])
    return np.matmul(flat, matrix).reshape(*a.shape[:-1], matrix.shape[1])


def dot(a: Any, b: Any, out: Any = None) -> Any:
    """``np.dot(a, b)`` for every example."""
    if out is not None or ndim_of(b) > 2:
        raise Unbatchable("np.dot of these ranks")
    return a * b if not ndim_of(a) or not ndim_of(b) else np.matmul(a, b)


def vdot(a: Any, b: Any, /) -> Any:
    """``np.vdot(a, b)`` for every example."""
    return np.sum(np.conjugate(a).reshape(-1) * np.reshape(b, -1))


def outer(a: Any, b: Any, out: Any = None) -> Any:
    """``np.outer(a, b)`` for every example."""
    return np.reshape(a, (-1, 1)) * np.reshape(b, (1, -1))


def tensordot(a: Any, b: Any, axes: Any = 2) -> Any:
    """``np.tensordot(a, b, axes)`` for every example."""
    na, nb = ndim_of(a), ndim_of(b)
    if isinstance(axes, int):
        axes = (tuple(range(na - axes, na)), tuple(range(axes)))
    first, second = ((x,) if isinstance(x, int) else tuple(x) for x in axes)
    first, second = tuple(d % na for d in first), tuple(d % nb for d in second)
    left, right = [d for d in range(na) if d not in first], [d for d in range(nb) if d not in second]
    inner = math.prod(a.shape[d] for d in first)
    rows = np.reshape(np.transpose(a, (*left, *first)), (-1, inner))
    columns = np.reshape(np.transpose(b, (*second, *right)), (inner, -1))
    shape = tuple(a.shape[d] for d in left) + tuple(b.shape[d] for d in right)
    return np.reshape(np.matmul(rows, columns), shape)


def einsum(subscripts: Any, *operands: Any, **options: Any) -> Any:
    """``np.einsum`` for every example: each level is one more letter, in front."""
    if not isinstance(subscripts, str) or "->" not in subscripts or options.get("out") is not None:
        raise Unbatchable("np.einsum without '->'")
    levels = levels_of(operands)
    unused = [chr(c) for c in (*range(65, 91), *range(97, 123)) if chr(c) not in subscripts]
    letters = dict(zip(levels, unused, strict=False))
    given, result = subscripts.replace(" ", "").split("->")
    inputs = [
        "".join(letters[level] for level in operand.levels) + part if isinstance(operand, Batched) else part
        for operand, part in zip(operands, given.split(","), strict=True)
    ]
    arrays = [o.values if isinstance(o, Batched) else o for o in operands]
    return wrap(np.einsum(f"{','.join(inputs)}->{''.join(letters.values())}{result}", *arrays, **options), levels)


def cross(a: Any, b: Any, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: int | None = None) -> Any:
    """``np.cross(a, b)`` for every example."""
    chosen = -1 if axis is None else axis
    if (axisa, axisb, axisc) != (-1, -1, -1) or ndim_of(a) != ndim_of(b):
        raise Unbatchable("np.cross along several axes")
    arrays, levels = aligned((a, b))
    along = chosen if chosen < 0 else chosen - ndim_of(a)
    return wrap(np.cross(arrays[0], arrays[1], axis=along), levels)
