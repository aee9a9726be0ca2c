"""``Variable``, PyTorch's old name for tensors that record."""

from __future__ import annotations

from typing import Any

from ..tensors.tensor import Tensor


class _VariableType(type):
    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, Tensor)


class Variable(metaclass=_VariableType):
    """``Variable(data, requires_grad)`` is a Tensor over the memory of *data*; every Tensor is an instance of it."""

    def __new__(cls, data: Tensor, requires_grad: bool = False) -> Any:
        return data.detach().requires_grad_(requires_grad)
