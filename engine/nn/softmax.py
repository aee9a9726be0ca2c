"""Modules that make probabilities along a dimension."""

from __future__ import annotations

from ..operations.activation import softmin
from ..operations.loss import log_softmax, softmax
from ..tensors.tensor import Tensor
from .module import Module


class _AlongDim(Module):
    """A function along the dimension *dim*."""

    def __init__(self, dim: int | None = None) -> None:
        super().__init__()
        self.dim = dim

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class Softmax(_AlongDim):
    """exp(x), normalised to a sum of 1 along *dim*.

    Example:
        >>> import allgrad as torch
        >>> torch.nn.Softmax(dim=0)(torch.tensor([0.0, 0.0]))
        tensor([0.5000, 0.5000])
    """

    def forward(self, input: Tensor) -> Tensor:
        """Return the softmax along the dimension."""
        probabilities: Tensor = softmax(input, self.dim)
        return probabilities


class LogSoftmax(_AlongDim):
    """The logarithm of the softmax along *dim*."""

    def forward(self, input: Tensor) -> Tensor:
        """Return the logarithm of the softmax along the dimension."""
        logarithms: Tensor = log_softmax(input, self.dim)
        return logarithms


class Softmin(_AlongDim):
    """The softmax of -x along *dim*."""

    def forward(self, input: Tensor) -> Tensor:
        """Return the softmax of -input along the dimension."""
        return softmin(input, self.dim)


class Softmax2d(Module):
    """The softmax over the channels of images (N, C, H, W) or (C, H, W), at every place.

    Raises:
        ValueError: another number of dimensions.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Return the softmax over the channels."""
        if input.ndim not in (3, 4):
            raise ValueError(f"Softmax2d: expected input to be 3D or 4D, got {input.ndim}D instead")
        probabilities: Tensor = softmax(input, -3)
        return probabilities
