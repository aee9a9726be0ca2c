"""Rearranging elements: reversed, shifted, turned, repeated, and triangles kept."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import normal_dim, normal_dims
from ..registry import Array, composite, operation
from ..registry.samples import each, on, real
from ..tensors.tensor import Tensor
from .shape import Shape, transpose, varargs


@operation(lambda g, dims: np.flip(g, dims), samples=each(on(real(3, 4), (0,)), on(real(3, 4), (0, 1))))
def flip(input: Array, dims: Shape) -> Array:
    """A copy of input with the order along *dims* reversed."""
    axes = normal_dims(tuple(dims), input.ndim)
    return np.flip(input, axes).copy() if input.ndim else input.copy()


varargs(flip, "flip")


@operation(
    lambda g, shifts, dims: np.roll(g, _negated(shifts), dims),
    samples=each(on(real(5), 2), on(real(3, 4), (1, -1), (0, 1))),
)
def roll(input: Array, shifts: Any, dims: Any = None) -> Array:
    """A copy of input with its elements moved on by *shifts* along *dims* (flattened for None), round the end."""
    moves, along = (tuple(v) if isinstance(v, (tuple, list)) else (v,) for v in (shifts, () if dims is None else dims))
    if not moves:
        raise RuntimeError("`shifts` required")
    if len(moves) != len(along) and (along or len(moves) > 1):
        raise RuntimeError(f"shifts and dimensions must align. shifts: {len(moves)}, dims:{len(along)}")
    return np.roll(input, moves, along) if along else np.roll(input, moves[0])


def _negated(shifts: Any) -> Any:
    return tuple(-s for s in shifts) if isinstance(shifts, (tuple, list)) else -shifts


def _fold(g: Any, input_shape: tuple[int, ...], repeats: tuple[int, ...]) -> Any:
    """The gradient *g* of a tiling summed over the tiles."""
    added = len(repeats) - len(input_shape)
    full = (1,) * added + input_shape
    interleaved = [n for pair in zip(repeats, full, strict=True) for n in pair]
    tiles = tuple(range(0, 2 * len(repeats), 2))
    return np.reshape(np.sum(np.reshape(g, tuple(interleaved)), axis=tiles), input_shape)


@operation(
    lambda g, input_shape, repeats: _fold(g, input_shape, tuple(repeats)),
    samples=each(on(real(2, 3), (2, 1)), on(real(3), (2, 2))),
    method=True,
)
def repeat(input: Array, repeats: Shape) -> Array:
    """input laid side by side *repeats* times along each dimension (more of them than input has add dimensions)."""
    if len(repeats) < input.ndim:
        raise RuntimeError(
            "Number of dimensions of repeat dims can not be smaller than number of dimensions of tensor: "
            f"{len(repeats)} < {input.ndim}"
        )
    return np.tile(input, tuple(repeats))


varargs(repeat, "repeat")


@composite(samples=on(real(2, 3), (2,)))
def tile(input: Tensor, dims: Sequence[int]) -> Tensor:
    """input laid side by side *dims* times along its last dimensions."""
    missing = input._array.ndim - len(tuple(dims))
    return repeat(input, (1,) * builtins.max(missing, 0) + tuple(dims))


@operation(lambda g, diagonal: np.tril(g, diagonal), inplace=True, samples=each(on(real(3, 4)), on(real(2, 3, 3), 1)))
def tril(input: Array, diagonal: int = 0) -> Array:
    """The lower triangle of each matrix, up to *diagonal* above the main one; zeros elsewhere."""
    _check_matrices("tril", input)
    return np.tril(input, diagonal)


@operation(lambda g, diagonal: np.triu(g, diagonal), inplace=True, samples=each(on(real(3, 4)), on(real(2, 3, 3), 1)))
def triu(input: Array, diagonal: int = 0) -> Array:
    """The upper triangle of each matrix, from *diagonal* above the main one on; zeros elsewhere."""
    _check_matrices("triu", input)
    return np.triu(input, diagonal)


def _check_matrices(name: str, input: Array) -> None:
    if input.ndim < 2:
        raise RuntimeError(f"{name}: input tensor must have at least 2 dimensions, found {input.ndim}")


@composite(samples=on(real(2, 3)))
def fliplr(input: Tensor) -> Tensor:
    """A copy of input with the order along its second dimension reversed.

    >>> import allgrad as torch
    >>> torch.fliplr(torch.tensor([[1, 2], [3, 4]]))
    tensor([[2, 1],
            [4, 3]])
    """
    if input._array.ndim < 2:
        raise RuntimeError("Input must be >= 2-d.")
    return flip(input, (1,))


@composite(samples=on(real(2, 3)))
def flipud(input: Tensor) -> Tensor:
    """A copy of input with the order along its first dimension reversed."""
    if not input._array.ndim:
        raise RuntimeError("Input must be >= 1-d.")
    return flip(input, (0,))


@composite(out=True, samples=each(*(on(real(2, 3), k) for k in range(4)), on(real(2, 3, 2), -1, (0, 2))))
def rot90(input: Tensor, k: int = 1, dims: Sequence[int] = (0, 1)) -> Tensor:
    """A copy of input turned *k* times by 90 degrees in the plane of *dims*, from the first towards the second.

    >>> import allgrad as torch
    >>> torch.rot90(torch.tensor([[1, 2], [3, 4]]))
    tensor([[2, 4],
            [1, 3]])
    """
    if len(dims) != 2:
        raise RuntimeError(f"expected total rotation dims == 2, but got dims = {len(dims)}")
    if input._array.ndim < 2:
        raise RuntimeError(f"expected total dims >= 2, but got total dims = {input._array.ndim}")
    first, second = (normal_dim(d, input._array.ndim) for d in dims)
    if first == second:
        raise RuntimeError(f"expected rotation dims to be different, but got dim0 = {dims[0]} and dim1 = {dims[1]}")
    turns = k % 4
    if turns == 0:
        return input.clone()
    if turns == 2:
        return flip(input, (first, second))
    return transpose(flip(input, (second if turns == 1 else first,)), first, second)
