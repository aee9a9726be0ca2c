"""Comparing what was computed with what was expected: ``assert_close``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from . import dtypes
from .tensors.tensor import Tensor

Array = np.ndarray[Any, Any]
Message = str | Callable[[str], str] | None

# (rtol, atol) by type, as in PyTorch; whole numbers and bools are to be equal.
_TOLERANCES = {
    "float16": (1e-3, 1e-5),
    "bfloat16": (1.6e-2, 1e-5),
    "float32": (1.3e-6, 1e-5),
    "complex64": (1.3e-6, 1e-5),
    "float64": (1e-7, 1e-7),
    "complex128": (1e-7, 1e-7),
}


class _Options:
    """How two values are to be compared."""

    def __init__(self, rtol: float | None, atol: float | None, equal_nan: bool, dtype: bool, stride: bool) -> None:
        if (rtol is None) != (atol is None):
            missing = "atol" if atol is None else "rtol"
            raise ValueError(f"Both 'rtol' and 'atol' must be either specified or omitted, but got no {missing}.")
        self.given = None if rtol is None or atol is None else (float(rtol), float(atol))
        self.equal_nan = equal_nan
        self.dtype = dtype
        self.stride = stride

    def tolerances(self, *kinds: dtypes.dtype) -> tuple[float, float]:
        """Return (rtol, atol) for values of *kinds*: the looser ones, unless they were given."""
        if self.given is not None:
            return self.given
        each = [_TOLERANCES.get(kind.name, (0.0, 0.0)) for kind in kinds]
        return max(rtol for rtol, _ in each), max(atol for _, atol in each)


def assert_close(
    actual: Any,
    expected: Any,
    *,
    allow_subclasses: bool = True,
    rtol: float | None = None,
    atol: float | None = None,
    equal_nan: bool = False,
    check_device: bool = True,
    check_dtype: bool = True,
    check_layout: bool = True,
    check_stride: bool = False,
    msg: Message = None,
) -> None:
    """Raise an AssertionError that says what differs unless |actual - expected| <= atol + rtol · |expected|.

    Args:
        actual: a tensor, array or number, or a sequence or mapping of them.
        expected: the same; of the same shape and, if *check_dtype*, type.
        allow_subclasses: if not, both are of one class.
        rtol: by default 1.3e-6 for float32, 1e-7 for float64, 1e-3 for float16, 0 for whole numbers.
        atol: by default 1e-5 for float32 and float16, 1e-7 for float64, 0 for whole numbers.
        equal_nan: take nan to equal nan.
        check_device: there is one device.
        check_dtype: if not, both are compared in their common type.
        check_layout: there is one layout.
        check_stride: compare the strides too.
        msg: replaces the message, or a function that makes one of it.

    Example:
        >>> import allgrad as torch
        >>> torch.testing.assert_close(torch.tensor([1.0]) / 3 * 3, torch.tensor([1.0]))
    """
    options = _Options(rtol, atol, equal_nan, check_dtype, check_stride)
    found = _difference(actual, expected, options, allow_subclasses, "")
    if found is not None:
        raise AssertionError(found if msg is None else msg(found) if callable(msg) else msg)


def _difference(actual: Any, expected: Any, options: _Options, subclasses: bool, path: str) -> str | None:
    """Say in which way the two differ, or None; *path* is where they are inside of what was given."""
    if isinstance(actual, Mapping) and isinstance(expected, Mapping):
        missing, additional = sorted(set(expected) - set(actual)), sorted(set(actual) - set(expected))
        if missing or additional:
            return (
                f"The keys of the mappings do not match:\nMissing keys in the actual mapping: {missing}\n"
                f"Additional keys in the actual mapping: {additional}"
            )
        pairs = [(f"{path}[{key!r}]", actual[key], expected[key]) for key in expected]
        return _first(pairs, options, subclasses)
    sequences = isinstance(actual, Sequence) and isinstance(expected, Sequence)
    if sequences and not isinstance(actual, str) and not isinstance(expected, str):
        if len(actual) != len(expected):
            return f"The length of the sequences mismatch: {len(actual)} != {len(expected)}"
        pairs = [(f"{path}[{i}]", a, e) for i, (a, e) in enumerate(zip(actual, expected, strict=True))]
        return _first(pairs, options, subclasses)
    found = _difference_of_values(actual, expected, options, subclasses)
    return found if found is None or not path else f"{found}\n\nThe failure occurred for item {path}"


def _first(pairs: list[tuple[str, Any, Any]], options: _Options, subclasses: bool) -> str | None:
    return next((d for path, a, e in pairs if (d := _difference(a, e, options, subclasses, path)) is not None), None)


def _difference_of_values(actual: Any, expected: Any, options: _Options, subclasses: bool) -> str | None:
    if actual is None and expected is None:
        return None
    if isinstance(actual, bool | np.bool_) and isinstance(expected, bool | np.bool_):
        return None if actual == expected else f"Booleans mismatch: {actual} is not {expected}"
    numbers = int | float | complex
    if isinstance(actual, numbers) and isinstance(expected, numbers):
        return _difference_of_numbers(actual, expected, options)
    arrays = Tensor | np.ndarray
    alike = isinstance(actual, Tensor) == isinstance(expected, Tensor)
    if not (isinstance(actual, arrays) and isinstance(expected, arrays) and alike):
        raise TypeError(f"No comparison pair was able to handle inputs of type {type(actual)} and {type(expected)}.")
    if not subclasses and type(actual) is not type(expected):
        raise TypeError(f"{type(actual).__name__} and {type(expected).__name__} are not of one class")
    tensors = [value if isinstance(value, Tensor) else Tensor._wrap(value) for value in (actual, expected)]
    return _difference_of_tensors(tensors[0], tensors[1], options)


def _difference_of_numbers(actual: complex, expected: complex, options: _Options) -> str | None:
    if options.dtype and type(actual) is not type(expected):
        return f"The (d)types do not match: {type(actual)} != {type(expected)}."
    kinds = {int: dtypes.int64, float: dtypes.float64, complex: dtypes.complex128}
    tolerances = options.tolerances(kinds[type(actual)], kinds[type(expected)])
    arrays = np.asarray(actual), np.asarray(expected)
    return None if _matches(*arrays, tolerances, options.equal_nan).all() else _scalars(*arrays, tolerances)


def _difference_of_tensors(actual: Tensor, expected: Tensor, options: _Options) -> str | None:
    checked = [("shape", True), ("dtype", options.dtype)]
    for name, wanted in checked:
        ours, theirs = getattr(actual, name), getattr(expected, name)
        if wanted and ours != theirs:
            return f"The values for attribute '{name}' do not match: {ours} != {theirs}."
    if options.stride and actual.stride() != expected.stride():
        return f"The values for attribute 'stride()' do not match: {actual.stride()} != {expected.stride()}."
    common = dtypes.promote_types(actual.dtype, expected.dtype)
    tolerances = options.tolerances(actual.dtype, expected.dtype)
    a, e = (tensor.detach().to(common)._array for tensor in (actual, expected))
    good = _matches(a, e, tolerances, options.equal_nan)
    if good.all():
        return None
    return _scalars(a, e, tolerances) if a.ndim == 0 else _arrays(a, e, good, tolerances)


def _matches(actual: Array, expected: Array, tolerances: tuple[float, float], equal_nan: bool) -> Array:
    with np.errstate(all="ignore"):
        rtol, atol = tolerances
        if not rtol and not atol:
            same = actual == expected
            return np.asarray(same | ((actual != actual) & (expected != expected)) if equal_nan else same)
        return np.asarray(np.isclose(actual, expected, rtol, atol, equal_nan))


def _sizes(actual: Array, expected: Array) -> tuple[Array, Array]:
    """Return the absolute and the relative differences."""
    whole = actual.dtype.kind in "iub"
    wide = [array.astype(np.int64) if whole and array.dtype.kind != "u" else array for array in (actual, expected)]
    with np.errstate(all="ignore"):
        if whole and actual.dtype.kind == "u":
            absolute = np.maximum(*wide) - np.minimum(*wide)
        else:
            absolute = np.abs(wide[0] - wide[1])
        size = np.abs(wide[1])
        if whole:
            return absolute, absolute.astype(np.float32) / size.astype(np.float32)
        return absolute, absolute / size


def _allowed(tolerance: float, tolerances: tuple[float, float]) -> str:
    return f" (up to {tolerance} allowed)" if any(tolerances) else ""


def _scalars(actual: Array, expected: Array, tolerances: tuple[float, float]) -> str:
    absolute, relative = (size.item() for size in _sizes(actual, expected))
    kind = "close" if any(tolerances) else "equal"
    return (
        f"Scalars are not {kind}!\n\nExpected {expected.item()} but got {actual.item()}.\n"
        f"Absolute difference: {absolute}{_allowed(tolerances[1], tolerances)}\n"
        f"Relative difference: {relative}{_allowed(tolerances[0], tolerances)}"
    )


def _arrays(actual: Array, expected: Array, good: Array, tolerances: tuple[float, float]) -> str:
    count, size = int((~good).sum()), good.size
    lines = [f"Mismatched elements: {count} / {size} ({count / size:.1%})"]
    names = ("absolute", "relative"), reversed(tolerances), _sizes(actual, expected)
    for name, tolerance, sizes in zip(*names, strict=True):
        masked = np.where(good, 0, sizes)
        place = np.unravel_index(int(np.argmax(masked)), masked.shape)
        where = tuple(int(i) for i in place)
        allowed = _allowed(tolerance, tolerances)
        lines.append(f"Greatest {name} difference: {masked[place].item()} at index {where}{allowed}")
    return f"Tensor-likes are not {'close' if any(tolerances) else 'equal'}!\n\n" + "\n".join(lines)
