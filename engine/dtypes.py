"""The element types of tensors, the default one, and PyTorch's rules for promoting them."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import Any, Final

import numpy as np

BOOL, INTEGER, FLOATING, COMPLEX = range(4)
_CATEGORY = {"b": BOOL, "u": INTEGER, "i": INTEGER, "f": FLOATING, "c": COMPLEX}


class dtype:  # noqa: N801 -- PyTorch's name
    """The element type of a tensor, such as ``allgrad.float32``; one object per type, compared with ``is``.

    Attributes: *name*, *numpy* (the NumPy dtype), *itemsize* in bytes, *is_floating_point*, *is_complex*,
    *is_signed*.
    """

    __slots__ = ("category", "is_complex", "is_floating_point", "is_signed", "itemsize", "name", "numpy")

    def __init__(self, name: str) -> None:
        self.name = name
        self.numpy = np.dtype(name)
        self.itemsize = self.numpy.itemsize
        self.category = _CATEGORY[self.numpy.kind]
        self.is_floating_point = self.category == FLOATING
        self.is_complex = self.category == COMPLEX
        self.is_signed = self.numpy.kind not in "bu"

    def __repr__(self) -> str:
        return f"torch.{self.name}"  # the import convention is: import allgrad as torch

    def __reduce__(self) -> tuple[Any, ...]:
        return _by_name, (self.name,)


bool_ = dtype("bool")
uint8 = dtype("uint8")
uint16 = dtype("uint16")
uint32 = dtype("uint32")
uint64 = dtype("uint64")
int8 = dtype("int8")
int16 = dtype("int16")
int32 = dtype("int32")
int64 = dtype("int64")
float16 = dtype("float16")
float32 = dtype("float32")
float64 = dtype("float64")
complex64 = dtype("complex64")
complex128 = dtype("complex128")


class _BrainFloat(dtype):
    """``allgrad.bfloat16``, whose NumPy dtype is the one of ml_dtypes, an extra loaded on first use."""

    __slots__ = ()

    def __init__(self) -> None:
        self.name, self.itemsize, self.category = "bfloat16", 2, FLOATING
        self.is_floating_point, self.is_complex, self.is_signed = True, False, True

    @property
    def numpy(self) -> np.dtype[Any]:  # type: ignore[override] # an attribute of the others, which need no extra
        """The NumPy dtype. ModuleNotFoundError, naming the extra, where ml_dtypes is not installed."""
        made: np.dtype[Any] = np.dtype(_ml_dtypes().bfloat16)
        _FROM_NUMPY[made] = self
        return made


@cache
def _ml_dtypes() -> Any:
    try:
        return import_module("ml_dtypes")
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "bfloat16 is a type of ml_dtypes, which is not installed: pip install 'allgrad[bfloat16]'", name="ml_dtypes"
        ) from error


bfloat16 = _BrainFloat()

DTYPES: Final = (
    bool_, uint8, uint16, uint32, uint64, int8, int16, int32, int64,
    float16, float32, float64, complex64, complex128,
)  # fmt: skip

_FROM_NUMPY = {d.numpy: d for d in DTYPES}
_FROM_PYTHON: dict[Any, dtype] = {bool: bool_, int: int64, float: float64, complex: complex128}
_COMPLEX_OF: dict[dtype, dtype] = {bfloat16: complex64, float16: complex64, float32: complex64, float64: complex128}
REAL_OF: Final = {complex64: float32, complex128: float64}
_default = float32


def _by_name(name: str) -> dtype:
    return bfloat16 if name == "bfloat16" else _FROM_NUMPY[np.dtype(name)]


def from_numpy_dtype(numpy_dtype: np.dtype[Any]) -> dtype:
    """The allgrad dtype of *numpy_dtype*; TypeError where tensors have no such type (strings, objects, dates)."""
    found = _FROM_NUMPY.get(numpy_dtype)
    if found is None and numpy_dtype.name == "bfloat16":  # last: NumPy makes the name up anew each time, in 10 µs
        return bfloat16
    if found is None:
        found = _FROM_NUMPY.get(numpy_dtype.newbyteorder("="))
    if found is None:
        supported = ", ".join(d.name for d in DTYPES)
        raise TypeError(
            f"can't convert an array of dtype {numpy_dtype} to a tensor: the supported types are {supported}"
        )
    return found


def as_dtype(value: Any) -> dtype:
    """The dtype that *value* names: an allgrad dtype, a Python type such as ``float``, or a NumPy dtype."""
    if isinstance(value, dtype):
        return value
    if value in _FROM_PYTHON:
        return _FROM_PYTHON[value]
    try:
        return from_numpy_dtype(np.dtype(value))
    except TypeError:
        raise TypeError(f"expected a dtype such as torch.float32, found {value!r}") from None


def set_default_dtype(d: dtype) -> None:
    """Make *d* (a floating type) the type of new floating-point tensors; ``torch.float32`` at start.

    >>> import allgrad as torch
    >>> torch.set_default_dtype(torch.float64); torch.tensor(1.5).dtype
    torch.float64
    >>> torch.set_default_dtype(torch.float32)
    """
    global _default
    d = as_dtype(d)
    if not d.is_floating_point:
        raise TypeError(f"only floating-point types are supported as the default type, found {d}")
    _default = d


def get_default_dtype() -> dtype:
    """The type of new floating-point tensors."""
    return _default


def default_complex() -> dtype:
    """The complex type as precise as the default floating type."""
    return _COMPLEX_OF[_default]


def promote_types(a: dtype, b: dtype) -> dtype:
    """The smallest dtype that PyTorch's lattice allows both *a* and *b* to become.

    >>> import allgrad as torch
    >>> torch.promote_types(torch.int64, torch.float16)
    torch.float16
    """
    if a is b:
        return a
    if a.category < b.category:
        a, b = b, a
    if a.category == b.category:
        return _promote_within(a, b)
    if b.category == FLOATING:
        return _promote_within(a, _COMPLEX_OF[b])
    return a


def _promote_within(a: dtype, b: dtype) -> dtype:
    if a.category == INTEGER and uint64 in (a, b) and (a.is_signed or b.is_signed):
        return _default  # no integer holds both: PyTorch takes the default floating type
    if bfloat16 in (a, b):
        other = b if a is bfloat16 else a
        return float32 if other is float16 else other
    return _FROM_NUMPY[np.promote_types(a.numpy, b.numpy)]


def category_of_scalar(value: object) -> int:
    """The category (BOOL to COMPLEX) of the Python scalar *value*."""
    if isinstance(value, bool):
        return BOOL
    if isinstance(value, int):
        return INTEGER
    return COMPLEX if isinstance(value, complex) else FLOATING


def default_of_category(category: int) -> dtype:
    """The dtype a Python scalar of *category* gets where nothing else decides."""
    return (bool_, int64, _default, default_complex())[category]


def result_dtype(dimensioned: list[dtype], zero_dim: list[dtype], scalars: list[int]) -> dtype:
    """PyTorch's result type of operands in three ranks of priority.

    Tensors with dimensions decide; 0-d tensors, then the categories of Python scalars, count only where their
    category is higher than what is already decided (`Tensor Attributes
    <https://pytorch.org/docs/stable/tensor_attributes.html#type-promotion-doc>`_).
    """
    scalar = default_of_category(max(scalars)) if scalars else None
    result = _combine(_join(dimensioned), _combine(_join(zero_dim), scalar))
    return result if result is not None else _default


def _join(dtypes: list[dtype]) -> dtype | None:
    joined: dtype | None = None
    for d in dtypes:
        joined = d if joined is None else promote_types(joined, d)
    return joined


def _combine(first: dtype | None, second: dtype | None) -> dtype | None:
    """The type of *first*, raised only where *second* is of a higher category."""
    if first is None or second is None:
        return first or second
    if first.category >= second.category:
        return first
    if first.category == FLOATING:
        return _COMPLEX_OF[first]
    return promote_types(first, second)


def can_cast(source: dtype, target: dtype) -> bool:
    """Whether a result of type *source* may be written into a tensor of type *target* (never to a lower category).

    >>> import allgrad as torch
    >>> torch.can_cast(torch.float64, torch.int64)
    False
    """
    return source.category <= target.category and not (target is bool_ and source is not bool_)


class finfo:  # noqa: N801 -- PyTorch's name
    """The limits of a floating-point dtype: *eps*, *max*, *min*, *tiny*, *smallest_normal*, *resolution*, *bits*."""

    def __init__(self, type: dtype | None = None) -> None:
        kind = type or _default
        info = _ml_dtypes().finfo(kind.numpy) if kind is bfloat16 else np.finfo(kind.numpy)
        self.bits = info.bits
        self.eps = float(info.eps)
        self.max = float(info.max)
        self.min = float(info.min)
        self.tiny = self.smallest_normal = float(info.smallest_normal)
        self.resolution = float(info.resolution)
        self.dtype = str(info.dtype)

    def __repr__(self) -> str:
        names = ("resolution", "min", "max", "eps", "smallest_normal", "tiny")
        return f"finfo({', '.join(f'{name}={getattr(self, name):g}' for name in names)}, dtype={self.dtype})"


class iinfo:  # noqa: N801 -- PyTorch's name
    """The limits of an integer dtype: *max*, *min*, *bits*."""

    def __init__(self, type: dtype) -> None:
        info = np.iinfo(type.numpy)
        self.bits = info.bits
        self.max = int(info.max)
        self.min = int(info.min)
        self.dtype = str(info.dtype)

    def __repr__(self) -> str:
        return f"iinfo(min={self.min}, max={self.max}, dtype={self.dtype})"


def of_tensor_type(name: str) -> dtype:
    """Return the dtype of tensors of the older type *name*, such as "torch.DoubleTensor". ValueError for another name."""
    kinds = {"Float": float32, "Double": float64, "Half": float16, "BFloat16": bfloat16, "Byte": uint8, "Char": int8,
             "Short": int16, "Int": int32, "Long": int64, "Bool": bool_}  # fmt: skip
    short = name.removeprefix("torch.").removesuffix("Tensor")
    if short not in kinds:
        raise ValueError(f"invalid type: {name!r}: expected one such as 'torch.FloatTensor'")
    return kinds[short]
