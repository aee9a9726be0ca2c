"""Making arrays as the array API standard has it; floating-point ones are of allgrad's default type."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import devices, dtypes
from ..operations import creation, ranges
from ..tensors.tensor import Tensor
from .lifting import lifted


def asarray(obj: Any, /, *, dtype: Any = None, device: Any = None, copy: bool | None = None) -> Tensor:
    """*obj* (a tensor, an array, numbers, nested sequences) as a tensor; over the same memory unless *copy*.

    ValueError if *copy* is False and a copy is needed.

    >>> from allgrad import array_api as xp
    >>> xp.asarray([1, 2], dtype=xp.float64)
    tensor([1., 2.], dtype=torch.float64)
    """
    _check(device)
    if isinstance(obj, Tensor):
        made = obj if dtype is None else obj.to(dtype)
    elif isinstance(obj, np.ndarray) or hasattr(obj, "__dlpack__") or hasattr(obj, "__buffer__"):
        array = np.asarray(obj, dtype=None if dtype is None else dtypes.as_dtype(dtype).numpy)
        made = creation.from_numpy(array)
    else:
        if copy is False:
            raise ValueError("asarray: copy=False, but numbers and sequences have no memory to share")
        return creation.tensor(obj, dtype=dtype)
    shares = np.may_share_memory(made._array, obj._array if isinstance(obj, Tensor) else np.asarray(obj))
    if copy is False and not shares:
        raise ValueError(f"asarray: copy=False, but a copy is needed to make {made.dtype} of the given object")
    return made.clone() if copy and shares else made


def from_dlpack(x: Any, /, *, device: Any = None, copy: bool | None = None) -> Tensor:
    """A tensor over the memory of *x*, any object with ``__dlpack__``; over a copy if *copy*."""
    _check(device)
    return creation.from_dlpack(x, copy=copy)


def empty(shape: Any, *, dtype: Any = None, device: Any = None) -> Tensor:
    """A tensor of *shape* that is not initialised."""
    return creation.empty(shape, dtype=dtype, device=device)


def zeros(shape: Any, *, dtype: Any = None, device: Any = None) -> Tensor:
    """A tensor of *shape* of zeros."""
    return creation.zeros(shape, dtype=dtype, device=device)


def ones(shape: Any, *, dtype: Any = None, device: Any = None) -> Tensor:
    """A tensor of *shape* of ones."""
    return creation.ones(shape, dtype=dtype, device=device)


def full(shape: Any, fill_value: Any, *, dtype: Any = None, device: Any = None) -> Tensor:
    """A tensor of *shape* full of *fill_value*."""
    made: Tensor = creation.full(shape, fill_value, dtype=dtype, device=device)
    return made


def arange(start: Any, /, stop: Any = None, step: Any = 1, *, dtype: Any = None, device: Any = None) -> Tensor:
    """The numbers from *start* (0 if there is no *stop*) up to, not including, *stop*, by *step*; none if that is behind."""
    start, stop = (0, start) if stop is None else (start, stop)
    if dtype is None and not all(isinstance(n, int) for n in (start, stop, step)):
        dtype = dtypes.get_default_dtype()
    if (stop - start) * step < 0:
        stop = start
    _check(device)
    kind = dtypes.int64 if dtype is None else dtypes.as_dtype(dtype)
    return Tensor._wrap(np.arange(start, stop, step, dtype=kind.numpy))


def linspace(
    start: Any, stop: Any, /, num: int, *, dtype: Any = None, device: Any = None, endpoint: bool = True
) -> Tensor:
    """*num* numbers evenly spaced from *start* to *stop*, which is the last if *endpoint*."""
    _check(device)
    if dtype is None:
        complexes = isinstance(start, complex) or isinstance(stop, complex)
        dtype = dtypes.default_complex() if complexes else dtypes.get_default_dtype()
    return Tensor._wrap(np.linspace(start, stop, num, dtype=dtypes.as_dtype(dtype).numpy, endpoint=endpoint))


def eye(n_rows: int, n_cols: int | None = None, /, *, k: int = 0, dtype: Any = None, device: Any = None) -> Tensor:
    """Ones on diagonal *k* of a matrix (n_rows, n_cols) of zeros."""
    if not k:
        square: Tensor = ranges.eye(n_rows, n_cols, dtype=dtype, device=device)
        return square
    _check(device)
    return Tensor._wrap(np.eye(n_rows, n_cols, k, dtype=creation.numpy_dtype(dtype)))


def _check(device: Any) -> None:
    if device is not None:
        devices.device(device)


empty_like = lifted(np.empty_like)
full_like = lifted(np.full_like)
meshgrid = lifted(np.meshgrid, listed=True)
ones_like = lifted(np.ones_like)
tril = lifted(np.tril)
triu = lifted(np.triu)
zeros_like = lifted(np.zeros_like)
