"""How a tensor is printed: PyTorch's rules for digits, widths, line breaks and summaries, on plain arrays."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..batching import Batched
from ..dtypes import get_default_dtype

if TYPE_CHECKING:
    from .tensor import Tensor


@dataclass(frozen=True)
class PrintOptions:
    """What ``set_printoptions`` sets: digits, when and how far to summarise, line width and notation."""

    precision: int = 4
    threshold: float = 1000
    edgeitems: int = 3
    linewidth: int = 80
    sci_mode: bool | None = None


_PROFILES = {
    "default": PrintOptions(),
    "short": PrintOptions(precision=2, edgeitems=2),
    "full": PrintOptions(threshold=math.inf),
}
_options = PrintOptions()


def set_printoptions(
    precision: int | None = None,
    threshold: float | None = None,
    edgeitems: int | None = None,
    linewidth: int | None = None,
    profile: str | None = None,
    sci_mode: bool | None = None,
) -> None:
    """Set how tensors are printed; what is not given stays, except ``sci_mode``, which returns to automatic.

    Args:
        precision: digits after the point (default 4).
        threshold: number of elements beyond which only the edges are printed (default 1000).
        edgeitems: how many items a summary shows at each end of a dimension (default 3).
        linewidth: characters in a line (default 80).
        profile: ``"default"``, ``"short"`` or ``"full"``; the other arguments override it.
        sci_mode: True or False forces or forbids scientific notation; None lets the values decide.

    Raises:
        ValueError: the profile is none of the three.

    Example:
        >>> import allgrad as torch
        >>> torch.set_printoptions(precision=2)
        >>> torch.tensor([1.12345])
        tensor([1.12])
        >>> torch.set_printoptions(profile="default")
    """
    global _options
    if profile is not None and profile not in _PROFILES:
        raise ValueError(f"set_printoptions: unknown profile {profile!r}; choose one of {', '.join(_PROFILES)}")
    given = {"precision": precision, "threshold": threshold, "edgeitems": edgeitems, "linewidth": linewidth}
    start = _options if profile is None else _PROFILES[profile]
    changes: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    _options = replace(start, sci_mode=sci_mode, **changes)


def get_printoptions() -> dict[str, Any]:
    """Return the options in force, as keyword arguments for :func:`set_printoptions`."""
    return asdict(_options)


@contextmanager
def printoptions(**options: Any) -> Iterator[None]:
    """Set options as :func:`set_printoptions` does, for the length of a ``with`` block."""
    before = get_printoptions()
    set_printoptions(**options)
    try:
        yield
    finally:
        set_printoptions(**before)


def format_tensor(tensor: Tensor) -> str:
    """Return PyTorch's printed form of a tensor; a subclass other than Parameter goes by its own name."""
    kind = type(tensor).__name__
    suffixes = []
    if tensor.grad_fn is not None:
        suffixes.append(f"grad_fn=<{tensor.grad_fn.name()}>")
    elif tensor.requires_grad:
        suffixes.append("requires_grad=True")
    if isinstance(tensor._array, Batched):
        return _format_batch(tensor._array)
    prefix = "tensor(" if kind in ("Tensor", "Parameter") else f"{kind}("
    array = tensor.numpy(force=True)
    if tensor.dtype.name == "bfloat16":
        array, suffixes = array.astype(np.float32), ["dtype=torch.bfloat16", *suffixes]
    return format_array(array, suffixes, prefix=prefix, default_dtype=get_default_dtype().numpy)


def _format_batch(batch: Batched) -> str:
    """PyTorch's printed form of a tensor inside ``vmap``: all the examples of its innermost level."""
    *outer, level = batch.levels
    inner = Batched(batch.values, tuple(outer)) if outer else None
    shown = (
        format_array(batch.values, default_dtype=get_default_dtype().numpy) if inner is None else _format_batch(inner)
    )
    indented = shown.replace("\n", "\n    ")
    return f"BatchedTensor(lvl={level}, bdim=0, value=\n    {indented}\n)"


def format_array(
    array: npt.NDArray[Any],
    suffixes: Sequence[str] = (),
    *,
    prefix: str = "tensor(",
    default_dtype: npt.DTypeLike = np.float32,
) -> str:
    """Return PyTorch's printed form of a tensor that holds ``array``.

    Args:
        array: the values, of any shape and of a boolean, integer, floating or complex dtype.
        suffixes: what follows the values and what is said of size and dtype, such as ``"requires_grad=True"``
            or ``"grad_fn=<AddBackward0>"``.
        prefix: what stands before the values, with its bracket; later lines are indented by its length.
        default_dtype: the floating dtype that goes without saying.

    Example:
        >>> import numpy as np
        >>> format_array(np.array([1.5, 2.0]), ["requires_grad=True"])
        'tensor([1.5000, 2.0000], dtype=torch.float64, requires_grad=True)'
    """
    indent = len(prefix)
    text = prefix + (_values(array, indent) if array.size else "[]")
    return _with_suffixes(text, [*_size_and_dtype(array, np.dtype(default_dtype)), *suffixes], indent)


def _size_and_dtype(array: npt.NDArray[Any], default: np.dtype[Any]) -> Iterator[str]:
    unsaid = {default}
    if array.size:
        unsaid |= {np.dtype(bool), np.dtype(np.int64), np.result_type(default, np.complex64)}
    if (array.size == 0 and array.ndim != 1) or (array.size and not _options.edgeitems):
        yield f"size={array.shape}"
    if array.dtype not in unsaid:
        yield f"dtype=torch.{array.dtype.name}"


def _with_suffixes(text: str, suffixes: Sequence[str], indent: int) -> str:
    pieces = [text]
    length = len(text) - text.rfind("\n") + 1
    for suffix in suffixes:
        if length + len(suffix) + 2 > _options.linewidth:
            pieces.append(",\n" + " " * indent + suffix)
            length = indent + len(suffix)
        else:
            pieces.append(", " + suffix)
            length += len(suffix) + 2
    return "".join(pieces) + ")"


def _values(array: npt.NDArray[Any], indent: int) -> str:
    summarize = array.size > _options.threshold
    shown = _edges(array) if summarize else array
    parts = [shown.real, shown.imag] if array.dtype.kind == "c" else [shown]
    return _nested(array, indent, summarize, [_Formatter(part) for part in parts])


def _edges(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return the elements a summary shows: the first and last few along every dimension."""
    few = _options.edgeitems
    for axis, size in enumerate(array.shape):
        if size > 2 * few:
            array = array.take([*range(few), *range(size - few, size)], axis=axis)
    return array


def _nested(array: npt.NDArray[Any], indent: int, summarize: bool, formatters: list[_Formatter]) -> str:
    if array.ndim == 0:
        return _element(array.item(), formatters)
    if array.ndim == 1:
        return _row(array, indent, summarize, formatters)
    few = _options.edgeitems
    indices: list[int | None] = list(range(len(array)))
    if summarize and len(array) > 2 * few:
        indices[few : len(array) - few] = [None]
    rows = ["..." if i is None else _nested(array[i], indent + 1, summarize, formatters) for i in indices]
    return "[" + ("," + "\n" * (array.ndim - 1) + " " * (indent + 1)).join(rows) + "]"


def _row(array: npt.NDArray[Any], indent: int, summarize: bool, formatters: list[_Formatter]) -> str:
    few = _options.edgeitems
    # A complex element is as wide as its two parts and the j, and two characters separate elements.
    width = sum(formatter.width + 1 for formatter in formatters) + 1
    if summarize and not few:
        items = ["..."]
    elif summarize and len(array) > 2 * few:
        head, tail = array[:few].tolist(), array[-few:].tolist()
        items = [_element(v, formatters) for v in head] + [" ..."] + [_element(v, formatters) for v in tail]
    else:
        items = [_element(v, formatters) for v in array.tolist()]
    per_line = max(1, (_options.linewidth - indent) // width)
    lines = [", ".join(items[start : start + per_line]) for start in range(0, len(items), per_line)]
    return "[" + (",\n" + " " * (indent + 1)).join(lines) + "]"


def _element(value: Any, formatters: list[_Formatter]) -> str:
    if len(formatters) == 1:
        return formatters[0].format(value)
    real, imaginary = formatters[0].format(value.real), formatters[1].format(value.imag).lstrip() + "j"
    return real + ("" if imaginary[0] in "+-" else "+") + imaginary


class _Formatter:
    """Writes each element of an array in the notation and width that its elements together call for."""

    def __init__(self, shown: npt.NDArray[Any]) -> None:
        self.width = 1
        self._precision = _options.precision
        self._notation = ""
        values = shown.reshape(-1)
        if shown.dtype.kind == "f":
            values = values[np.isfinite(values) & (values != 0)]
            self._notation = _float_notation(values)
        self.width = max((len(self.format(value)) for value in values.tolist()), default=1)

    def format(self, value: Any) -> str:
        """Return the value's digits, padded on the left to the common width."""
        if not self._notation:
            digits = str(value)
        elif self._notation == "integral":
            digits = f"{value:.0f}" + ("." if math.isfinite(value) else "")
        else:
            digits = f"{value:.{self._precision}{self._notation}}"
        return digits.rjust(self.width)


def _float_notation(values: npt.NDArray[Any]) -> str:
    """Return "e", "f" or "integral" for the finite non-zero values of an array."""
    if values.size == 0:
        return "integral"
    magnitudes = np.abs(values)
    smallest, largest = float(magnitudes.min()), float(magnitudes.max())
    scientific = _options.sci_mode
    if scientific is None:
        scientific = largest / smallest > 1000.0 or largest > 1.0e8 or smallest < 1.0e-4
    if scientific:
        return "e"
    return "integral" if bool((np.ceil(values) == values).all()) else "f"
