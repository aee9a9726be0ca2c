"""Embeddings: a learned vector for every whole number, alone or in bags."""

from __future__ import annotations

from typing import Any

from ..operations.creation import empty
from ..operations.embeddings import embedding, embedding_bag
from ..tape.mode import no_grad
from ..tensors.parameter import Parameter
from ..tensors.tensor import Tensor
from . import init
from .module import Module


class _Table(Module):
    """A table of vectors, normally distributed at first; the row *padding_idx* begins as zeros."""

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None,
        max_norm: float | None,
        norm_type: float,
        scale_grad_by_freq: bool,
        sparse: bool,
        weight: Tensor | None,
        trained: bool,
        options: dict[str, Any],
    ) -> None:
        super().__init__()
        self.num_embeddings = num_embeddings
        self.embedding_dim = embedding_dim
        if padding_idx is not None:
            if not -num_embeddings <= padding_idx < num_embeddings:
                raise AssertionError(f"Padding_idx must be within num_embeddings, found {padding_idx}")
            padding_idx %= num_embeddings
        self.padding_idx = padding_idx
        self.max_norm = max_norm
        self.norm_type = norm_type
        self.scale_grad_by_freq = scale_grad_by_freq
        self.sparse = sparse
        if weight is not None and tuple(weight.shape) != (num_embeddings, embedding_dim):
            raise AssertionError(
                "Shape of weight does not match num_embeddings and embedding_dim: "
                f"found {list(weight.shape)}, expected {[num_embeddings, embedding_dim]}"
            )
        given = empty(num_embeddings, embedding_dim, **options) if weight is None else weight
        self.weight = Parameter(given, requires_grad=trained)
        if weight is None:
            self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the table anew."""
        init.normal_(self.weight)
        if self.padding_idx is not None:
            with no_grad():
                self.weight[self.padding_idx].zero_()

    def summary(self) -> str:
        return f"{self._get_name()} {self.num_embeddings}→{self.embedding_dim}"

    def _shown(self) -> list[str]:
        """What ``extra_repr`` says of norms and frequencies."""
        parts = [
            "" if self.max_norm is None else f"max_norm={self.max_norm}",
            f"norm_type={self.norm_type}" if self.norm_type != 2 else "",
            f"scale_grad_by_freq={self.scale_grad_by_freq}" if self.scale_grad_by_freq else "",
        ]
        return [part for part in parts if part]


def _rows_and_width(embeddings: Tensor) -> tuple[int, int]:
    if embeddings.ndim != 2:
        raise AssertionError(f"Embeddings parameter is expected to be 2-dimensional, found {list(embeddings.shape)}")
    rows, width = embeddings.shape
    return rows, width


class Embedding(_Table):
    """A table of *num_embeddings* learned vectors: whole numbers of any shape become vectors of *embedding_dim*.

    The table begins normally distributed; the row *padding_idx* begins as zeros and is not trained.

    Args:
        num_embeddings: rows of the table.
        embedding_dim: their width.
        padding_idx: a row that is not trained.
        max_norm: rows that are used and longer are shortened to this.
        norm_type: the p of that norm.
        scale_grad_by_freq: divide the gradient of each row by how often it is used in the batch.
        sparse: has no effect; gradients are dense.

    Example:
        >>> import allgrad as torch
        >>> torch.nn.Embedding(10, 3)(torch.tensor([[1, 2], [4, 9]])).shape
        torch.Size([2, 2, 3])
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
        _weight: Tensor | None = None,
        _freeze: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        options = {"device": device, "dtype": dtype}
        super().__init__(
            num_embeddings, embedding_dim, padding_idx, max_norm, norm_type, scale_grad_by_freq, sparse, _weight,
            not _freeze, options,
        )  # fmt: skip

    @classmethod
    def from_pretrained(
        cls,
        embeddings: Tensor,
        freeze: bool = True,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
    ) -> Embedding:
        """Return an embedding whose table is *embeddings* (rows, width), trained only if not *freeze*."""
        rows, width = _rows_and_width(embeddings)
        return cls(rows, width, padding_idx, max_norm, norm_type, scale_grad_by_freq, sparse, embeddings, freeze)

    def forward(self, input: Tensor) -> Tensor:
        """Return the vectors of the whole numbers in *input*."""
        return embedding(
            input, self.weight, self.padding_idx, self.max_norm, self.norm_type, self.scale_grad_by_freq, self.sparse
        )

    def extra_repr(self) -> str:
        padding = [] if self.padding_idx is None else [f"padding_idx={self.padding_idx}"]
        sparse = ["sparse=True"] if self.sparse else []
        return ", ".join([f"{self.num_embeddings}, {self.embedding_dim}", *padding, *self._shown(), *sparse])


class EmbeddingBag(_Table):
    """The sums, means or maxima of bags of learned vectors, as :func:`allgrad.nn.functional.embedding_bag`.

    Args:
        num_embeddings: rows of the table.
        embedding_dim: their width.
        max_norm: rows that are used and longer are shortened to this.
        norm_type: the p of that norm.
        scale_grad_by_freq: divide the gradient of each row by how often it is used in the batch.
        mode: "sum", "mean" or "max".
        sparse: has no effect; gradients are dense.
        include_last_offset: offsets have one more number, the end of the last bag.
        padding_idx: a row that is left out of every bag.

    Example:
        >>> import allgrad as torch
        >>> torch.nn.EmbeddingBag(10, 3, mode="sum")(torch.tensor([1, 2, 4, 5]), torch.tensor([0, 2])).shape
        torch.Size([2, 3])
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        mode: str = "mean",
        sparse: bool = False,
        _weight: Tensor | None = None,
        include_last_offset: bool = False,
        padding_idx: int | None = None,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        options = {"device": device, "dtype": dtype}
        super().__init__(
            num_embeddings, embedding_dim, padding_idx, max_norm, norm_type, scale_grad_by_freq, sparse, _weight,
            True, options,
        )  # fmt: skip
        self.mode = mode
        self.include_last_offset = include_last_offset

    @classmethod
    def from_pretrained(
        cls,
        embeddings: Tensor,
        freeze: bool = True,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        mode: str = "mean",
        sparse: bool = False,
        include_last_offset: bool = False,
        padding_idx: int | None = None,
    ) -> EmbeddingBag:
        """Return a bag whose table is *embeddings* (rows, width), trained only if not *freeze*."""
        rows, width = _rows_and_width(embeddings)
        made = cls(
            rows,
            width,
            max_norm,
            norm_type,
            scale_grad_by_freq,
            mode,
            sparse,
            embeddings,
            include_last_offset,
            padding_idx,
        )
        made.weight.requires_grad_(not freeze)
        return made

    def forward(self, input: Tensor, offsets: Tensor | None = None, per_sample_weights: Tensor | None = None) -> Tensor:
        """Return one vector for each bag of whole numbers in *input*."""
        return embedding_bag(
            input, self.weight, offsets, self.max_norm, self.norm_type, self.scale_grad_by_freq, self.mode, self.sparse,
            per_sample_weights, self.include_last_offset, self.padding_idx,
        )  # fmt: skip

    def extra_repr(self) -> str:
        padding = [] if self.padding_idx is None else [f"padding_idx={self.padding_idx}"]
        sizes = f"{self.num_embeddings}, {self.embedding_dim}"
        return ", ".join([sizes, *self._shown(), f"mode={self.mode!r}", *padding])
