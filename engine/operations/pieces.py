"""A tensor cut into pieces whose gradients come back joined: one array, where views would bring one of full size each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..registry import Array, operation
from ..registry.samples import each, on, real
from ..tensors.tensor import Tensor
from .shape import cut


def _joined(g: Sequence[Any], lengths: Sequence[int], dim: int) -> Any:
    """The gradients *g* of the pieces in one; zeros for those without."""
    like = next(piece for piece in g if piece is not None)
    shape, axis = list(like.shape), dim % len(like.shape)
    nothing = np.sum(0 * like)

    def zeros(length: int) -> Any:
        return np.broadcast_to(nothing, (*shape[:axis], length, *shape[axis + 1 :]))

    return np.concatenate([zeros(n) if p is None else p for p, n in zip(g, lengths, strict=True)], axis)


@operation(
    _joined,
    outputs=lambda *pieces: pieces,
    public=False,
    node_name="SplitWithSizesBackward0",
    samples=each(on(real(5, 2), (3, 1, 1), 0), on(real(2, 6), (4, 2), -1)),
)
def pieces_of(input: Array, lengths: Sequence[int], dim: int) -> tuple[Array, ...]:
    """input cut along *dim* into pieces of *lengths*."""
    return tuple(cut(input, lengths, dim))


def thirds(input: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """input cut into three equal parts along its last dimension."""
    first, second, third = pieces_of(input, (input._array.shape[-1] // 3,) * 3, -1)
    return first, second, third
