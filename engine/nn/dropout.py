"""Dropout: elements or channels left out at random while training."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from ..operations import dropouts
from ..tensors.tensor import Tensor
from .module import Module


class _Dropout(Module):
    """Leaves out with probability *p* while training; ValueError unless *p* is between 0 and 1."""

    function: ClassVar[Callable[..., Any]]

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        super().__init__()
        if not 0 <= p <= 1:
            raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")
        self.p = p
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        """Return *input* with parts left out while training, and as it is otherwise."""
        return type(self).function(input, self.p, self.training, self.inplace)  # type: ignore[no-any-return]

    def extra_repr(self) -> str:
        return f"p={self.p}, inplace={self.inplace}"


class Dropout(_Dropout):
    """Sets each element to 0 with probability *p* while training, and scales the others by 1 / (1 - p).

    Raises:
        ValueError: *p* is not between 0 and 1.

    Example:
        >>> import allgrad as torch
        >>> torch.nn.Dropout(0.5).eval()(torch.ones(2))
        tensor([1., 1.])
    """

    function = staticmethod(dropouts.dropout)


class Dropout1d(_Dropout):
    """Sets whole channels of (N, C, L) or (C, L) to 0 while training, and scales the others by 1 / (1 - p)."""

    function = staticmethod(dropouts.dropout1d)


class Dropout2d(_Dropout):
    """Sets whole channels of images (N, C, H, W) to 0 while training, and scales the others by 1 / (1 - p)."""

    function = staticmethod(dropouts.dropout2d)


class Dropout3d(_Dropout):
    """Sets whole channels of volumes (N, C, D, H, W) to 0 while training, and scales the others by 1 / (1 - p)."""

    function = staticmethod(dropouts.dropout3d)


class AlphaDropout(_Dropout):
    """Dropout for SELU networks: mean and variance stay (Klambauer et al. 2017)."""

    function = staticmethod(dropouts.alpha_dropout)


class FeatureAlphaDropout(_Dropout):
    """AlphaDropout of whole channels of (N, C, …)."""

    function = staticmethod(dropouts.feature_alpha_dropout)
