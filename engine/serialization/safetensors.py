"""The safetensors file format on NumPy arrays: a JSON header of names, dtypes and offsets, then the bytes.

The format is https://github.com/huggingface/safetensors; files written here are read by that library and the
other way round. Two CRC-32 sums in the header's metadata let a damaged file be told from a good one.
"""

from __future__ import annotations

import json
import math
import mmap
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from .. import dtypes
from .foreign import what_else

Array = npt.NDArray[Any]

DTYPES = {
    "BOOL": "|b1",
    "U8": "|u1",
    "I8": "|i1",
    "U16": "<u2",
    "I16": "<i2",
    "F16": "<f2",
    "BF16": "<u2",
    "U32": "<u4",
    "I32": "<i4",
    "F32": "<f4",
    "U64": "<u8",
    "I64": "<i8",
    "F64": "<f8",
    "C64": "<c8",
}
_CODES = {np.dtype(spelling): code for code, spelling in DTYPES.items() if code != "BF16"}
_LARGEST_HEADER = 100_000_000
_HEADER_SUM = re.compile(rb'"allgrad\.header_crc32":"([0-9a-f]{8})"')


class SerializationError(RuntimeError):
    """A file that cannot be loaded: truncated, damaged or of another format; the message says which."""


@dataclass(frozen=True)
class Entry:
    """Where one array lies: its safetensors dtype, its shape, and its first byte and length in the data."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    length: int


@dataclass(frozen=True)
class Header:
    """What a file says of itself: its arrays in file order, its metadata, and where the data begins."""

    entries: dict[str, Entry]
    metadata: dict[str, str]
    data_start: int

    @property
    def size(self) -> int:
        """The length in bytes that the whole file must have."""
        return self.data_start + sum(entry.length for entry in self.entries.values())


def storable(dtype: np.dtype[Any]) -> bool:
    """Say whether arrays of this dtype have a name in the format."""
    return dtype.name == "bfloat16" or dtype.newbyteorder("<") in _CODES


def _little_endian(array: Array) -> Array:
    """The elements in row-major order as they are written; those of bfloat16 as the whole numbers of their bits."""
    if array.dtype.name == "bfloat16":
        return np.ascontiguousarray(array).view(np.uint16).astype("<u2", copy=False)
    return np.ascontiguousarray(array, array.dtype.newbyteorder("<"))


def write(file: BinaryIO, arrays: Mapping[str, Array], metadata: Mapping[str, str]) -> None:
    """Write arrays and metadata as one safetensors file.

    Args:
        file: where to write, from its current position; it need not be seekable.
        arrays: by name; any memory order, every dtype for which ``storable`` is true.
        metadata: further strings for the header.
    """
    ordered = sorted(arrays.items(), key=lambda item: -item[1].dtype.itemsize)  # keeps every array aligned
    chunks = {name: _little_endian(a) for name, a in ordered}
    crc = 0
    header: dict[str, Any] = {"__metadata__": dict(metadata)}
    position = 0
    for name, chunk in chunks.items():
        crc = zlib.crc32(_bytes(chunk), crc)
        header[name] = {
            "dtype": "BF16" if arrays[name].dtype.name == "bfloat16" else _CODES[chunk.dtype],
            "shape": list(arrays[name].shape),
            "data_offsets": [position, position + chunk.nbytes],
        }
        position += chunk.nbytes
    sums = {"allgrad.header_crc32": "0" * 8, "allgrad.data_crc32": f"{crc:08x}"}
    header["__metadata__"].update(sums)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    text = text.replace(b'"allgrad.header_crc32":"00000000"', b'"allgrad.header_crc32":"%08x"' % zlib.crc32(text))
    file.write(len(text).to_bytes(8, "little") + text)
    for chunk in chunks.values():
        file.write(_bytes(chunk))


def read_header(file: BinaryIO, source: str) -> Header:
    """Read and check a file's header, leaving ``file`` at the first byte of the data.

    Raises:
        SerializationError: the header is cut off, is not JSON, contradicts itself or has a wrong check sum.
    """
    prefix = file.read(8)
    if not isinstance(prefix, bytes):
        raise TypeError(f"{source} is open for reading text; open it with mode 'rb'")
    length = int.from_bytes(prefix, "little")
    if len(prefix) < 8 or length > _LARGEST_HEADER:
        raise SerializationError(f"{source} {what_else(prefix + file.read(92))}")
    text = file.read(length)
    if len(text) < length:
        raise SerializationError(f"{source} is truncated: its header has {len(text)} of {length} bytes")
    try:
        fields = json.loads(text, object_pairs_hook=_without_duplicates)
        metadata = fields.pop("__metadata__", {})
        _require(all(isinstance(value, str) for value in metadata.values()), "metadata that is not text")
        entries = _entries(fields)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise SerializationError(f"{source} has a damaged header: {error}") from None
    _check_header_sum(text, metadata, source)
    return Header(entries, metadata, 8 + length)


def read_arrays(file: BinaryIO, header: Header, source: str) -> dict[str, Array]:
    """Read all arrays, each into memory of its own, and compare the data with its check sum, if any."""
    crc = 0
    arrays = {}
    for name, entry in header.entries.items():
        array = np.empty(entry.shape, DTYPES[entry.dtype])
        if _fill(file, _bytes(array)) < entry.length:
            raise SerializationError(f"{source} is truncated: it ends inside {name!r}; load an earlier one")
        crc = zlib.crc32(_bytes(array), crc)
        arrays[name] = _native(array, entry)
    expected = header.metadata.get("allgrad.data_crc32")
    if expected is not None and expected != f"{crc:08x}":
        raise SerializationError(
            f"{source} is damaged: its data has check sum {crc:08x}, not {expected}; load an earlier one"
        )
    return arrays


def map_arrays(file: BinaryIO, header: Header) -> dict[str, Array]:
    """Map all arrays into memory: nothing is read before it is used; writing changes a private copy."""
    if header.size == header.data_start:
        return {name: np.empty(entry.shape, DTYPES[entry.dtype]) for name, entry in header.entries.items()}
    mapped = mmap.mmap(file.fileno(), header.size, access=mmap.ACCESS_COPY)
    arrays = {}
    for name, entry in header.entries.items():
        offset = header.data_start + entry.start
        array = np.ndarray(entry.shape, DTYPES[entry.dtype], mapped, offset if entry.length else 0)
        arrays[name] = _native(array, entry)
    return arrays


def _bytes(array: Array) -> memoryview:
    return array.reshape(-1).view(np.uint8).data


def _fill(file: BinaryIO, buffer: memoryview) -> int:
    """Read until the buffer is full or the file ends; return the number of bytes read."""
    done = 0
    while done < len(buffer):
        piece = file.read(min(len(buffer) - done, 1 << 24))
        if not piece:
            break
        buffer[done : done + len(piece)] = piece
        done += len(piece)
    return done


def _brain_float() -> np.dtype[Any] | None:
    try:
        return dtypes.bfloat16.numpy
    except ModuleNotFoundError:
        return None


def _native(array: Array, entry: Entry) -> Array:
    """Return the array in NumPy's terms: bfloat16 without ml_dtypes is the float32 of the same value."""
    if entry.dtype == "BF16":
        bfloat16 = _brain_float()
        return (array.astype(np.uint32) << 16).view(np.float32) if bfloat16 is None else array.view(bfloat16)
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def _entries(fields: dict[str, Any]) -> dict[str, Entry]:
    entries = {}
    for name, field in fields.items():
        dtype, shape, (start, end) = field["dtype"], tuple(field["shape"]), field["data_offsets"]
        _require(dtype in DTYPES, f"dtype {dtype!r} of {name!r}, which NumPy has no equal for")
        _require(all(type(n) is int and n >= 0 for n in (*shape, start, end)), f"a bad number for {name!r}")
        length = math.prod(shape) * np.dtype(DTYPES[dtype]).itemsize
        _require(end - start == length, f"offsets of {name!r} that do not fit its shape {list(shape)}")
        entries[name] = Entry(dtype, shape, start, length)
    position = 0
    in_order = dict(sorted(entries.items(), key=lambda item: (item[1].start, item[1].length)))
    for name, entry in in_order.items():
        _require(entry.start == position, f"a gap or an overlap before {name!r}")
        position += entry.length
    return in_order


def _require(condition: bool, found: str) -> None:
    if not condition:
        raise ValueError(f"it holds {found}")


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    _require(len(fields) == len(pairs), "a name twice")
    return fields


def _check_header_sum(text: bytes, metadata: Mapping[str, str], source: str) -> None:
    if not any(name.startswith("allgrad.") for name in metadata):
        return
    blank = _HEADER_SUM.sub(b'"allgrad.header_crc32":"00000000"', text, count=1)
    found = f"{zlib.crc32(blank):08x}"
    if found != metadata.get("allgrad.header_crc32"):
        raise SerializationError(f"{source} is damaged: its header does not match its check sum; load an earlier one")
