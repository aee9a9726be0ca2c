"""NumPy's dispatch protocols: ``np.exp(t)``, ``ndarray * t`` and ``np.where(...)`` become recorded operations.

Where no operation answers for a function, NumPy's own runs on the arrays of tensors that record nothing, as it does for any
other array-like; tensors that record raise, so that no gradient is lost in silence.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..tape.mode import mode
from .tensor import Tensor, add_method

UFUNCS: dict[Any, Callable[..., Any]] = {}
FUNCTIONS: dict[Any, Callable[..., Any]] = {}


def _array_ufunc(self: Tensor, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
    """What a NumPy ufunc does with tensors: the operation of its name, or NumPy's own where nothing is recorded."""
    operation = UFUNCS.get(ufunc)
    if operation is not None and method == "__call__" and not options:
        return operation(*(_as_tensor(x) for x in inputs))
    name = f"{ufunc.__name__}{'' if method == '__call__' else '.' + method}"
    arrays = _arrays(name + (f" with {', '.join(options)}" if options else ""), (inputs, options))
    result = getattr(ufunc, method)(*arrays[0], **arrays[1])
    if "out" in options or not isinstance(result, (np.ndarray, np.generic)):
        return options["out"][0] if "out" in options and len(options["out"]) == 1 else result
    return Tensor._wrap(np.asarray(result))


def _array_function(self: Tensor, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
    """What another NumPy function does with tensors: its counterpart, or NumPy's own where nothing is recorded."""
    counterpart = FUNCTIONS.get(function)
    if counterpart is not None:
        return counterpart(*args, **kwargs)
    module = function.__module__.removeprefix("numpy").removeprefix(".")  # linalg, fft
    arrays, options = _arrays(f"{module}.{function.__name__}".removeprefix("."), (args, kwargs))
    return function(*arrays, **options)


def _arrays(name: str, value: Any) -> Any:
    """*value*, a structure of arguments of ``np.name``, with arrays for tensors; TypeError if one of them records."""
    if isinstance(value, Tensor):
        if mode.enabled and value.requires_grad:
            raise TypeError(
                f"np.{name} has no differentiable counterpart for Tensors that require grad: use the function of "
                "allgrad, or .detach() first"
            )
        return value._array
    if isinstance(value, (tuple, list)):
        return type(value)(_arrays(name, part) for part in value)
    return {key: _arrays(name, part) for key, part in value.items()} if isinstance(value, dict) else value


def _as_tensor(value: Any) -> Any:
    return Tensor._wrap(value) if isinstance(value, np.ndarray) else value


add_method("__array_ufunc__", _array_ufunc)
add_method("__array_function__", _array_function)
