"""Lets scripts find what PyTorch has under its names: ``import torch``, unchanged, or ``import allgrad.distributed``."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

# Where allgrad's module has another name than PyTorch's. The one place where the engine mentions another room.
_RENAMED = {
    "distributed": "dist",
    "distributed.nn": "dist.functional",
    "distributed.nn.functional": "dist.functional",
    "nn.modules": "nn",
    "nn.modules.activation": "nn.activation",
    "nn.modules.batchnorm": "nn.normalization",
    "nn.modules.container": "nn.containers",
    "nn.modules.conv": "nn.convolution",
    "nn.modules.loss": "nn.loss",
    "nn.modules.module": "nn.module",
    "nn.modules.rnn": "nn.recurrent",
    "nn.parallel": "dist",
    "nn.parameter": "nn.parameters",
    "utils.data.distributed": "dist",
}

# What stands elsewhere than in PyTorch, mostly lent by other rooms: where the module and the name lead.
_LENT = {
    ("allgrad.nn", "modules"): ("allgrad.nn", None),
    ("allgrad.nn", "parameter"): ("allgrad.nn.parameters", None),
    ("allgrad", "distributed"): ("allgrad.dist", None),
    ("allgrad.nn", "parallel"): ("allgrad.dist", None),
    ("allgrad.nn", "SyncBatchNorm"): ("allgrad.dist", "SyncBatchNorm"),
    ("allgrad.utils.data", "distributed"): ("allgrad.dist", None),
    ("allgrad.utils.data", "DistributedSampler"): ("allgrad.dist", "DistributedSampler"),
}


def lent(module: str, name: str) -> Any:
    """Return what another room lends to *module* as *name*, loaded now. AttributeError if there is no such thing.

    >>> import allgrad as torch
    >>> torch.nn.SyncBatchNorm.__name__
    'SyncBatchNorm'
    """
    if (module, name) not in _LENT:
        raise AttributeError(f"module {module!r} has no attribute {name!r}")
    room, thing = _LENT[module, name]
    found = importlib.import_module(room)
    return found if thing is None else getattr(found, thing)


class _Finder:
    """Finds ``root.x`` as the module of allgrad that is PyTorch's ``torch.x``: the same module object."""

    def __init__(self, root: str) -> None:
        self._root = root

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        root, _, inner = fullname.partition(".")
        if root != self._root or not self._is_for(inner):
            return None
        return ModuleSpec(fullname, self, is_package=True)  # type: ignore[arg-type] # a loader by its methods

    def _is_for(self, inner: str) -> bool:
        return True

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        counterpart = _counterpart(spec.name)
        try:
            module = importlib.import_module(counterpart)
        except ModuleNotFoundError as error:
            if error.name is None or not counterpart.startswith(error.name):
                raise
            raise ModuleNotFoundError(
                f"{spec.name} has no counterpart in allgrad ({error.name} does not exist)", name=spec.name
            ) from None
        self._own_spec = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self._own_spec  # the import system has just put the other name's in its place


class _RenamedFinder(_Finder):
    """Finds only what has another name in allgrad; what would lie below is not there, or modules would be loaded twice."""

    def _is_for(self, inner: str) -> bool:
        if inner not in _RENAMED and inner.rpartition(".")[0] in _RENAMED:
            raise ModuleNotFoundError(
                f"PyTorch's torch.{inner} has no counterpart in allgrad", name=f"{self._root}.{inner}"
            )
        return inner in _RENAMED


def _counterpart(fullname: str) -> str:
    """The name of the module behind ``torch…`` or ``allgrad…``."""
    inner = fullname.partition(".")[2]
    return f"allgrad.{_RENAMED.get(inner, inner)}" if inner else "allgrad"


def as_torch() -> None:
    """Let ``import torch`` and its submodules give allgrad in this process from now on.

    ``torch.distributed`` and ``torch.nn.parallel`` are ``allgrad.dist``, loaded when first asked for. A second call
    does nothing. RuntimeError if PyTorch itself is imported already.

    After ``allgrad.as_torch()``, ``import torch.nn.functional as F`` gives ``allgrad.nn.functional``.
    """
    found = sys.modules.get("torch")
    if found is not None and found.__name__ != "allgrad":
        raise RuntimeError(
            "as_torch() was called, but PyTorch itself is imported already: call it before anything imports torch"
        )
    if _torch not in sys.meta_path:
        sys.meta_path.insert(0, _torch)


def find_renamed() -> None:
    """Let what PyTorch calls otherwise be imported by its name there, too: ``allgrad.distributed`` is ``allgrad.dist``."""
    sys.meta_path.insert(0, _RenamedFinder("allgrad"))


_torch = _Finder("torch")
