"""How many threads matrix products use: the number is handed to the BLAS libraries that NumPy and SciPy have loaded.

The wheels of both carry OpenBLAS under names of their own; each library exports one pair of functions.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from typing import NamedTuple

import numpy as np  # noqa: F401 -- loading it loads its BLAS

_SETTERS = ("scipy_openblas_set_num_threads64_", "scipy_openblas_set_num_threads", "openblas_set_num_threads64_",
            "openblas_set_num_threads", "MKL_Set_Num_Threads", "bli_thread_set_num_threads")  # fmt: skip
_GETTERS = {"MKL_Set_Num_Threads": "MKL_Get_Max_Threads"}


class _Blas(NamedTuple):
    """The two functions of a loaded BLAS library."""

    set: Callable[[int], object]
    get: Callable[[], int]


@cache
def _library(path: str) -> _Blas | None:
    """The library at *path*, which this process has loaded; None if it is no BLAS that can be told."""
    with suppress(OSError):
        library = ctypes.CDLL(path, mode=getattr(os, "RTLD_NOLOAD", 0) | os.RTLD_LAZY)
        for setter in _SETTERS:
            if hasattr(library, setter):
                return _Blas(
                    getattr(library, setter), getattr(library, _GETTERS.get(setter, setter.replace("set", "get")))
                )
    return None


def _libraries() -> Iterator[_Blas]:
    """The BLAS libraries of this process; SciPy's own comes when SciPy is imported."""
    with suppress(OSError), open("/proc/self/maps") as maps:
        paths = {line.split(maxsplit=5)[-1].strip() for line in maps if ".so" in line}
        for path in sorted(paths):
            name = os.path.basename(path).lower()
            if any(part in name for part in ("blas", "mkl_rt", "blis")) and (found := _library(path)) is not None:
                yield found


class _State:
    """The numbers that were asked for; None until then."""

    wanted: int | None = None
    between: int | None = None
    serial = False  # deterministic algorithms keep the libraries on one thread


def can_be_set() -> bool:
    """Whether there is a BLAS library here whose threads can be told."""
    return next(_libraries(), None) is not None


def set_num_threads(num: int) -> None:
    """Let matrix products and decompositions use *num* threads from now on.

    While ``use_deterministic_algorithms(True)`` holds they stay on one, and *num* counts afterwards.

    Raises:
        RuntimeError: *num* is no positive int.

    Example:
        >>> import allgrad as torch
        >>> torch.set_num_threads(1)
        >>> torch.get_num_threads()
        1
    """
    if not isinstance(num, int) or isinstance(num, bool):
        raise RuntimeError(f"set_num_threads expects an int, but got {type(num).__name__}")
    if num <= 0:
        raise RuntimeError(f"set_num_threads expects a positive integer, found {num}")
    _State.wanted = num
    _apply()


def get_num_threads() -> int:
    """How many threads matrix products and decompositions use, unless deterministic algorithms keep them on one."""
    if _State.wanted is not None:
        return _State.wanted
    found = next(_libraries(), None)
    return found.get() if found is not None else len(os.sched_getaffinity(0))


def keep_serial(serial: bool) -> None:
    """Keep the libraries on one thread, or give them back the number they had."""
    if serial and not _State.serial:
        _State.wanted = get_num_threads()
    _State.serial = serial
    _apply()


def _apply() -> None:
    if _State.wanted is not None:
        for library in _libraries():
            library.set(1 if _State.serial else _State.wanted)


def set_num_interop_threads(num: int) -> None:
    """Accept the number that PyTorch runs independent operations on: here they run one after the other.

    RuntimeError if *num* is not positive.
    """
    if num <= 0:
        raise RuntimeError(f"set_num_interop_threads expects a positive integer, found {num}")
    _State.between = num


def get_num_interop_threads() -> int:
    """The number given to ``set_num_interop_threads``, or 1."""
    return _State.between or 1
