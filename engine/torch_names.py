"""Lets scripts that say ``import torch`` run on allgrad, unchanged."""

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


class _TorchFinder:
    """Finds ``torch`` and ``torch.x`` as ``allgrad`` and ``allgrad.x``: the same module objects."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != "torch" and not fullname.startswith("torch."):
            return None
        return ModuleSpec(fullname, self, is_package=True)  # type: ignore[arg-type] # a loader by its methods

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
        module.__spec__ = self._own_spec  # the import system has just put torch's in its place


def _counterpart(fullname: str) -> str:
    """The name of the allgrad module behind ``torch…``."""
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
    if not any(isinstance(finder, _TorchFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _TorchFinder())  # a finder by its methods
