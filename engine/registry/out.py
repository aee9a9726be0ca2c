"""``out=``: the result of an operation is written into tensors that the caller brings, resized where they do not fit."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from inspect import CO_VARARGS
from typing import Any

import numpy as np

from .. import dtypes
from ..tape.mode import mode
from ..tape.provenance import INTERNAL_PACKAGES, caller
from ..tensors.tensor import Tensor
from .inplace import title
from .operation import Operation

Compute = Callable[[Operation, tuple[Any, ...]], Any]


def call_declared(op: Operation, values: tuple[Any, ...]) -> Any:
    """The function that composite *op* was declared with, called with *values*.

    They are one for each of its parameters or, where it takes any number, its positional arguments and its keywords.
    """
    if op.declared.__code__.co_flags & CO_VARARGS:
        return op.declared(*values[0], **values[1])
    named = dict(zip(op.parameters[op.positional :], values[op.positional :], strict=True))
    return op.declared(*values[: op.positional], **named)


def call_into(compute: Compute, op: Operation, values: tuple[Any, ...], out: Any, surplus: Any) -> Any:
    """*out* with the result of ``compute(op, values)`` in it; *surplus* is an argument too many, or None."""
    if surplus is not None:
        count = op.positional
        raise TypeError(f"{op.shown_name}() takes {count} positional arguments but {count + 1} or more were given")
    if out is None:
        return compute(op, values)
    targets = out if isinstance(out, (tuple, list)) else (out,)
    for target in targets:
        if not isinstance(target, Tensor):
            found = type(target).__name__
            raise TypeError(f"{op.shown_name}(): argument 'out' must be Tensor or a tuple of them, not {found}")
    if mode.enabled and any(_require_grad(v) for v in (*values, *targets)):
        raise RuntimeError(
            f"{op.shown_name}(): functions with out=... arguments don't support automatic differentiation, but one of "
            "the arguments requires grad: leave out= away, or compute inside torch.no_grad()"
        )
    result = compute(op, _with_type_of(op, values, targets[0].dtype))
    results = result if isinstance(result, (tuple, list)) else (result,)
    if len(results) != len(targets):
        raise TypeError(
            f"{op.shown_name}(): argument 'out' must be a tuple of {len(results)} Tensors, found {len(targets)}"
        )
    for target, made in zip(targets, results, strict=True):
        _write(op.shown_name, target, made)
    if not isinstance(result, (tuple, list)):
        return targets[0]
    return type(result)(*targets) if hasattr(result, "_fields") else type(result)(targets)


def _with_type_of(op: Operation, values: tuple[Any, ...], dtype: dtypes.dtype) -> tuple[Any, ...]:
    """*values* with *dtype* where *op* takes one and none was given: sums and ranges are made in the type of ``out``.

    But not where that would cut complex operands to their real parts: the norm of complex numbers is real by itself.
    """
    operands = values[0] if len(values) == 2 and isinstance(values[0], tuple) else values
    if not dtype.is_complex and any(isinstance(v, Tensor) and v.is_complex() for v in operands):
        return values
    if op.declared.__code__.co_flags & CO_VARARGS:
        known = "dtype" in op.parameters and values[1].get("dtype") is None
        return (values[0], values[1] | {"dtype": dtype}) if known else values
    return tuple(dtype if p == "dtype" and v is None else v for p, v in zip(op.parameters, values, strict=True))


def _require_grad(value: Any) -> bool:
    if isinstance(value, dict):
        value = tuple(value.values())
    if isinstance(value, (list, tuple)):
        return any(map(_require_grad, value))
    return isinstance(value, Tensor) and value.requires_grad


def _write(name: str, target: Tensor, made: Tensor) -> None:
    if not dtypes.can_cast(made.dtype, target.dtype):
        raise RuntimeError(
            f"result type {title(made.dtype)} can't be cast to the desired output type {title(target.dtype)}, in the "
            f"out= of {name}(): bring a tensor of {made.dtype}"
        )
    if target._array.shape != made._array.shape:
        _resize(target, made._array.shape)
    elif not target._array.flags.writeable:
        raise RuntimeError(
            f"unsupported operation: the out= of {name}() is over read-only memory, or more than one element of it "
            "refers to a single memory location. Please clone() the tensor before performing the operation."
        )
    if made._array is not target._array:
        np.copyto(target._array, made._array, casting="unsafe")
    target._counter_or_new().bump(caller())


def _resize(target: Tensor, shape: tuple[int, ...]) -> None:
    if target._array.size:
        warnings.warn(
            f"An output with one or more elements was resized since it had shape {list(target._array.shape)}, which does "
            f"not match the required output shape {list(shape)}. This behavior is deprecated, and in a future PyTorch "
            "release outputs will not be resized unless they have zero elements. You can explicitly reuse an out tensor "
            "t by resizing it, inplace, to zero elements with t.resize_(0).",
            UserWarning,
            stacklevel=_distance_to_user(),
        )
    target._array = np.empty(shape, target._array.dtype)


def _distance_to_user() -> int:
    """The *stacklevel* with which a warning by the caller of this function names the user's line."""
    frame, distance = sys._getframe(1), 1
    while frame.f_back is not None and frame.f_globals.get("__package__") in INTERNAL_PACKAGES:
        frame, distance = frame.f_back, distance + 1
    return distance
