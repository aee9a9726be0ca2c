"""What the array API standard lets a program ask: types and their limits, promotion, devices, defaults."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .. import devices, dtypes
from ..tensors.tensor import Tensor

_KINDS = {
    "bool": "b",
    "signed integer": "i",
    "unsigned integer": "u",
    "integral": "iu",
    "real floating": "f",
    "complex floating": "c",
    "numeric": "iufc",
}
_STANDARD = tuple(d for d in dtypes.DTYPES if d.name not in ("float16", "bfloat16"))


class FloatLimits(NamedTuple):
    """The limits of a floating-point type, or of the parts of a complex one."""

    bits: int
    eps: float
    max: float
    min: float
    smallest_normal: float
    dtype: dtypes.dtype


class IntegerLimits(NamedTuple):
    """The limits of a type of whole numbers."""

    bits: int
    max: int
    min: int
    dtype: dtypes.dtype


def _dtype_of(type: Any) -> dtypes.dtype:
    return type.dtype if isinstance(type, Tensor) else dtypes.as_dtype(type)


def finfo(type: Any, /) -> FloatLimits:
    """The limits of a floating-point type, or that of a tensor."""
    d = _dtype_of(type)
    limits = dtypes.finfo(dtypes.REAL_OF.get(d, d))
    return FloatLimits(
        limits.bits, limits.eps, limits.max, limits.min, limits.smallest_normal, dtypes.REAL_OF.get(d, d)
    )


def iinfo(type: Any, /) -> IntegerLimits:
    """The limits of a type of whole numbers, or that of a tensor."""
    d = _dtype_of(type)
    limits = dtypes.iinfo(d)
    return IntegerLimits(limits.bits, limits.max, limits.min, d)


def isdtype(dtype: dtypes.dtype, kind: Any) -> bool:
    """Whether *dtype* is *kind*: a type, one of the standard's names of kinds, or any of a tuple of them.

    >>> from allgrad import array_api as xp
    >>> xp.isdtype(xp.float32, ("integral", "real floating"))
    True
    """
    if isinstance(kind, tuple):
        return any(isdtype(dtype, one) for one in kind)
    if not isinstance(kind, str):
        return dtype is dtypes.as_dtype(kind)
    if kind not in _KINDS:
        raise ValueError(f"isdtype: kind must be a dtype or one of {', '.join(_KINDS)}, found {kind!r}")
    return dtype.numpy.kind in _KINDS[kind]


def can_cast(from_: Any, to: dtypes.dtype, /) -> bool:
    """Whether the type *from_*, or that of a tensor, becomes *to* by promotion."""
    return np.can_cast(_dtype_of(from_).numpy, dtypes.as_dtype(to).numpy)


def result_type(*arrays_and_dtypes: Any) -> dtypes.dtype:
    """The type that arithmetic on tensors, types and Python numbers has."""
    operands = [a if isinstance(a, (bool, int, float, complex)) else _dtype_of(a).numpy for a in arrays_and_dtypes]
    return dtypes.from_numpy_dtype(np.result_type(*operands))


def astype(x: Tensor, dtype: dtypes.dtype, /, *, copy: bool = True, device: Any = None) -> Tensor:
    """*x* as *dtype*; a copy even where it has that type, unless *copy* is False."""
    if device is not None:
        devices.device(device)
    converted: Tensor = x.to(dtype, copy=copy)
    return converted


class NamespaceInfo:
    """What ``__array_namespace_info__`` tells: capabilities, devices, types."""

    def capabilities(self) -> dict[str, Any]:
        """What the standard leaves open: masks as indices and shapes that depend on data work; 64 dimensions at most."""
        return {"boolean indexing": True, "data-dependent shapes": True, "max dimensions": 64}

    def default_device(self) -> devices.device:
        """The CPU."""
        return devices.CPU

    def default_dtypes(self, *, device: Any = None) -> dict[str, dtypes.dtype]:
        """The types of new arrays where none is given."""
        return {
            "real floating": dtypes.get_default_dtype(),
            "complex floating": dtypes.default_complex(),
            "integral": dtypes.int64,
            "indexing": dtypes.int64,
        }

    def devices(self) -> list[devices.device]:
        """The CPU alone."""
        return [devices.CPU]

    def dtypes(self, *, device: Any = None, kind: Any = None) -> dict[str, dtypes.dtype]:
        """The standard's types, or those of *kind*, by name."""
        return {d.name: d for d in _STANDARD if kind is None or isdtype(d, kind)}


def __array_namespace_info__() -> NamespaceInfo:  # noqa: N807 -- the standard's name
    """What this implementation of the standard offers."""
    return NamespaceInfo()
