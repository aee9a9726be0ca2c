"""Dropout: elements left out at random while training."""

from __future__ import annotations

from ..operations.random_tensors import dropout
from ..tensors.tensor import Tensor
from .module import Module


class Dropout(Module):
    """Sets each element to 0 with probability *p* while training, and scales the others by 1 / (1 - p).

    Raises:
        ValueError: *p* is not between 0 and 1.
    """

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        super().__init__()
        if not 0 <= p <= 1:
            raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")
        self.p = p
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        """Return *input* with elements left out while training, and as it is otherwise."""
        return dropout(input, self.p, self.training, self.inplace)

    def extra_repr(self) -> str:
        return f"p={self.p}, inplace={self.inplace}"
