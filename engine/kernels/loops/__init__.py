"""Loops compiled by Numba, an extra: the door to them, which loads Numba on first use and does without where it is absent.

Each module beside this one holds loops over arrays, and is imported only through ``loops``. A loop stands for a function of
NumPy in ``allgrad.kernels``, its twin, which says what it means and runs where Numba is not installed.
"""

from __future__ import annotations

import importlib.util
import os
import threading
from typing import Any

import numpy as np

WORTHWHILE = 1 << 14  # elements below which NumPy is fast enough, and Numba is not loaded for their sake

_loading = threading.Lock()
_loaded: dict[str, Any] = {}


def loops(module: str, *arrays: np.ndarray[Any, Any]) -> Any:
    """The module of that name beside this one if its loops are fit for *arrays*, else None.

    They are for contiguous float32 and float64 arrays, all of one type, the first of which is large enough to be worth it.
    None also without Numba, and with ``ALLGRAD_JIT=0`` in the environment.
    """
    first = arrays[0]
    if first.size < WORTHWHILE or first.dtype.char not in "fd":
        return None
    for array in arrays:
        if array.dtype != first.dtype or not array.flags.c_contiguous:
            return None
    return load(module)


def load(module: str) -> Any:
    """The module of that name beside this one, or None without Numba."""
    try:
        return _loaded[module]
    except KeyError:
        pass
    with _loading:
        _loaded[module] = importlib.import_module(f".{module}", __name__) if _may_compile() else None
    return _loaded[module]


def _may_compile() -> bool:
    return os.environ.get("ALLGRAD_JIT") != "0" and importlib.util.find_spec("numba") is not None
