"""PyTorch-like automatic differentiation on NumPy: the lazy face of the engine, whose names are listed in api.py.

Importing a sister room (``allgrad.server``) executes this module, so it must not load NumPy. The first use of any
name loads the engine once and fills these globals; later look-ups cost nothing. A module of the engine never bears the
name of a public function or class (hence tensors/, devices.py), since importing it would put it in that place.
"""

from __future__ import annotations

from importlib import import_module
from importlib.machinery import PathFinder
from typing import TYPE_CHECKING, Any

from . import torch_names as _torch_names

if TYPE_CHECKING:
    from . import datasets as datasets
    from . import nn as nn
    from . import optim as optim
    from . import utils as utils
    from .api import *  # noqa: F403 -- the one page that lists the public names

__version__ = "0.1.0"


def _load() -> dict[str, Any]:
    api = import_module(".api", __name__)
    names = {name: value for name, value in vars(api).items() if not name.startswith("_")}
    globals().update(names)
    return names


def __getattr__(name: str) -> Any:
    if not name.startswith("__"):
        if PathFinder.find_spec(f"{__name__}.{name}", globals()["__path__"]) is not None:
            return import_module(f".{name}", __name__)
        names = _load()
        if name in names:
            return names[name]
    return _torch_names.lent(__name__, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_load()})


_torch_names.find_renamed()
