"""Joining, splitting and combining tensors along whole dimensions."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..batching import zeros
from ..errors import normal_dim
from ..registry import Arrays, composite, operation
from ..registry.operation import Promotion
from ..registry.samples import each, on, real
from ..tensors.tensor import Tensor
from .shape import (
    cat,
    cut,
    expand,
    reshape,
    stack,
    unsqueeze,
)

Tensors = Sequence[Tensor]


def _listed(tensors: tuple[Any, ...]) -> list[Tensor]:
    """The tensors of the call ``f(a, b)`` as of ``f([a, b])``."""
    if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)):
        tensors = tuple(tensors[0])
    for tensor in tensors:
        if not isinstance(tensor, Tensor):
            raise TypeError(f"expected Tensors, found {type(tensor).__name__}")
    return list(tensors)


def _at_least(tensors: tuple[Any, ...], widen: Callable[[Tensor], Tensor]) -> Any:
    if len(tensors) == 1 and isinstance(tensors[0], Tensor):
        return widen(tensors[0])
    return tuple(widen(tensor) for tensor in _listed(tensors))


def _to_1d(x: Tensor) -> Tensor:
    return x if x._array.ndim else reshape(x, (1,))


def _to_2d(x: Tensor) -> Tensor:
    return x if x._array.ndim > 1 else unsqueeze(_to_1d(x), 0)


def _to_3d(x: Tensor) -> Tensor:
    return x if x._array.ndim > 2 else unsqueeze(_to_2d(x), -1)


@composite(method=False, samples=each(on(real()), on(real(3))))
def atleast_1d(*tensors: Any) -> Any:
    """Each of *tensors*, those of no dimension with one of length 1; a tuple for several."""
    return _at_least(tensors, _to_1d)


@composite(method=False, samples=each(on(real()), on(real(3)), on(real(2, 3))))
def atleast_2d(*tensors: Any) -> Any:
    """Each of *tensors*, those of fewer than two dimensions with dimensions of length 1 put in front.

    >>> import allgrad as torch
    >>> torch.atleast_2d(torch.tensor(1.)).shape
    torch.Size([1, 1])
    """
    return _at_least(tensors, _to_2d)


@composite(method=False, samples=each(on(real()), on(real(3)), on(real(2, 3)), on(real(2, 2, 2))))
def atleast_3d(*tensors: Any) -> Any:
    """Each of *tensors*, those of fewer than three dimensions with dimensions of length 1 around them."""
    return _at_least(tensors, _to_3d)


def _some(name: str, tensors: Tensors) -> list[Tensor]:
    if not len(tensors):
        raise RuntimeError(f"{name} expects a non-empty TensorList")
    return list(tensors)


@composite(
    out=True, method=False, samples=each(on([real(2), real(3)]), on([real(2, 1), real(2, 2)]), on([real(), real()]))
)
def hstack(tensors: Tensors) -> Tensor:
    """The *tensors* side by side: along the second dimension, vectors along their only one.

    >>> import allgrad as torch
    >>> torch.hstack([torch.tensor([1, 2]), torch.tensor([3])])
    tensor([1, 2, 3])
    """
    wide = [_to_1d(x) for x in _some("hstack", tensors)]
    return cat(wide, 0 if wide[0]._array.ndim == 1 else 1)


@composite(
    out=True, method=False, aliases=("row_stack",), samples=each(on([real(2), real(2)]), on([real(1, 2), real(2, 2)]))
)
def vstack(tensors: Tensors) -> Tensor:
    """The *tensors* one below the other: along the first dimension, vectors as rows.

    >>> import allgrad as torch
    >>> torch.vstack([torch.tensor([1, 2]), torch.tensor([3, 4])])
    tensor([[1, 2],
            [3, 4]])
    """
    return cat([_to_2d(x) for x in _some("vstack", tensors)], 0)


@composite(out=True, method=False, samples=each(on([real(2), real(2)]), on([real(2, 2), real(2, 2)])))
def dstack(tensors: Tensors) -> Tensor:
    """The *tensors* one behind the other, along the third dimension."""
    return cat([_to_3d(x) for x in _some("dstack", tensors)], 2)


@composite(
    out=True, method=False, samples=each(on([real(2), real(2)]), on([real(2), real(2, 2)]), on([real(), real()]))
)
def column_stack(tensors: Tensors) -> Tensor:
    """The *tensors* side by side, vectors as columns.

    >>> import allgrad as torch
    >>> torch.column_stack([torch.tensor([1, 2]), torch.tensor([3, 4])])
    tensor([[1, 3],
            [2, 4]])
    """
    columns = [reshape(x, (-1, 1)) if x._array.ndim < 2 else x for x in _some("column_stack", tensors)]
    return cat(columns, 1)


@composite(samples=each(on(real(5), 2), on(real(2, 5), (1, 3), 1), on(real(4), np.array([1, 3]))))
def tensor_split(input: Tensor, indices_or_sections: Any, dim: int = 0) -> tuple[Tensor, ...]:
    """Views of input cut along *dim* into so many parts, as equal as can be, or at the places listed.

    >>> import allgrad as torch
    >>> torch.tensor_split(torch.arange(5), 2)
    (tensor([0, 1, 2]), tensor([3, 4]))
    """
    if not input._array.ndim:
        raise RuntimeError("tensor_split expected at least a 1-dimensional tensor, but got a tensor with 0 dims")
    d = normal_dim(dim, input._array.ndim)
    length = input._array.shape[d]
    wanted = indices_or_sections
    if isinstance(wanted, Tensor):
        wanted = wanted.tolist()
    if isinstance(wanted, int):
        if wanted <= 0:
            raise RuntimeError(f"number of sections must be larger than 0, got {wanted}")
        each_, rest = divmod(length, wanted)
        return tuple(cut(input, [each_ + (i < rest) for i in range(wanted)], d))
    ends = [slice(None, i).indices(length)[1] for i in wanted] + [length]
    starts = [0, *ends[:-1]]
    at = (slice(None),) * d
    return tuple(input[(*at, slice(a, max(a, b)))] for a, b in zip(starts, ends, strict=True))


def _split_along(name: str, input: Tensor, wanted: Any, dim: int, least: int) -> tuple[Tensor, ...]:
    if input._array.ndim < least:
        raise RuntimeError(
            f"torch.{name} requires a tensor with at least {least} dimension, but got a tensor with "
            f"{input._array.ndim} dimensions!"
        )
    length = input._array.shape[dim]
    if isinstance(wanted, int) and (wanted == 0 or length % wanted):
        raise RuntimeError(
            f"torch.{name} attempted to split along dimension {dim}, but the size of the dimension {length} is not "
            f"divisible by the split_size {wanted}!"
        )
    return tensor_split(input, wanted, dim)


def _splits(name: str, dim: int, least: int, words: str) -> Callable[..., tuple[Tensor, ...]]:
    def split_evenly(input: Tensor, indices_or_sections: Any) -> tuple[Tensor, ...]:
        if name == "hsplit" and input._array.ndim == 1:
            return _split_along(name, input, indices_or_sections, 0, least)
        return _split_along(name, input, indices_or_sections, dim, least)

    split_evenly.__name__ = split_evenly.__qualname__ = name
    split_evenly.__doc__ = f"Views of input cut {words} into so many equal parts, or at the places listed."
    return composite(samples=on(real(2, 4, 6), 2))(split_evenly)


hsplit = _splits("hsplit", 1, 1, "along its second dimension, a vector along its only one,")
vsplit = _splits("vsplit", 0, 2, "along its first dimension")
dsplit = _splits("dsplit", 2, 3, "along its third dimension")


@composite(samples=on(real(5, 2), [2, 3]))
def split_with_sizes(input: Tensor, split_sizes: Sequence[int], dim: int = 0) -> tuple[Tensor, ...]:
    """Views of input cut along *dim* into pieces of *split_sizes*."""
    return input.split(list(split_sizes), dim)


@composite(method=False)
def broadcast_shapes(*shapes: Any) -> Any:
    """The shape that *shapes* (numbers or tuples) broadcast to.

    >>> import allgrad as torch
    >>> torch.broadcast_shapes((2, 1), (3,))
    torch.Size([2, 3])
    """
    from ..tensors.size import Size

    try:
        return Size(np.broadcast_shapes(*shapes))
    except ValueError:
        raise RuntimeError(
            f"Shape mismatch: objects cannot be broadcast to a single shape: {' and '.join(map(str, shapes))}"
        ) from None


@composite(method=False, samples=each(on(real(3, 1), real(2)), on([real(3), real()])))
def broadcast_tensors(*tensors: Any) -> tuple[Tensor, ...]:
    """Views of *tensors*, all stretched to the shape that they broadcast to.

    >>> import allgrad as torch
    >>> torch.broadcast_tensors(torch.ones(2, 1), torch.ones(3))[0].shape
    torch.Size([2, 3])
    """
    listed = _listed(tensors)
    shape = broadcast_shapes(*(x._array.shape for x in listed)) if listed else ()
    return tuple(expand(x, tuple(shape)) for x in listed)


@composite(method=False, samples=each(on(real(3), real(2), indexing="ij"), on(real(3), real(2), indexing="xy")))
def meshgrid(*tensors: Any, indexing: str | None = None) -> tuple[Tensor, ...]:
    """The coordinates of all points of the grid that the vectors *tensors* span: a tuple of views, one for each.

    *indexing* "ij" gives shape (len(a), len(b), …), "xy" exchanges the first two dimensions.

    >>> import allgrad as torch
    >>> torch.meshgrid(torch.tensor([1, 2]), torch.tensor([3, 4]), indexing="xy")[0]
    tensor([[1, 2],
            [1, 2]])
    """
    vectors = _listed(tensors)
    if not vectors:
        raise RuntimeError("meshgrid expects a non-empty TensorList")
    if indexing not in (None, "ij", "xy"):
        raise RuntimeError(f'torch.meshgrid: indexing must be one of "xy" or "ij", but received: {indexing}')
    for x in vectors:
        if x._array.ndim > 1:
            raise RuntimeError(f"torch.meshgrid: Expected 0D or 1D tensor in the tensor list but got: {list(x.shape)}")
        if x._array.dtype != vectors[0]._array.dtype:
            raise RuntimeError("torch.meshgrid expects all tensors to have the same dtype")
    exchanged = indexing == "xy" and len(vectors) > 1
    ordered = [vectors[1], vectors[0], *vectors[2:]] if exchanged else vectors
    shape = tuple(x._array.size for x in ordered)
    grids = [expand(reshape(x, (1,) * i + (-1,) + (1,) * (len(ordered) - i - 1)), shape) for i, x in enumerate(ordered)]
    return tuple([grids[1], grids[0], *grids[2:]] if exchanged else grids)


@operation(
    lambda g, tensors_shape: _blocks(g, tensors_shape),
    promotion=Promotion.ARITHMETIC,
    public=False,
    samples=on([real(2, 3), real(1, 2)]),
)
def blocks_along_diagonal(tensors: Arrays) -> Any:
    """A matrix of zeros with the matrices *tensors* along its diagonal."""
    shapes = [a.shape for a in tensors]
    result = zeros((sum(n for n, _ in shapes), sum(m for _, m in shapes)), tensors[0])
    for place, a in zip(_places(shapes), tensors, strict=True):
        result[place] = a
    return result


def _places(shapes: Sequence[tuple[int, ...]]) -> list[tuple[slice, slice]]:
    rows = list(itertools.accumulate((n for n, _ in shapes), initial=0))
    columns = list(itertools.accumulate((m for _, m in shapes), initial=0))
    return [(slice(r, r + n), slice(c, c + m)) for r, c, (n, m) in zip(rows[:-1], columns[:-1], shapes, strict=True)]


def _blocks(g: Any, shapes: Sequence[tuple[int, ...]]) -> list[Any]:
    return [g[place] for place in _places(shapes)]


@composite(method=False, samples=each(on(real(2, 3), real(1, 2)), on(real(2), real())))
def block_diag(*tensors: Any) -> Tensor:
    """A matrix with *tensors* (matrices; vectors are rows) along its diagonal and zeros elsewhere.

    >>> import allgrad as torch
    >>> torch.block_diag(torch.tensor([[1, 2]]), torch.tensor([3]))
    tensor([[1, 2, 0],
            [0, 0, 3]])
    """
    for i, x in enumerate(tensors):
        if x._array.ndim > 2:
            raise RuntimeError(
                f"torch.block_diag: Input tensors must have 2 or fewer dimensions. Input {i} has {x._array.ndim} dimensions"
            )
    return blocks_along_diagonal([_to_2d(x) for x in tensors] or [Tensor._wrap(np.zeros((1, 0), np.float32))])


@composite(method=False, samples=each(on(real(2), real(3)), on(real(2))))
def cartesian_prod(*tensors: Any) -> Tensor:
    """All combinations of one element of each of the vectors *tensors*, one per row; of one vector, itself.

    >>> import allgrad as torch
    >>> torch.cartesian_prod(torch.tensor([1, 2]), torch.tensor([3, 4]))
    tensor([[1, 3],
            [1, 4],
            [2, 3],
            [2, 4]])
    """
    vectors = _listed(tensors)
    for x in vectors:
        if x._array.ndim != 1:
            raise RuntimeError(f"Expect a 1D vector, but got shape {list(x.shape)}")
    if len(vectors) == 1:
        return vectors[0]
    return stack([reshape(grid, (-1,)) for grid in meshgrid(*vectors, indexing="ij")], 1)


@composite(samples=each(on(real(4)), on(real(3), 2, True), on(real(2), 3)))
def combinations(input: Tensor, r: int = 2, with_replacement: bool = False) -> Tensor:
    """All choices of *r* elements of the vector input, in order, one per row.

    >>> import allgrad as torch
    >>> torch.combinations(torch.tensor([1, 2, 3]))
    tensor([[1, 2],
            [1, 3],
            [2, 3]])
    """
    if input._array.ndim != 1:
        raise RuntimeError(f"Expect a 1D vector, but got shape {list(input.shape)}")
    if r < 0:
        raise RuntimeError(f"Expect a non-negative number, but got {r}")
    if r == 0:
        return Tensor._wrap(np.empty(0, input._array.dtype))
    choose = itertools.combinations_with_replacement if with_replacement else itertools.combinations
    rows = np.array(list(choose(range(input._array.size), r)), dtype=np.int64).reshape(-1, r)
    return input[rows]
