"""Making tensors: from data, and of a value."""

from __future__ import annotations

import builtins
from collections.abc import Callable
from functools import reduce
from typing import Any

import numpy as np

from .. import devices, dtypes
from ..registry import composite
from ..tensors.tensor import Tensor, add_method


def finished(array: Any, requires_grad: builtins.bool = False, device: Any = None) -> Tensor:
    """A new tensor over *array*, with the options that every function here takes."""
    if device is not None:
        devices.device(device)
    made = Tensor._wrap(array)
    return made.requires_grad_() if requires_grad else made


def numpy_dtype(dtype: Any) -> np.dtype[Any]:
    """The NumPy dtype of *dtype*, by default of the default floating type."""
    return (dtypes.get_default_dtype() if dtype is None else dtypes.as_dtype(dtype)).numpy


def sizes_of(size: tuple[Any, ...]) -> tuple[int, ...]:
    """The shape that the arguments *size* say, one by one or as one sequence."""
    if len(size) == 1 and isinstance(size[0], (tuple, list)):
        size = tuple(size[0])
    shape = tuple(int(n) for n in size)
    if any(n < 0 for n in shape):
        raise RuntimeError(f"Trying to create tensor with negative dimension {min(shape)}: {list(shape)}")
    return shape


def _untensored(data: Any) -> Any:
    """*data* with the tensors in its nested lists as NumPy values."""
    if isinstance(data, Tensor):
        return data._array
    if isinstance(data, (list, tuple)):
        return [_untensored(item) for item in data]
    return data


def _array_from(data: Any, dtype: Any) -> np.ndarray[Any, Any]:
    """A new array of *data*, with PyTorch's choice of type where *dtype* is None."""
    if isinstance(data, Tensor):
        data = data._array
    if isinstance(data, (np.ndarray, np.generic)):
        target = dtypes.from_numpy_dtype(data.dtype) if dtype is None else dtypes.as_dtype(dtype)
        return np.array(data, dtype=target.numpy)
    try:
        array = np.array(_untensored(data))
    except ValueError:
        raise ValueError("expected sequences of equal length at every depth: the nested lists are ragged") from None
    if array.dtype.kind in "OUS":
        array = _of_large_integers(data, array)
    if dtype is not None:
        return _converted(array, dtypes.as_dtype(dtype))
    return _converted(array, _inferred(data, array))


def _converted(array: Any, target: dtypes.dtype) -> Any:
    """*array* as *target*; RuntimeError where a whole number does not fit into that type."""
    if target.category == dtypes.INTEGER and array.dtype.kind in "iu" and array.size:
        limits = np.iinfo(target.numpy)
        if target is dtypes.uint64 and array.min() < 0:
            raise OverflowError(f"can't convert negative int to unsigned: found {array.min()}")
        least = limits.min if limits.min else -int(limits.max)  # what fits after one turn round, as in PyTorch
        if not least <= array.min() <= array.max() <= limits.max:
            if target is dtypes.int64:
                raise ValueError(f"Overflow when unpacking long long: {array.max()} does not fit into 64 bits")
            raise RuntimeError(f"value cannot be converted to type {target.name} without overflow: found {array.max()}")
    with np.errstate(all="ignore"):
        return array.astype(target.numpy, copy=False)


def _of_large_integers(data: Any, array: Any) -> Any:
    kind = "str" if array.dtype.kind in "US" else type(array.flat[0]).__name__ if array.size else "object"
    if kind == "int":
        raise ValueError("Overflow when unpacking long long: an integer does not fit into 64 bits")
    if kind == "NoneType":
        raise RuntimeError("Could not infer dtype of NoneType: a tensor is made of numbers and bools")
    raise TypeError(f"new(): invalid data type '{kind}': a tensor is made of numbers and bools")


def _promoted(data: Any) -> dtypes.dtype:
    """The type that the tensors and numbers in nested lists promote to."""
    if isinstance(data, (list, tuple)):
        return reduce(dtypes.promote_types, map(_promoted, data))
    if isinstance(data, Tensor):
        return data.dtype
    return _inferred(data, np.asarray(data))


def _inferred(data: Any, array: np.ndarray[Any, Any]) -> dtypes.dtype:
    """Python numbers give int64, the default floating type and its complex twin; NumPy values keep theirs."""
    first = data
    while isinstance(first, (list, tuple)) and first:
        first = first[0]
    if isinstance(data, (list, tuple)) and isinstance(first, Tensor):
        return _promoted(data)
    if isinstance(first, (np.ndarray, np.generic, Tensor)):
        return dtypes.from_numpy_dtype(array.dtype)
    if not array.size and array.dtype.kind == "f":
        return dtypes.get_default_dtype()
    categories = {
        "b": dtypes.BOOL,
        "i": dtypes.INTEGER,
        "u": dtypes.INTEGER,
        "f": dtypes.FLOATING,
        "c": dtypes.COMPLEX,
    }
    return dtypes.default_of_category(categories[array.dtype.kind])


def tensor(
    data: Any,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: builtins.bool = False,
    pin_memory: builtins.bool = False,
) -> Tensor:
    """A new tensor of *data*: numbers, nested lists, arrays or tensors, always copied.

    Python integers give int64, floats the default type (float32); *dtype* overrides. TypeError for strings and
    other objects, ValueError for ragged lists.

    >>> import allgrad as torch
    >>> torch.tensor([[1, 2], [3, 4]])
    tensor([[1, 2],
            [3, 4]])
    """
    return finished(_array_from(data, dtype), requires_grad, device)


def as_tensor(data: Any, dtype: Any = None, device: Any = None) -> Tensor:
    """*data* as a tensor: itself if it is one of the wanted type, over the same memory if it is a NumPy array."""
    if isinstance(data, Tensor):
        return data if dtype is None else data.to(dtype)
    if isinstance(data, np.ndarray) and (dtype is None or dtypes.as_dtype(dtype).numpy == data.dtype):
        return from_numpy(data)
    return tensor(data, dtype=dtype, device=device)


asarray = as_tensor


def from_numpy(ndarray: np.ndarray[Any, Any]) -> Tensor:
    """A tensor over the memory of *ndarray*, whatever its layout: a change of one is seen in the other.

    >>> import numpy as np, allgrad as torch
    >>> a = np.zeros(2); t = torch.from_numpy(a[::-1]); a[0] = 1; t
    tensor([0., 1.], dtype=torch.float64)
    """
    if not isinstance(ndarray, np.ndarray):
        raise TypeError(f"expected np.ndarray (got {type(ndarray).__name__})")
    kind = dtypes.from_numpy_dtype(ndarray.dtype)
    return Tensor._wrap(ndarray if ndarray.dtype == kind.numpy else ndarray.astype(kind.numpy))


def from_dlpack(ext_tensor: Any, *, device: Any = None, copy: builtins.bool | None = None) -> Tensor:
    """A tensor over the memory of any object with ``__dlpack__``, whatever its layout; over a copy if *copy*.

    >>> import numpy as np, allgrad as torch
    >>> torch.from_dlpack(np.arange(6)[::-2])
    tensor([5, 3, 1])
    """
    if device is not None:
        devices.device(device)
    if isinstance(ext_tensor, Tensor):
        ext_tensor = ext_tensor.detach()
    if not hasattr(ext_tensor, "__dlpack__"):
        raise AttributeError(f"from_dlpack wants an object with __dlpack__, found {type(ext_tensor).__name__}")
    return from_numpy(np.from_dlpack(ext_tensor, copy=copy))


def scalar_tensor(s: Any, *, dtype: Any = None, device: Any = None, requires_grad: builtins.bool = False) -> Tensor:
    """The 0-d tensor of the number *s*, of the default floating type."""
    return finished(np.asarray(s, dtype=numpy_dtype(dtype)), requires_grad, device)


@composite(out=True, method=False)
def full(
    size: Any, fill_value: Any, *, dtype: Any = None, device: Any = None, requires_grad: builtins.bool = False
) -> Tensor:
    """A tensor of shape *size* full of *fill_value*, whose type decides unless *dtype* is given."""
    value = fill_value.item() if isinstance(fill_value, Tensor) else fill_value
    kind = dtypes.default_of_category(dtypes.category_of_scalar(value)) if dtype is None else dtypes.as_dtype(dtype)
    return finished(np.full(sizes_of((size,)), value, dtype=kind.numpy), requires_grad, device)


def _filler(name: str, make: Callable[..., Any], what: str) -> Callable[..., Tensor]:
    def create(
        *size: Any,
        dtype: Any = None,
        device: Any = None,
        requires_grad: builtins.bool = False,
        **options: Any,
    ) -> Tensor:
        shape = sizes_of((options.pop("size"),) if "size" in options else size)
        for ignored in ("pin_memory", "layout", "memory_format"):
            options.pop(ignored, None)
        if options:
            raise TypeError(f"{name}() got an unexpected keyword argument {next(iter(options))!r}")
        return finished(make(shape, dtype=numpy_dtype(dtype)), requires_grad, device)

    create.__name__ = create.__qualname__ = name
    create.__doc__ = (
        f"A tensor of {what} of the given shape, of the default floating type unless *dtype* says otherwise."
    )
    return composite(out=True, method=False)(create)


zeros = _filler("zeros", np.zeros, "zeros")
ones = _filler("ones", np.ones, "ones")
empty = _filler("empty", np.empty, "uninitialised elements")


def _like(input: Tensor, array_of: Callable[..., Any], dtype: Any, requires_grad: builtins.bool, device: Any) -> Tensor:
    kind = input.dtype if dtype is None else dtypes.as_dtype(dtype)
    return finished(array_of(input._array.shape, dtype=kind.numpy), requires_grad, device)


@composite(method=False)
def zeros_like(
    input: Tensor,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: builtins.bool = False,
    memory_format: Any = None,
) -> Tensor:
    """Zeros of the shape and type of input."""
    return _like(input, np.zeros, dtype, requires_grad, device)


@composite(method=False)
def ones_like(
    input: Tensor,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: builtins.bool = False,
    memory_format: Any = None,
) -> Tensor:
    """Ones of the shape and type of input."""
    return _like(input, np.ones, dtype, requires_grad, device)


@composite(method=False)
def empty_like(
    input: Tensor,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: builtins.bool = False,
    memory_format: Any = None,
) -> Tensor:
    """Uninitialised elements of the shape and type of input."""
    return _like(input, np.empty, dtype, requires_grad, device)


@composite(method=False)
def full_like(
    input: Tensor,
    fill_value: Any,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: builtins.bool = False,
) -> Tensor:
    """Elements equal to *fill_value*, of the shape and type of input."""
    return _like(input, lambda shape, dtype: np.full(shape, fill_value, dtype=dtype), dtype, requires_grad, device)


def _new(name: str, function: Callable[..., Tensor]) -> None:
    def method(self: Tensor, *size: Any, **options: Any) -> Tensor:
        options.setdefault("dtype", self.dtype)
        return function(*size, **options)

    method.__name__ = name
    method.__doc__ = f"Like ``{name.removeprefix('new_')}``, of this tensor's type unless *dtype* is given."
    add_method(name, method)


def empty_strided(
    size: Any, stride: Any, *, dtype: Any = None, device: Any = None, requires_grad: builtins.bool = False
) -> Tensor:
    """Uninitialised elements of shape *size* whose neighbours lie *stride* elements apart in memory."""
    shape, steps = sizes_of((size,)), tuple(int(n) for n in stride)
    if len(shape) != len(steps):
        raise RuntimeError(f"mismatch in length of strides and shape: size {list(shape)}, stride {list(steps)}")
    kind = numpy_dtype(dtype)
    span = 1 + sum((n - 1) * step for n, step in zip(shape, steps, strict=True)) if 0 not in shape else 0
    array = np.ndarray(shape, kind, np.empty(span, kind), strides=[step * kind.itemsize for step in steps])
    return finished(array, requires_grad, device)


_new("new_zeros", zeros)
_new("new_ones", ones)
_new("new_empty", empty)
_new("new_full", full)
_new("new_tensor", tensor)
_new("new_empty_strided", empty_strided)


def frombuffer(
    buffer: Any, *, dtype: Any, count: int = -1, offset: int = 0, requires_grad: builtins.bool = False
) -> Tensor:
    """A vector over the memory of *buffer*, such as a bytearray: *count* elements of *dtype* from byte *offset* on.

    ValueError for a buffer that is too small or whose size does not fit.

    >>> import allgrad as torch
    >>> torch.frombuffer(bytearray(b"\x01\x02"), dtype=torch.uint8)
    tensor([1, 2], dtype=torch.uint8)
    """
    if count == 0 or len(memoryview(buffer).cast("B")) == 0:
        raise ValueError(f"both buffer length and count must not be 0, found {len(memoryview(buffer))} and {count}")
    return finished(np.frombuffer(buffer, dtypes.as_dtype(dtype).numpy, count, offset), requires_grad)
