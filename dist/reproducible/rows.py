"""All gradients of a model, and the changes of its buffers, in rows of memory that are added as a whole."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


class Row:
    """One place for each of some arrays, of given shapes and dtypes, in one flat array for each dtype."""

    def __init__(self, shapes: Sequence[tuple[tuple[int, ...], np.dtype[Any]]]) -> None:
        sizes: dict[np.dtype[Any], int] = {}
        places: list[tuple[np.dtype[Any], int, tuple[int, ...]]] = []
        for shape, dtype in shapes:
            places.append((dtype, sizes.get(dtype, 0), shape))
            sizes[dtype] = sizes.get(dtype, 0) + math.prod(shape)
        flat = {dtype: np.empty(size, dtype) for dtype, size in sizes.items()}
        self.flats = list(flat.values())
        self.views = [flat[dtype][start : start + math.prod(shape)].reshape(shape) for dtype, start, shape in places]

    def clear(self, number: int | None = None) -> None:
        """Put the neutral element of addition into place *number*, or everywhere.

        That is -0.0, which changes no number it is added to: 0.0 would turn a -0.0 into 0.0.
        """
        for view in self.flats if number is None else [self.views[number]]:
            view[...] = -0.0


class Rows:
    """Rows of one layout that are taken and given back, so that each step finds its memory where the last left it."""

    def __init__(self, shapes: Sequence[tuple[tuple[int, ...], np.dtype[Any]]]) -> None:
        self._shapes = list(shapes)
        self._free: list[Row] = []

    def take(self) -> Row:
        """Return a row with any content."""
        return self._free.pop() if self._free else Row(self._shapes)

    def give_back(self, row: Row) -> None:
        """Let *row* be taken anew."""
        self._free.append(row)

    def add(self, left: Row, right: Row) -> Row:
        """Return *left* with *right* added to it, and give *right* back."""
        for a, b in zip(left.flats, right.flats, strict=True):
            np.add(a, b, out=a)
        self.give_back(right)
        return left
