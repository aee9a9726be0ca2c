"""Modules that measure how near vectors are."""

from __future__ import annotations

from ..operations.distances import cosine_similarity, pairwise_distance
from ..tensors.tensor import Tensor
from .module import Module


class PairwiseDistance(Module):
    """The *p*-norm of x1 - x2 + eps along the last dimension, which stays as 1 if *keepdim*.

    Example:
        >>> import allgrad as torch
        >>> torch.nn.PairwiseDistance(eps=0.0)(torch.zeros(1, 2), torch.tensor([[3.0, 4.0]]))
        tensor([5.])
    """

    def __init__(self, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> None:
        super().__init__()
        self.norm = p
        self.eps = eps
        self.keepdim = keepdim

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        """Return the distances of the vectors in *x1* and *x2* (…, D)."""
        return pairwise_distance(x1, x2, self.norm, self.eps, self.keepdim)


class CosineSimilarity(Module):
    """The cosine of the angle between vectors along *dim*, their lengths held above *eps*.

    Example:
        >>> import allgrad as torch
        >>> torch.nn.CosineSimilarity(dim=0)(torch.tensor([1.0, 0.0]), torch.tensor([0.0, 2.0]))
        tensor(0.)
    """

    def __init__(self, dim: int = 1, eps: float = 1e-8) -> None:
        super().__init__()
        self.dim = dim
        self.eps = eps

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        """Return the cosines of the vectors in *x1* and *x2*, whose shapes broadcast."""
        return cosine_similarity(x1, x2, self.dim, self.eps)
