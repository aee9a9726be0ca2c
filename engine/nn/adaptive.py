"""An output layer for many classes, the frequent ones cheaper than the rare."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ..operations.loss import log_softmax
from ..operations.shape import cat
from ..tensors.tensor import Tensor
from .containers import ModuleList, Sequential
from .linear import Linear
from .module import Module


class ASMoutput(NamedTuple):
    """The log-probabilities of the targets (N), and the mean of their negatives."""

    output: Tensor
    loss: Tensor


class AdaptiveLogSoftmaxWithLoss(Module):
    """A softmax over classes in clusters: a head of frequent classes, and tails of rarer ones on narrower inputs.

    E. Grave et al., Efficient softmax approximation for GPUs (arXiv:1609.04309). Classes are sorted by falling frequency.

    Args:
        in_features: width of the inputs.
        n_classes: how many classes there are.
        cutoffs: where the clusters end, rising, from 1 to n_classes - 1.
        div_value: each cluster's inputs are so many times narrower than those of the cluster before.
        head_bias: the head adds a learned vector.

    Raises:
        ValueError: cutoffs that do not rise from 1 to n_classes - 1 at most.

    Example:
        >>> import allgrad as torch
        >>> layer = torch.nn.AdaptiveLogSoftmaxWithLoss(8, 10, cutoffs=[3, 6], div_value=2.0)
        >>> layer.log_prob(torch.zeros(4, 8)).shape
        torch.Size([4, 10])
    """

    def __init__(
        self,
        in_features: int,
        n_classes: int,
        cutoffs: Sequence[int],
        div_value: float = 4.0,
        head_bias: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        ends = list(cutoffs)
        if not ends:
            raise ValueError("cutoffs should be a sequence of length larger than 0")
        if ends != sorted(set(ends)) or ends[0] <= 0 or ends[-1] >= n_classes or any(int(c) != c for c in ends):
            raise ValueError(
                "cutoffs should be a sequence of unique, positive integers sorted in an increasing order, where each value "
                f"is between 1 and n_classes-1, found {ends} and {n_classes} classes"
            )
        self.in_features = in_features
        self.n_classes = n_classes
        self.cutoffs = [*ends, n_classes]
        self.div_value = div_value
        self.head_bias = head_bias
        self.shortlist_size = ends[0]
        self.n_clusters = len(ends)
        self.head_size = self.shortlist_size + self.n_clusters
        self.head = Linear(in_features, self.head_size, head_bias, device, dtype)
        self.tail = ModuleList()
        for i in range(self.n_clusters):
            width = int(in_features // div_value ** (i + 1))
            classes = self.cutoffs[i + 1] - self.cutoffs[i]
            narrower = Linear(in_features, width, False, device, dtype)
            self.tail.append(Sequential(narrower, Linear(width, classes, False, device, dtype)))

    def reset_parameters(self) -> None:
        """Draw the parameters anew."""
        self.head.reset_parameters()
        for narrower, classes in self.tail:
            narrower.reset_parameters()
            classes.reset_parameters()

    def forward(self, input_: Tensor, target_: Tensor) -> ASMoutput:
        """Return the log-probabilities of the classes *target_* (N) and the loss, for *input_* (N, in_features).

        Also for one input (in_features) and a target of no dimension. RuntimeError where they do not fit.
        """
        self._check(input_, target_)
        batched = target_.ndim == 1
        input, target = (input_, target_) if batched else (input_.unsqueeze(0), target_.unsqueeze(0))
        classes = target._array
        cluster = np.searchsorted(self.cutoffs, classes, side="right")  # 0 is the head
        in_head = np.where(cluster == 0, classes, self.shortlist_size + cluster - 1)
        found = log_softmax(self.head(input), 1).gather(1, Tensor._wrap(in_head[:, None])).squeeze(1)
        for i, tail in enumerate(self.tail):
            (rows,) = np.nonzero(cluster == i + 1)
            if len(rows):
                index = Tensor._wrap(rows)
                inside = Tensor._wrap((classes[rows] - self.cutoffs[i])[:, None])
                found = found.index_add(0, index, log_softmax(tail(input[index]), 1).gather(1, inside).squeeze(1))
        return ASMoutput(found if batched else found.squeeze(0), -found.mean())

    def _check(self, input: Tensor, target: Tensor) -> None:
        if target.ndim > 1:
            raise RuntimeError(f"0D or 1D target tensor expected, multi-target not supported, found {target.ndim}D")
        if input.ndim != target.ndim + 1:
            raise RuntimeError(
                f"{target.ndim}D target tensor expects {target.ndim + 1}D input tensors, but found inputs with size "
                f"{input.shape}"
            )
        if target.ndim and input.shape[0] != target.shape[0]:
            raise RuntimeError(
                "Input and target should have the same size in the batch dimension, found "
                f"{input.shape[0]} and {target.shape[0]}."
            )
        classes = target._array
        if classes.size and (classes.min() < 0 or classes.max() >= self.n_classes):
            raise RuntimeError(
                f"Target values should be in [0, {self.n_classes - 1}], but values in range [{classes.min()}, "
                f"{classes.max()}] were found. "
            )

    def log_prob(self, input: Tensor) -> Tensor:
        """Return the log-probabilities of all classes (N, n_classes) for *input* (N, in_features)."""
        head = log_softmax(self.head(input), 1)
        parts = [head[:, : self.shortlist_size]]
        for i, tail in enumerate(self.tail):
            parts.append(log_softmax(tail(input), 1) + head[:, self.shortlist_size + i].unsqueeze(1))
        every: Tensor = cat(parts, 1)
        return every

    def predict(self, input: Tensor) -> Tensor:
        """Return the likeliest class (N, int64) for each row of *input* (N, in_features)."""
        return self.log_prob(input).argmax(1)  # type: ignore[no-any-return]
