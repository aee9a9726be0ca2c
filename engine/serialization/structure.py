"""Nested Python values as JSON plus named arrays, and back: what a checkpoint holds beside its numbers."""

from __future__ import annotations

import math
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ..dtypes import as_dtype, dtype
from ..tensors.parameter import Parameter
from ..tensors.size import Size
from ..tensors.tensor import Tensor
from .pieces import Pieces
from .safetensors import storable

Array = npt.NDArray[Any]
Path = tuple[str, ...]

# A dict, list and so on becomes a JSON object with one key, the kind; only None, bool, int, str and finite
# floats stand for themselves, so nothing in a file can be taken for what it is not, and nothing but these
# kinds is built.
_SEQUENCES: dict[str, Callable[[Iterable[Any]], Any]] = {
    "list": list,
    "tuple": tuple,
    "set": set,
    "frozenset": frozenset,
    "Size": Size,
}
_MAPPINGS: dict[str, Callable[..., Any]] = {"dict": dict, "OrderedDict": OrderedDict, "Counter": Counter}
_SEQUENCE_KINDS: dict[type[Any], str] = {
    list: "list",
    tuple: "tuple",
    set: "set",
    frozenset: "frozenset",
    Size: "Size",
}
_ARRAYS = {"tensor", "parameter", "bytes", "array", "scalar"}
_MAPPING_KINDS: dict[type[Any], str] = {dict: "dict", OrderedDict: "OrderedDict", Counter: "Counter"}


class Encoder:
    """Turns one value into JSON, gathering its arrays by names that are their paths in the value.

    An array that occurs twice (tied weights) is gathered once.
    """

    def __init__(self) -> None:
        self.arrays: dict[str, Array] = {}
        self.parts: dict[str, int] = {}
        """In which part of a checkpoint an array must lie, for those of `Pieces`."""
        self._seen: dict[Any, tuple[str, Array]] = {}  # with the array, lest its memory be used anew
        self._open: set[int] = set()

    def encode(self, value: Any, path: Path = ()) -> Any:
        """Return the JSON form of ``value``, which stands at ``path``.

        Raises:
            TypeError: a value of a kind that cannot be stored; the message gives its path.
            ValueError: a container that contains itself.
        """
        kind = type(value)
        if value is None or kind in (bool, int, str) or (kind is float and math.isfinite(value)):
            return value
        if kind in _SEQUENCE_KINDS or kind in _MAPPING_KINDS:
            return self._container(value, path)
        if kind is float:
            return {"float": repr(value)}
        if kind is complex:
            return {"complex": [self.encode(value.real), self.encode(value.imag)]}
        if kind is dtype:
            return {"dtype": value.name}
        if isinstance(value, Tensor):
            return self._tensor(value, path)
        if kind in (bytes, bytearray):
            return {"bytes": self._array(np.frombuffer(bytes(value), np.uint8), path)}
        if isinstance(value, (np.ndarray, np.generic)):
            return self._numpy(value, path)
        if isinstance(value, Pieces):
            return self._pieces(value, path)
        raise TypeError(_refusal(value, path))

    def _container(self, value: Any, path: Path) -> Any:
        if id(value) in self._open:
            raise ValueError(f"save: {_place(path)} contains itself; only trees of values can be saved")
        self._open.add(id(value))
        try:
            if type(value) in _SEQUENCE_KINDS:
                items = [self.encode(item, (*path, str(i))) for i, item in enumerate(value)]
                return {_SEQUENCE_KINDS[type(value)]: items}
            pairs = [
                [self.encode(key, (*path, "key")), self.encode(item, (*path, str(key)))] for key, item in value.items()
            ]
            return {_MAPPING_KINDS[type(value)]: pairs}
        finally:
            self._open.remove(id(value))

    def _tensor(self, value: Tensor, path: Path) -> Any:
        kind = "parameter" if isinstance(value, Parameter) else "tensor"
        described: dict[str, Any] = {kind: self._array(value.detach().numpy(), path)}
        if value.dtype.name == "complex128":
            described["complex128"] = True
        if value.requires_grad:
            described["requires_grad"] = True
        return described

    def _numpy(self, value: Array | np.generic, path: Path) -> Any:
        array = np.asarray(value)
        if array.dtype != np.complex128 and not storable(array.dtype):
            raise TypeError(f"save: {_place(path)} is a NumPy value of dtype {array.dtype}, which cannot be stored")
        described: dict[str, Any] = {"scalar" if isinstance(value, np.generic) else "array": self._array(array, path)}
        if array.dtype == np.complex128:
            described["complex128"] = True
        return described

    def _pieces(self, value: Pieces, path: Path) -> Any:
        names = []
        for number, (part, array) in enumerate(value.pieces):
            names.append(self._array(array, (*path, str(number))))
            self.parts[names[-1]] = part
        described: dict[str, Any] = {"tensor": names, "shape": list(value.shape)}
        if value.pieces[0][1].dtype == np.complex128:
            described["complex128"] = True
        return described

    def _array(self, array: Array, path: Path) -> str:
        interface = array.__array_interface__
        key = interface["data"][0], array.shape, array.strides, array.dtype.str
        if array.size and key in self._seen:
            return self._seen[key][0]
        name = unique = ".".join(path) or "value"
        count = 1
        while unique in self.arrays or unique == "__metadata__":
            count += 1
            unique = f"{name}#{count}"
        self._seen[key] = unique, array
        if array.dtype == np.complex128:  # the format knows no complex128: its real and imaginary parts
            array = np.array(array, order="C", copy=None)[..., None].view(np.float64)
        self.arrays[unique] = array
        return unique


def decode(value: Any, arrays: Mapping[str, Array]) -> Any:
    """Return the Python value whose JSON form and arrays ``Encoder`` made.

    Raises:
        ValueError, TypeError, KeyError: the JSON is not what ``Encoder`` makes.
    """
    if not isinstance(value, dict):
        return value
    first: tuple[str, Any] = next(iter(value.items()), ("", None))
    kind, content = first
    if kind in _SEQUENCES:
        return _SEQUENCES[kind](decode(item, arrays) for item in content)
    if kind in _MAPPINGS:
        return _MAPPINGS[kind]({decode(key, arrays): decode(item, arrays) for key, item in content})
    if kind == "float":
        return float(content)
    if kind == "complex":
        return complex(*(decode(part, arrays) for part in content))
    if kind == "dtype":
        return as_dtype(content)
    array = arrays[content] if isinstance(content, str) else None
    if kind == "tensor" and isinstance(content, list):
        array = np.concatenate([arrays[name] for name in content])
    if array is None or kind not in _ARRAYS:
        raise ValueError(f"it holds a value of the unknown kind {kind!r}; a newer allgrad may have written it")
    if value.get("complex128"):
        array = array.view(np.complex128)[..., 0]
    if "shape" in value:
        array = array.reshape(value["shape"])
    if kind in ("tensor", "parameter"):
        return _as_tensor(kind, array, requires_grad=bool(value.get("requires_grad")))
    if kind == "bytes":
        return array.tobytes()
    return array if kind == "array" else array[()]


def _as_tensor(kind: str, array: Array, *, requires_grad: bool) -> Tensor:
    tensor = Tensor._wrap(array)
    return Parameter(tensor, requires_grad) if kind == "parameter" else tensor.requires_grad_(requires_grad)


def _place(path: Path) -> str:
    return f"the value at {'.'.join(path)!r}" if path else "the value"


def _refusal(value: Any, path: Path) -> str:
    found = f"save: {_place(path)} is a {type(value).__module__}.{type(value).__qualname__}"
    if hasattr(value, "state_dict"):
        return f"{found}, which is code as well as numbers; save its numbers instead: save(x.state_dict(), path)"
    kinds = "tensors, NumPy arrays, None, numbers, str, bytes, dtypes, dict, list, tuple and set"
    return f"{found}; what can be saved is {kinds}, since nothing is pickled"
