"""NumPy's dispatch protocols: ``np.exp(t)``, ``ndarray * t`` and ``np.where(...)`` become recorded operations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .tensor import Tensor, add_method

UFUNCS: dict[Any, Callable[..., Any]] = {}
FUNCTIONS: dict[Any, Callable[..., Any]] = {}


def _array_ufunc(self: Tensor, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
    """What a NumPy ufunc does with tensors: the operation of its name; TypeError where there is none."""
    operation = UFUNCS.get(ufunc)
    if operation is None or method != "__call__" or options:
        detail = f" with {', '.join(options)}" if options else ""
        raise TypeError(
            f"np.{ufunc.__name__}{'' if method == '__call__' else '.' + method}{detail} has no differentiable counterpart "
            "for Tensors: use the function of allgrad, or .detach().numpy() first"
        )
    return operation(*(_as_tensor(x) for x in inputs))


def _array_function(self: Tensor, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
    """What another NumPy function does with tensors: the counterpart that is registered, or TypeError."""
    counterpart = FUNCTIONS.get(function)
    if counterpart is None:
        raise TypeError(
            f"np.{function.__name__} has no differentiable counterpart for Tensors: use the function of allgrad, or "
            ".detach().numpy() first"
        )
    return counterpart(*args, **kwargs)


def _as_tensor(value: Any) -> Any:
    return Tensor._wrap(value) if isinstance(value, np.ndarray) else value


add_method("__array_ufunc__", _array_ufunc)
add_method("__array_function__", _array_function)
