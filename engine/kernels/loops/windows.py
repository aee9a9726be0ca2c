"""Where windows lie on images."""

from __future__ import annotations

from .compiler import compiled


@compiled
def span(n: int, count: int, stride: int, offset: int) -> tuple[int, int]:
    """The range of windows whose element at *offset* from the window's corner lies on an image of length *n*."""
    first = 0 if offset >= 0 else (-offset + stride - 1) // stride
    last = (n - 1 - offset) // stride + 1 if offset < n else 0
    return min(first, count), max(min(first, count), min(last, count))
