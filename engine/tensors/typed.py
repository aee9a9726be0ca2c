"""The older classes by type, such as FloatTensor: they make tensors, and tell which are of their type."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import dtypes
from .tensor import Tensor


class _Typed(type):
    """A class without instances of its own: those of its type are its instances."""

    dtype: dtypes.dtype

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, Tensor) and instance.dtype is cls.dtype

    def __call__(cls, *data: Any) -> Tensor:
        kind = cls.dtype.numpy
        if len(data) == 1 and isinstance(data[0], Tensor):
            if data[0].dtype is not cls.dtype:
                raise TypeError(f"expected {cls.__name__} (got {data[0].type()}): convert it with .to({cls.dtype})")
            return Tensor._wrap(data[0]._array)
        if len(data) == 1 and not isinstance(data[0], int):
            return Tensor._wrap(np.array(data[0], dtype=kind))
        return Tensor._wrap(np.empty(data or (0,), dtype=kind))


def _typed(name: str, kind: dtypes.dtype) -> Any:
    """Return the class *name*: called with nested lists or a size, as ``Tensor`` is, it gives a tensor of *kind*."""
    own = {"dtype": kind, "__doc__": f"Makes tensors of {kind}; tensors of that type are its instances."}
    return _Typed(name, (), own)


ByteTensor, CharTensor = _typed("ByteTensor", dtypes.uint8), _typed("CharTensor", dtypes.int8)
ShortTensor, IntTensor = _typed("ShortTensor", dtypes.int16), _typed("IntTensor", dtypes.int32)
LongTensor, BoolTensor = _typed("LongTensor", dtypes.int64), _typed("BoolTensor", dtypes.bool_)
HalfTensor, FloatTensor = _typed("HalfTensor", dtypes.float16), _typed("FloatTensor", dtypes.float32)
DoubleTensor, BFloat16Tensor = _typed("DoubleTensor", dtypes.float64), _typed("BFloat16Tensor", dtypes.bfloat16)
