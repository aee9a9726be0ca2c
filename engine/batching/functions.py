"""NumPy's functions on batches, by what they do with dimensions; any other runs row by row."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from . import products, shapes
from .array import Batched, Unbatchable, aligned, levels_of, lowered, sizes_of, wrap
from .rows import by_rows
from .ufuncs import NotVmapped

Implementation = Callable[..., Any]

FUNCTIONS: dict[Any, Implementation] = {}
METHODS: dict[str, Callable[..., Any]] = {}


def apply(function: Any, args: Any, kwargs: Any) -> Any:
    """``function(*args, **kwargs)`` of NumPy, for every example."""
    implementation = FUNCTIONS.get(function)
    if implementation is not None:
        try:
            return implementation(*args, **kwargs)
        except Unbatchable:
            pass
    if kwargs.get("out") is not None:
        raise Unbatchable(f"np.{function.__name__} into an array")
    return by_rows(function, args, kwargs, f"np.{function.__name__}")


def shifted(axis: Any, ndim: int, by: int) -> Any:
    """*axis* of an example (a number, or several in a tuple) as that of a batch with *by* dimensions in front."""
    if not ndim and axis in (0, -1):
        return ()
    if isinstance(axis, (tuple, list)):
        return tuple(shifted(d, ndim, by) for d in axis)
    number = operator.index(axis)
    if not -ndim <= number < ndim:
        raise np.exceptions.AxisError(number, ndim)
    return number % ndim + by


def _first(a: Any, others: Any, named: Any) -> Batched:
    """*a*, the only batch among the arguments; Unbatchable where it is not."""
    if not isinstance(a, Batched) or levels_of([others, named]) or named.get("out") is not None:
        raise Unbatchable("more than the first argument is a batch")
    return a


def _wrapped(result: Any, levels: tuple[int, ...]) -> Any:
    if isinstance(result, (tuple, list)):
        made = [wrap(r, levels) for r in result]
        return type(result)(*made) if hasattr(result, "_fields") else type(result)(made)
    return wrap(result, levels)


def _elementwise(function: Any) -> Implementation:
    """A function that broadcasts its operands."""

    def batched(*args: Any, **named: Any) -> Any:
        if named.get("out") is not None or (function is np.where and len(args) != 3):
            raise Unbatchable(f"np.{function.__name__} in this form")
        values, levels = aligned((*args, *named.values()))
        return wrap(function(*values[: len(args)], **dict(zip(named, values[len(args) :], strict=True))), levels)

    return batched


def _reduction(function: Any) -> Implementation:
    """A function that takes an axis second, or several, and all of them by default."""

    def batched(a: Any, axis: Any = None, *others: Any, out: Any = None, **named: Any) -> Any:
        a = _first(a, others, named)
        k = len(a.levels)
        axes = tuple(range(k, a.values.ndim)) if axis is None else shifted(axis, a.ndim, k)
        if out is not None:
            out[...] = wrap(function(a.values, axes, *others, **named), a.levels)
            return out
        return wrap(function(a.values, axes, *lowered(others), **named), a.levels)

    return batched


def _along(function: Any, position: int, default: int | None) -> Implementation:
    """A function whose argument at *position* is one axis; *default* None: of the array made flat."""

    def batched(a: Any, *others: Any, **named: Any) -> Any:
        a = _first(a, others, named)
        passed = list(lowered(others))
        positional = len(passed) >= position
        axis = passed[position - 1] if positional else named.pop("axis", default)
        if axis is None:
            if named.get("keepdims"):
                raise Unbatchable(f"np.{function.__name__} of all dimensions, kept")
            a, axis = np.reshape(a, -1), 0
        if not a.ndim:
            raise Unbatchable(f"np.{function.__name__} of numbers")
        place = shifted(axis, a.ndim, len(a.levels))
        if positional:
            passed[position - 1] = place
        else:
            named["axis"] = place
        return _wrapped(function(a.values, *passed, **named), a.levels)

    return batched


def _across(function: Any, position: int, count: int = 0) -> Implementation:
    """A function whose argument at *position* names several axes, all by default (the last *count*, if not 0)."""

    def batched(a: Any, *others: Any, **named: Any) -> Any:
        a = _first(a, others, named)
        passed, k = list(others), len(a.levels)
        axes = passed.pop(position - 1) if len(passed) >= position else named.pop("axes", named.pop("axis", None))
        if axes is None:
            axes = range(a.ndim)[-count:] if count else range(a.ndim)
        axes = (axes,) if isinstance(axes, int) else tuple(axes)
        name = "axis" if function is np.flip else "axes"
        return wrap(function(a.values, *passed, **{name: shifted(axes, a.ndim, k)}, **named), a.levels)

    return batched


def _fourier(function: Any) -> Implementation:
    """A transform along several axes: those of *s*, or all, by default."""

    def batched(a: Any, s: Any = None, axes: Any = None, norm: Any = None, **named: Any) -> Any:
        a = _first(a, (), named)
        last = range(a.ndim) if s is None else range(a.ndim)[-len(s) :]
        places = shifted(tuple(last if axes is None else axes), a.ndim, len(a.levels))
        return wrap(function(a.values, s, places, norm), a.levels)

    return batched


def _of_matrices(function: Any) -> Implementation:
    """A function of the last two dimensions that takes stacks of them."""

    def batched(a: Any, *others: Any, **named: Any) -> Any:
        a = _first(a, others, named)
        if a.ndim < 2:
            raise Unbatchable(f"np.{function.__name__} of less than a matrix")
        return _wrapped(function(a.values, *others, **named), a.levels)

    return batched


def solve(a: Any, b: Any) -> Any:
    """``np.linalg.solve(a, b)`` for every example."""
    if np.ndim(b) == 1:
        return np.squeeze(solve(a, np.expand_dims(b, -1)), -1)
    values, levels = aligned((a, b))
    return wrap(np.linalg.solve(*values), levels)


def copyto(dst: Any, src: Any, casting: Any = "same_kind", where: Any = True) -> None:
    """``np.copyto(dst, src)`` for every example; NotVmapped if only *src* has examples."""
    if not isinstance(dst, Batched) or not dst.widen(sizes_of([src, where])):
        raise NotVmapped
    values, _ = aligned((dst, src, where))
    np.copyto(dst.values, values[1], casting, values[2])


def _like(function: Any) -> Implementation:
    def batched(a: Any, *others: Any, shape: Any = None, **named: Any) -> Any:
        a = _first(a, others, named)
        front = a.values.shape[: len(a.levels)]
        wanted = a.shape if shape is None else (shape,) if isinstance(shape, int) else tuple(shape)
        return Batched(function(a.values, *others, shape=(*front, *wanted), **named), a.levels)

    return batched


def _asked(function: Any) -> Implementation:
    """A question that has the same answer for every example, as it is about types, not values."""
    return lambda *args, **named: function(*(a.values if isinstance(a, Batched) else a for a in args), **named)


def _several(functions: Sequence[Any], kind: Callable[..., Implementation], *options: Any) -> None:
    for function in functions:
        FUNCTIONS[function] = kind(function, *options)


_several(
    (np.where, np.real, np.imag, np.angle, np.clip, np.round, np.around, np.nan_to_num, np.isclose, np.sinc, np.i0,
     np.isreal, np.iscomplex, np.isneginf, np.isposinf, np.copy),
    _elementwise,
)  # fmt: skip
_several(
    (np.sum, np.prod, np.max, np.min, np.amax, np.amin, np.mean, np.var, np.std, np.any, np.all, np.count_nonzero,
     np.nansum, np.nanprod, np.nanmax, np.nanmin, np.nanmean, np.nanvar, np.nanstd, np.median, np.nanmedian, np.ptp),
    _reduction,
)  # fmt: skip
_several((np.argmax, np.argmin, np.nanargmax, np.nanargmin, np.cumsum, np.cumprod), _along, 1, None)
_several((np.sort, np.argsort), _along, 1, -1)
_several((np.partition, np.argpartition, np.diff), _along, 2, -1)
_several((np.repeat,), _along, 2, None)
_several((np.array_split, np.split), _along, 2, 0)
_several((np.quantile, np.percentile, np.nanquantile), _along, 2, None)
_several((np.delete, np.insert), _along, 2, None)
_several((np.fft.fft, np.fft.ifft, np.fft.rfft, np.fft.irfft, np.fft.hfft, np.fft.ihfft), _along, 2, -1)
_several((np.fft.fftn, np.fft.ifftn, np.fft.rfftn, np.fft.irfftn), _fourier)
_several((np.fft.fftshift, np.fft.ifftshift, np.flip), _across, 1)
_several((np.tril, np.triu, np.linalg.inv, np.linalg.det, np.linalg.slogdet, np.linalg.cholesky, np.linalg.qr,
          np.linalg.svd, np.linalg.eig, np.linalg.eigh, np.linalg.eigvals, np.linalg.eigvalsh, np.linalg.pinv,
          np.linalg.matrix_rank, np.linalg.matrix_power), _of_matrices)  # fmt: skip
_several((np.zeros_like, np.ones_like, np.empty_like, np.full_like), _like)
_several((np.result_type, np.iscomplexobj, np.isrealobj, np.can_cast, np.may_share_memory, np.shares_memory), _asked)

FUNCTIONS |= {
    np.copyto: copyto, np.linalg.solve: solve,
    np.dot: products.dot, np.vdot: products.vdot, np.outer: products.outer, np.tensordot: products.tensordot,
    np.einsum: products.einsum, np.cross: products.cross,
    np.shape: lambda a: a.shape, np.ndim: lambda a: a.ndim,
    np.size: lambda a, axis=None: a.size if axis is None else a.shape[axis],
    **shapes.FUNCTIONS,
}  # fmt: skip

METHODS |= {
    name: getattr(np, name)
    for name in ("all", "any", "argmax", "argmin", "argsort", "clip", "conjugate", "cumprod", "cumsum", "diagonal",
                 "dot", "max", "mean", "min", "nonzero", "prod", "ravel", "repeat", "round", "squeeze", "std", "sum",
                 "swapaxes", "take", "trace", "var")
}  # fmt: skip
METHODS |= {"conj": np.conjugate, "flatten": lambda a: np.copy(np.ravel(a))}
