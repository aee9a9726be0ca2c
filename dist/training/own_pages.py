"""Which pages of a private mapping this process has written, and so has copies of; Linux tells by /proc/self/pagemap."""

from __future__ import annotations

import ctypes
import fcntl
import mmap
import os
import struct
from functools import cache

import numpy as np

_PAGEMAP = "/proc/self/pagemap"
# Bits of an entry: the page is in memory, on disk, or still the file's.
_PRESENT, _SWAPPED, _OF_FILE = 1 << 63, 1 << 62, 1 << 61

# PAGEMAP_SCAN of linux/fs.h, since Linux 6.7: its number, its argument, and how it calls these three. It looks at the entries
# without handing them out, and ends at the first one that is asked for.
_SCAN = 0xC0606610
_Argument = struct.Struct("12Q")
_KIND_OF_FILE, _KIND_PRESENT, _KIND_SWAPPED = 1 << 2, 1 << 3, 1 << 4


class OwnPages:
    """Finds the pages that this process has copies of, in the mapping at *address*."""

    def __init__(self, address: int) -> None:
        self._address = address
        self._found = (ctypes.c_uint64 * 3)()
        self._pagemap = _open_pagemap()
        self._scans = self._pagemap is not None

    def __contains__(self, span: tuple[int, int]) -> bool:
        """Whether there is one in the *span*: whole pages, by their start in the mapping and length in bytes, not 0.

        True also where the system does not tell.
        """
        start, length = self._address + span[0], span[1]
        if self._pagemap is None:
            return True
        if self._scans:
            try:
                return self._scan(self._pagemap, start, length)
            except OSError:  # an older kernel
                self._scans = False
        found = os.pread(self._pagemap, length // mmap.PAGESIZE * 8, start // mmap.PAGESIZE * 8)
        entries = np.frombuffer(found, np.uint64)
        return bool(np.any(((entries & (_PRESENT | _SWAPPED)) != 0) & ((entries & _OF_FILE) == 0)))

    def _scan(self, pagemap: int, start: int, length: int) -> bool:
        inverted, required, any_of = _KIND_OF_FILE, _KIND_OF_FILE, _KIND_PRESENT | _KIND_SWAPPED
        room, most = ctypes.addressof(self._found), 1
        words = _Argument.size, 0, start, start + length, 0, room, 1, most, inverted, required, any_of, any_of
        found: int = fcntl.ioctl(pagemap, _SCAN, bytearray(_Argument.pack(*words)))
        return found > 0


@cache
def _open_pagemap() -> int | None:
    try:
        return os.open(_PAGEMAP, os.O_RDONLY)
    except OSError:
        return None
