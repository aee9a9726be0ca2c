"""Making a module without drawing its first weights, for weights that are about to be loaded."""

from __future__ import annotations

import inspect
from typing import Any, TypeVar

from .. import init
from ..module import Module

M = TypeVar("M", bound=Module)


def skip_init(module_cls: type[M], *args: Any, **kwargs: Any) -> M:
    """Return ``module_cls(*args, **kwargs)`` whose weights hold whatever their memory did.

    RuntimeError unless *module_cls* is a module class that takes a device.

    Example:
        >>> import allgrad as torch
        >>> torch.nn.utils.skip_init(torch.nn.Linear, 2, 3).weight.shape
        torch.Size([3, 2])
    """
    if not issubclass(module_cls, Module):
        raise RuntimeError(f"Expected a Module; got {module_cls}")
    if "device" not in inspect.signature(module_cls).parameters:
        raise RuntimeError("Module must support a 'device' arg to skip initialization")
    with init.skipped():
        return module_cls(*args, **kwargs)
