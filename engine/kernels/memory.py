"""How the C library keeps the memory of arrays: freed pages are given back to the system, and touching them again is slow.

A training step frees all that its graph held, and the next one asks for as much again. glibc gives freed memory back above a
threshold; faults on the pages it takes anew were a sixth of a step's time.
"""

from __future__ import annotations

import ctypes
import os

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of mallopt, see malloc.h
_KEPT = 256 << 20  # bytes of freed memory that are kept at most
_OWN_MAPPING = 32 << 20  # bytes from which on an array has a mapping of its own, which is given back at once


def keep_freed_memory() -> None:
    """Let the C library keep up to 256 MB of freed memory for the next arrays.

    Nothing is done where the user has chosen (glibc's ``MALLOC_TRIM_THRESHOLD_`` or ``GLIBC_TUNABLES``, or
    ``ALLGRAD_KEEP_MEMORY=0``), or where there is no glibc.
    """
    chosen = {"MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES"} & os.environ.keys()
    if chosen or os.environ.get("ALLGRAD_KEEP_MEMORY") == "0":
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # another C library
        return
    mallopt(_MMAP_THRESHOLD, _OWN_MAPPING)
    mallopt(_TRIM_THRESHOLD, _KEPT)
