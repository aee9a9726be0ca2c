"""Functions of the Python array API standard made of NumPy's, which follow it: on tensors, with gradients where they record."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import dtypes
from ..devices import device
from ..tape.mode import mode
from ..tensors.tensor import Tensor

Function = Callable[..., Any]


def lifted(function: Function, listed: bool = False) -> Function:
    """NumPy's *function* of tensors, under its own name.

    Where operations are recorded, the counterpart that ``__array_function__`` finds runs, and gradients flow;
    elsewhere NumPy's own on the arrays, so that the results have exactly the standard's types. *listed*: several
    results come in a list.
    """

    def call(*args: Any, **kwargs: Any) -> Any:
        as_numpy = _same if mode.enabled and _records((args, kwargs)) else _array
        with np.errstate(all="ignore"):
            result = _tensor(function(*_mapped(args, as_numpy), **_mapped(kwargs, as_numpy)))
        return list(result) if listed else result

    call.__name__ = call.__qualname__ = function.__name__
    call.__module__ = "allgrad.array_api"
    call.__wrapped__ = function  # type: ignore[attr-defined] # inspect.signature follows it
    call.__doc__ = f"``{function.__name__}`` of the Python array API standard, on tensors."
    return call


def _records(value: Any) -> bool:
    if isinstance(value, dict):
        return _records(tuple(value.values()))
    if isinstance(value, (list, tuple)):
        return any(map(_records, value))
    return isinstance(value, Tensor) and value.requires_grad


def _mapped(value: Any, leaf: Function) -> Any:
    if isinstance(value, dict):
        return {key: _mapped(part, leaf) for key, part in value.items()}
    return type(value)(_mapped(part, leaf) for part in value) if type(value) in (list, tuple) else leaf(value)


def _array(value: Any) -> Any:
    return value._array if isinstance(value, Tensor) else _same(value)


def _same(value: Any) -> Any:
    if isinstance(value, dtypes.dtype):
        return value.numpy
    return "cpu" if isinstance(value, device) else value


def _tensor(value: Any) -> Any:
    """*value*, which NumPy or a counterpart returned, with tensors for arrays and NumPy's numbers."""
    if isinstance(value, (np.ndarray, np.generic)):
        return Tensor._wrap(np.asarray(value))
    if isinstance(value, tuple):
        parts = tuple(map(_tensor, value))
        return type(value)(*parts) if hasattr(value, "_fields") else parts
    return tuple(map(_tensor, value)) if isinstance(value, list) else value
