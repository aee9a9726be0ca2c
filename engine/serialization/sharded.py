"""A value in a folder: its tensors in several files, which several processes may write, and a manifest of them.

Every part is a safetensors file like those of ``save``. The manifest holds the structure, and says which parts belong
to it and how they begin; it is put into place last, in one step, and so makes all of it valid.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from .atomic import write_atomically
from .safetensors import Array, SerializationError, read_arrays, read_header, write
from .structure import Encoder, decode

MANIFEST = "manifest.json"
_VERSION = "1"


@dataclass(frozen=True)
class Plan:
    """How a value is stored: its structure as JSON, its arrays by name, and which of them lie in which part."""

    structure: Any
    arrays: Mapping[str, Array]
    parts: Sequence[Sequence[str]]


def plan(value: object, parts: int) -> Plan:
    """Return how *value* is stored in *parts* files of about the same size; the same on all who have such a value.

    It may hold `Pieces`, each of which lies in the part that it names.
    TypeError or ValueError for what cannot be stored, as in ``save``.
    """
    encoder = Encoder()
    structure = encoder.encode(value)
    dealt: list[list[str]] = [[] for _ in range(parts)]
    filled = [0] * parts
    for name, array in sorted(encoder.arrays.items(), key=lambda item: (-item[1].nbytes, item[0])):
        part = encoder.parts.get(name, filled.index(min(filled)))
        dealt[part].append(name)
        filled[part] += array.nbytes
    return Plan(structure, encoder.arrays, dealt)


def write_part(path: Path, arrays: Mapping[str, Array]) -> None:
    """Write the file of one part and force it to disk; it is at *path* when it is whole, not before."""
    write_atomically(path, lambda file: write(file, arrays, {"format": "pt"}))


def write_manifest(folder: Path, parts: Sequence[str], structure: Any, details: Mapping[str, Any]) -> None:
    """Make the folder valid: its value has this *structure*, and its arrays lie in the files *parts*.

    *details* is what JSON can say beside the value. A manifest that is there is replaced in one step.
    """
    listed = [{"file": name, **_beginning(folder / name)} for name in parts]
    content = {"version": _VERSION, "parts": listed, "details": dict(details), "structure": structure}
    body = json.dumps(content, separators=(",", ":")).encode()
    text = b'{"crc32":"%08x","content":%s}\n' % (zlib.crc32(body), body)

    def fill(file: BinaryIO) -> None:
        file.write(text)

    write_atomically(folder / MANIFEST, fill)


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return the manifest: "parts", "details" and "structure".

    Raises:
        FileNotFoundError: the folder has none.
        SerializationError: it is damaged, or of another version.
    """
    text = (folder / MANIFEST).read_bytes()
    source = folder / MANIFEST
    try:
        found = json.loads(text)
        body = text.removesuffix(b"}\n").partition(b'"content":')[2]
        intact = found["crc32"] == f"{zlib.crc32(body):08x}"
        content: dict[str, Any] = found["content"]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise SerializationError(f"{source} is damaged ({error}); load an earlier one") from None
    if not intact:
        raise SerializationError(f"{source} is damaged: it does not match its check sum; load an earlier one")
    if content["version"] != _VERSION:
        raise SerializationError(f"{source} has version {content['version']}, and this allgrad reads {_VERSION}")
    return content


def load_folder(folder: Path) -> Any:
    """Return the value that is stored in *folder*, whose check sums are compared.

    Raises:
        FileNotFoundError: the folder has no manifest, so that nothing was saved there to the end.
        SerializationError: a part is missing, of another save, or damaged.
    """
    content = read_manifest(folder)
    arrays: dict[str, Array] = {}
    for part in content["parts"]:
        path = folder / part["file"]
        if not path.is_file() or _beginning(path) != {key: part[key] for key in ("size", "crc32")}:
            state = "of another save" if path.is_file() else "missing"
            raise SerializationError(f"{folder}: its part {part['file']} is {state}; load an earlier one")
        with path.open("rb") as file:
            arrays.update(read_arrays(file, read_header(file, str(path)), str(path)))
    try:
        return decode(content["structure"], arrays)
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise SerializationError(f"{folder} has a damaged structure: {error}") from None


def _beginning(path: Path) -> dict[str, Any]:
    """The size of a part and the check sum of its header, which holds that of its data."""
    with path.open("rb") as file:
        prefix = file.read(8)
        header = file.read(int.from_bytes(prefix, "little"))
    return {"size": path.stat().st_size, "crc32": f"{zlib.crc32(prefix + header):08x}"}
