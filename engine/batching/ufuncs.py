"""NumPy's ufuncs on batches: element by element, reduced, accumulated, and the matrix product."""

from __future__ import annotations

from typing import Any

import numpy as np

from .array import Batched, Unbatchable, aligned, levels_of, lowered, ndim_of, sizes_of, wrap

REFUSED = (
    "vmap: inplace arithmetic(self, *extra_args) is not possible because there exists a Tensor `other` in extra_args "
    "that has more elements than `self`. This happened due to `other` being vmapped over but `self` not being vmapped "
    "over in a vmap. Please try to use out-of-place operators instead of inplace arithmetic: write self + other rather "
    "than self += other"
)


class NotVmapped(RuntimeError):
    """Something that is the same for all examples was to be overwritten by what is another for each."""

    def __init__(self) -> None:
        super().__init__(REFUSED)


def apply(ufunc: Any, method: str, inputs: Any, options: Any) -> Any:
    """``ufunc.method(*inputs, **options)``, for every example."""
    if method == "__call__":
        if ufunc is np.matmul:
            from .products import matmul

            return matmul(*inputs, **options)
        if ufunc.signature is not None:
            return _stacks(ufunc, inputs, options)
        return _elementwise(ufunc, inputs, options)
    if method == "at":
        from .indexing import add_at

        return add_at(ufunc, *inputs)
    if method == "reduceat" and isinstance(inputs[0], Batched) and not levels_of(inputs[1]):
        a, places, axis = inputs[0], lowered(inputs[1]), options.get("axis", 0)
        return wrap(ufunc.reduceat(a.values, places, axis % a.ndim + len(a.levels)), a.levels)
    if method in ("reduce", "accumulate") and len(inputs) == 1 and isinstance(inputs[0], Batched):
        return _along(getattr(ufunc, method), inputs[0], dict(options))
    if method == "outer":
        a, b = inputs
        return ufunc(np.reshape(a, (*np.shape(a), *(1,) * np.ndim(b))), b)
    raise Unbatchable(f"np.{ufunc.__name__}.{method} of a batch")


def _elementwise(ufunc: Any, inputs: Any, options: Any) -> Any:
    out = options.get("out")
    if out is None and "where" not in options:
        arrays, levels = aligned(inputs)
        return _wrapped(ufunc(*arrays, **options), levels)
    outs: Any = () if out is None else out
    where = options.get("where", True)
    sizes = sizes_of((inputs, where, outs))
    for target in outs:
        if target is not None and not (isinstance(target, Batched) and target.widen(sizes)):
            raise NotVmapped
    arrays, levels = aligned((*inputs, where, *(o for o in outs if o is not None)))
    passed = {key: value for key, value in options.items() if key not in ("out", "where")}
    if outs:
        passed["out"] = tuple(None if o is None else o.values for o in outs)
    result = ufunc(*arrays[: len(inputs)], where=arrays[len(inputs)], **passed)
    return outs[0] if len(outs) == 1 else _wrapped(result, levels)


def _wrapped(result: Any, levels: tuple[int, ...]) -> Any:
    return tuple(wrap(r, levels) for r in result) if isinstance(result, tuple) else wrap(result, levels)


def _stacks(ufunc: Any, inputs: Any, options: Any) -> Any:
    """A generalized ufunc, which takes stacks of vectors or matrices: a batch is a stack."""
    if options:
        raise Unbatchable(f"np.{ufunc.__name__} with {', '.join(options)}")
    levels, rank = levels_of(inputs), max(map(ndim_of, inputs))
    if any(ndim_of(value) != rank for value in inputs):
        raise Unbatchable(f"np.{ufunc.__name__} of operands of several ranks")
    arrays, levels = aligned(inputs)
    return _wrapped(ufunc(*arrays), levels)


def _along(function: Any, a: Batched, options: dict[str, Any]) -> Any:
    from .functions import shifted

    axis = options.pop("axis", 0)
    if options.get("out") is not None or isinstance(options.get("where"), Batched):
        raise Unbatchable(f"{function.__name__} into an array")
    axes = tuple(range(len(a.levels), a.values.ndim)) if axis is None else shifted(axis, a.ndim, len(a.levels))
    return wrap(function(a.values, axis=axes, **options), a.levels)
