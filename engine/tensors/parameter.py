"""Parameter: the tensor that a module registers as its own and an optimizer changes."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..dtypes import get_default_dtype
from .copies import copied
from .tensor import Tensor


class Parameter(Tensor):
    """A tensor over the memory of ``data`` that requires grad and that a Module notices when it is assigned.

    Args:
        data: the values; empty if not given. Not copied, and cut off from the graph that made it.
        requires_grad: False for a value that is not to be trained.

    Raises:
        TypeError: ``data`` is no Tensor.
        RuntimeError: ``data`` is neither floating nor complex and ``requires_grad`` is not False.

    Example:
        >>> import allgrad as torch
        >>> torch.nn.Parameter(torch.zeros(2))
        Parameter containing:
        tensor([0., 0.], requires_grad=True)
    """

    __slots__ = ()

    # Results computed from a parameter, and its gradient, are plain tensors.
    _wrap = Tensor._wrap  # type: ignore[assignment]

    def __init__(self, data: Tensor | None = None, requires_grad: bool = True) -> None:
        if data is not None and not isinstance(data, Tensor):
            raise TypeError(f"Parameter wants a Tensor, found {type(data).__name__}: wrap it in torch.tensor(...)")
        self._array = np.empty(0, get_default_dtype().numpy) if data is None else data._array
        self._node = self._grad = self._counter = self._view = None
        if requires_grad:
            self.requires_grad_()

    def __deepcopy__(self, memo: dict[int, Any]) -> Parameter:
        found: Parameter | None = memo.get(id(self))
        if found is None:
            found = memo[id(self)] = type(self)(Tensor._wrap(copied(self._array, memo)), self.requires_grad)
            if self._grad is not None:
                found._grad = self._grad.__deepcopy__(memo)
            found.__dict__.update(self.__dict__)
        return found

    def __reduce_ex__(self, protocol: Any) -> Any:
        return _restore, (type(self), self._array, self.requires_grad, dict(self.__dict__))

    def __repr__(self) -> str:
        return f"Parameter containing:\n{super().__repr__()}"


def _restore(kind: type[Parameter], array: Any, requires_grad: bool, state: dict[str, Any]) -> Parameter:
    made = kind(Tensor._wrap(array), requires_grad)
    made.__dict__.update(state)
    return made
