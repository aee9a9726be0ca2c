"""How the C library keeps the memory of arrays: freed pages are given back to the system, and touching them again is slow.

A training step frees all that its graph held, and the next one asks for as much again. glibc gives freed memory back beyond a
threshold, which it raises, to 64 MB at most, once a large block has been freed. So one is.
"""

from __future__ import annotations

import numpy as np

_LARGEST = (32 << 20) - (64 << 10)  # bytes; glibc learns nothing from blocks of more than 32 MB


def keep_freed_memory() -> None:
    """Let the C library keep up to 64 MB of freed memory for the next arrays, and serve large ones from it.

    The block that teaches it is never touched, so that it takes no memory.
    """
    np.empty(_LARGEST, np.uint8)
