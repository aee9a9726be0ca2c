"""The ranks of one training run: the lazy face of the room, whose names are listed in api.py.

Every rank, and every sister module such as ``allgrad.dist.rank``, executes this page first, so it must load neither
NumPy nor MPI. The first use of any name loads the room once and fills these globals.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from . import threads

if TYPE_CHECKING:
    from .api import *  # noqa: F403 -- the one page that lists the public names

threads.share_cores(os.environ)


def _load() -> dict[str, Any]:
    api = import_module(".api", __name__)
    names = {name: getattr(api, name) for name in api.__all__}
    globals().update(names)
    return names


def __getattr__(name: str) -> Any:
    if not name.startswith("__"):
        names = _load()
        if name in names:
            return names[name]
    raise AttributeError(f"module 'allgrad.dist' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_load()})


class _Room(ModuleType):
    """This module, which can be called: PyTorch has a function of its name, the distance of two tensors."""

    def __call__(self, input: Any, other: Any, p: float = 2) -> Any:
        """Return the *p*-norm of input - other, as ``input.dist(other, p)`` does."""
        return input.dist(other, p)


sys.modules[__name__].__class__ = _Room
