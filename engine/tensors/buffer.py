"""Buffer: the tensor that a module registers as part of its state when it is assigned."""

from __future__ import annotations

import numpy as np

from ..dtypes import get_default_dtype
from .tensor import Tensor


class Buffer(Tensor):
    """A tensor over the memory of *data* that a Module takes as a buffer when it is assigned.

    Args:
        data: the values; empty if not given. Not copied.
        persistent: False keeps it out of the module's ``state_dict``.

    Example:
        >>> import allgrad as torch
        >>> module = torch.nn.Module()
        >>> module.count = torch.nn.Buffer(torch.zeros(1))
        >>> list(module.state_dict())
        ['count']
    """

    __slots__ = ()

    # Results computed from a buffer are plain tensors.
    _wrap = Tensor._wrap  # type: ignore[assignment]
    persistent: bool

    def __init__(self, data: Tensor | None = None, *, persistent: bool = True) -> None:
        self._array = np.empty(0, get_default_dtype().numpy) if data is None else data._array
        self._node = self._grad = self._counter = self._view = None
        self.persistent = persistent
