"""IDX files, the format of MNIST and its kin: a type, the sizes of the dimensions, then the values."""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def read_idx(path: Path) -> npt.NDArray[Any]:
    """Return the array in an IDX file, which may be compressed with gzip whatever its name is.

    Raises:
        ValueError: the file is no IDX file, is truncated, or goes on after its array; the message says which.
        FileNotFoundError: there is no such file.
    """
    content = path.read_bytes()
    if content[:2] == b"\x1f\x8b":
        try:
            content = gzip.decompress(content)
        except (EOFError, OSError, zlib.error) as error:
            raise ValueError(f"{path} is damaged: {error}; get it again") from None
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] not in _TYPES:
        raise ValueError(
            f"{path} is not an IDX file: it starts with {content[:4]!r}, "
            "where one of bytes starts with b'\\x00\\x00\\x08'"
        )
    dtype, dimensions = np.dtype(_TYPES[content[2]]), content[3]
    start = 4 + 4 * dimensions
    shape = tuple(np.frombuffer(content[4:start], ">u4", count=min(dimensions, (len(content) - 4) // 4)).tolist())
    expected = start + math.prod(shape) * dtype.itemsize
    if len(shape) < dimensions or len(content) < expected:
        raise ValueError(f"{path} is truncated: it has {len(content)} bytes of at least {expected}; get it again")
    if len(content) > expected:
        raise ValueError(f"{path} is damaged: {len(content) - expected} bytes follow its {shape} array; get it again")
    return np.frombuffer(content, dtype, offset=start).reshape(shape)
