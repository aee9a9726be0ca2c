"""The matrix of the powers of a vector, the highest first."""

from __future__ import annotations

from ..registry import composite
from ..registry.samples import on, real
from ..tensors.tensor import Tensor
from .products import vander as rising_powers


@composite(method=False, samples=on(real(3)))
def vander(x: Tensor, N: int | None = None, increasing: bool = False) -> Tensor:
    """The powers of the vector x in *N* columns (as many as x is long), the highest first unless *increasing*.

    >>> import allgrad as torch
    >>> torch.vander(torch.tensor([1, 2, 3]))
    tensor([[1, 1, 1],
            [4, 2, 1],
            [9, 3, 1]])
    """
    if x.ndim != 1:
        raise RuntimeError("x must be a one-dimensional tensor.")
    powers: Tensor = rising_powers(x, N)
    return powers if increasing else powers.flip(-1)
