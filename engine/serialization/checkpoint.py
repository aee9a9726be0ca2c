"""``save`` and ``load``: PyTorch's two functions over safetensors files."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from ..devices import device
from ..tensors.tensor import Tensor
from .atomic import write_atomically
from .safetensors import SerializationError, map_arrays, read_arrays, read_header, write
from .sharded import load_folder
from .structure import Encoder, decode

FileLike = str | os.PathLike[str] | BinaryIO
MapLocation = str | device | Mapping[str, str] | Callable[..., Any] | None

_VERSION = "1"


def save(obj: object, f: FileLike) -> None:
    """Store a value and its tensors in one file: a ``state_dict``, or a dict of several with step and seeds.

    Tensors, NumPy arrays, None, bool, int, float, complex, str, bytes, dtypes, dict, list, tuple and set can
    be nested as you like. The file is in the safetensors format: its tensors are named by their paths
    (``model.0.weight``) and any safetensors library reads them; the structure is JSON in the header. A path
    is written atomically: a crash, a full disk or an error leave what was there before.

    Args:
        obj: what to store.
        f: a path, or a file opened for writing bytes.

    Raises:
        TypeError: ``obj`` holds something that cannot be stored; the message says where in it.
        ValueError: a container in ``obj`` contains itself.
        OSError: the file cannot be written.

    Example:
        >>> import allgrad as torch, io
        >>> file = io.BytesIO()
        >>> torch.save({"step": 3, "weight": torch.ones(2)}, file)
        >>> _ = file.seek(0)
        >>> torch.load(file)
        {'step': 3, 'weight': tensor([1., 1.])}
    """
    encoder = Encoder()
    structure = json.dumps(encoder.encode(obj), separators=(",", ":"))
    metadata = {"format": "pt", "allgrad.version": _VERSION, "allgrad.structure": structure}
    if isinstance(f, str | os.PathLike):
        write_atomically(Path(f), lambda file: write(file, encoder.arrays, metadata))
    else:
        write(f, encoder.arrays, metadata)


def load(f: FileLike, map_location: MapLocation = None, *, weights_only: bool = True, mmap: bool | None = None) -> Any:
    """Return what ``save`` stored, or the tensors by name of a safetensors file that came from elsewhere.

    Nothing in a file is executed, whatever it holds. The file's check sums are compared; with ``mmap`` only
    that of the header.

    Args:
        f: a path, or a file opened for reading bytes, read from its current position to the end of what was
            saved; or the folder of a checkpoint that ranks have written together (``dist.Checkpointer``).
        map_location: accepted as PyTorch does; every tensor is on the CPU.
        weights_only: accepted as PyTorch does; False changes nothing.
        mmap: map the file instead of reading it, so that a part is read when it is used; ``f`` must be a
            path.

    Raises:
        SerializationError: the file is truncated or damaged, or of another format, such as PyTorch's ``.pt``.
        FileNotFoundError: there is no such file.
        RuntimeError: ``map_location`` names a device that does not exist.
    """
    if isinstance(map_location, str | device):
        device(map_location)
    if isinstance(f, str | os.PathLike):
        path = Path(f)
        if path.is_dir():
            return load_folder(path)
        with path.open("rb") as file:
            return _load(file, str(path), size=os.fstat(file.fileno()).st_size, mapped=bool(mmap))
    if mmap:
        raise ValueError("load: mmap=True needs the path of a file, not an open file")
    return _load(f, str(getattr(f, "name", "the file")), size=None, mapped=False)


def _load(file: BinaryIO, source: str, *, size: int | None, mapped: bool) -> Any:
    header = read_header(file, source)
    if size is not None and size != header.size:
        state = "truncated" if size < header.size else "damaged"
        raise SerializationError(
            f"{source} is {state}: its header tells of {header.size} bytes, found {size}; load an earlier one"
        )
    arrays = map_arrays(file, header) if mapped else read_arrays(file, header, source)
    structure = header.metadata.get("allgrad.structure")
    if structure is None:
        return {name: Tensor._wrap(array) for name, array in arrays.items()}
    version = header.metadata.get("allgrad.version")
    if version != _VERSION:
        raise SerializationError(
            f"{source} has version {version} of allgrad's structure, and this allgrad reads {_VERSION}"
        )
    try:
        return decode(json.loads(structure), arrays)
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise SerializationError(f"{source} has a damaged structure: {error}") from None
