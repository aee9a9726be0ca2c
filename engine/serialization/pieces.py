"""A tensor in pieces, of which several processes hold one each, and all of them write one checkpoint."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


@dataclass
class Pieces:
    """A tensor of *shape* whose elements, in order, lie one after the other in pieces of one dimension.

    ``sharded.plan`` stores it; what is loaded is one tensor.
    """

    shape: tuple[int, ...]
    pieces: list[tuple[int, Array]] = field(default_factory=list)
    """In which part of the checkpoint each piece lies, and its values; without meaning where another process has them."""

    def add(self, part: int, size: int, dtype: np.dtype[Any], values: Array | None) -> None:
        """Add the next *size* elements; *values* is None for those that another process writes, into *part*."""
        self.pieces.append((part, np.broadcast_to(np.zeros((), dtype), (size,)) if values is None else values))
