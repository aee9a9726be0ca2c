"""Memory that can be given back to the system while arrays over it live, and be filled again."""

from __future__ import annotations

import mmap
from typing import Any

import numpy as np

from .shares import Array


class Pages:
    """An array of *size* elements over pages of its own, all zero at first and after `drop`."""

    def __init__(self, size: int, dtype: np.dtype[Any]) -> None:
        # Only private pages go when they are no longer needed.
        self._pages = mmap.mmap(-1, max(size * dtype.itemsize, 1), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self.array: Array = np.frombuffer(self._pages, dtype, size)

    def another(self) -> Array:
        """Return a second array over the same memory."""
        return np.frombuffer(self._pages, self.array.dtype, self.array.size)

    def drop_except(self, start: int, stop: int) -> None:
        """Give the memory back, as `drop` does, except that of the elements *start* to *stop* and of what shares a page."""
        width, page = self.array.itemsize, mmap.PAGESIZE
        before = start * width // page * page
        after = -(-stop * width // page) * page
        if before:
            self._pages.madvise(mmap.MADV_DONTNEED, 0, before)
        if after < len(self._pages):
            self._pages.madvise(mmap.MADV_DONTNEED, after, len(self._pages) - after)

    def drop(self) -> None:
        """Give the memory back; what views of it show is undefined until it is written again."""
        self.drop_except(0, 0)
