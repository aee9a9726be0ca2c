"""Reducing by index: products, means and extremes of what is scattered to one place."""

from __future__ import annotations

import builtins
from collections.abc import Callable
from typing import Any

import numpy as np

from ..errors import normal_dim
from ..registry import Array, Index, composite, operation
from ..registry.samples import each, on, positive, real
from ..tensors.tensor import Tensor
from .arithmetic import div, quotient
from .gathering import gather, part_of, places_along, scatter_add_same, scatter_tensor
from .shape import expand, reshape

INDEX = np.array([[0, 2], [1, 1], [2, 0]])
SCATTERED = each(
    on(real(3, 4), 1, INDEX, real(3, 2, high=1.7)), on(real(3, 4), 1, INDEX, real(3, 2, high=1.7), include_self=False)
)


def _unless_kept(g: Any, dim: int, index: Any, include_self: builtins.bool) -> Any:
    """The gradient *g* of the target, which had no part where it was written to if it was not included."""
    return g if include_self else scatter_tensor(g, dim, index, np.zeros_like(gather(g, dim, index)))


def _shares(g: Any, input: Any, dim: int, index: Any, src: Any, y: Any) -> tuple[Any, Any, Any]:
    """*g* divided by how many elements are equal to the extreme, and which of input and *src* are."""
    mine = (input == y) * np.ones_like(input)
    theirs = (src == gather(y, dim, index)) * np.ones_like(src)
    return g / scatter_add_same(mine, dim, index, theirs), mine, theirs


def _extreme_input(g: Any, input: Any, dim: int, index: Any, src: Any, y: Any, include_self: builtins.bool) -> Any:
    share, mine, _ = _shares(g, input, dim, index, src, y)
    return _unless_kept(mine * share, dim, index, include_self)


def _extreme_source(g: Any, input: Any, dim: int, index: Any, src: Any, y: Any) -> Any:
    share, _, theirs = _shares(g, input, dim, index, src, y)
    return theirs * gather(share, dim, index)


@operation(
    lambda g, input, dim, index, src, y, largest, include_self: _extreme_input(
        g, input, dim, index, src, y, include_self
    ),
    None,
    lambda g, input, dim, index, src, y: _extreme_source(g, input, dim, index, src, y),
    node_name="ScatterReduceBackward0",
    public=False,
    samples=each(
        on(real(3, 4), 1, INDEX, real(3, 2, high=1.7), True, True), on(real(3, 4), 1, INDEX, real(3, 2), False, False)
    ),
)
def scatter_extreme(
    input: Array, dim: int, index: Index, src: Array, largest: builtins.bool, include_self: builtins.bool
) -> Array:
    """A copy of input with the extreme of each place and of what *src* brings to it; ties share the gradient evenly."""
    result = input.copy()
    places = places_along(index, normal_dim(dim, input.ndim), input.shape)
    best = np.maximum if largest else np.minimum
    if not include_self:
        result[places] = src  # any of those that follow: the extreme of them all comes out
    best.at(result, places, src)
    return result


def _product_input(g: Any, input: Any, dim: int, index: Any, src: Any, include_self: builtins.bool) -> Any:
    whole_input = np.where(input == 0, 1.0, input)
    others = scatter_product(whole_input, dim, index, src, include_self) / whole_input
    return _unless_kept(g * others, dim, index, include_self)


def _product_source(g: Any, input: Any, dim: int, index: Any, src: Any, y: Any, include_self: builtins.bool) -> Any:
    zero = src == 0
    zeros = gather(scatter_add_same(np.zeros_like(input), dim, index, zero * np.ones_like(src)), dim, index)
    alone = zero & (zeros == 1)
    without = scatter_product(input, dim, index, np.where(alone, 1.0, src), include_self)
    return np.where(alone, gather(g * without, dim, index), gather(g * y, dim, index) / np.where(zero, 1.0, src))


@operation(
    lambda g, input, dim, index, src, include_self: _product_input(g, input, dim, index, src, include_self),
    None,
    lambda g, input, dim, index, src, y, include_self: _product_source(g, input, dim, index, src, y, include_self),
    node_name="ScatterReduceBackward0",
    public=False,
    samples=each(
        on(positive(3, 4), 1, INDEX, positive(3, 2), True), on(positive(3, 4), 1, INDEX, positive(3, 2), False)
    ),
)
def scatter_product(input: Array, dim: int, index: Index, src: Array, include_self: builtins.bool) -> Array:
    """A copy of input with each place multiplied by what *src* brings to it."""
    result = input.copy()
    places = places_along(index, normal_dim(dim, input.ndim), input.shape)
    if not include_self:
        result[places] = 1
    np.multiply.at(result, places, src)
    return result


def _total(input: Tensor, dim: int, index: Tensor, src: Tensor, include_self: builtins.bool) -> Tensor:
    if not include_self:
        input = scatter_tensor(input, dim, index, Tensor._wrap(np.zeros(index._array.shape, input._array.dtype)))
    return scatter_add_same(input, dim, index, src)


def _average(input: Tensor, dim: int, index: Tensor, src: Tensor, include_self: builtins.bool) -> Tensor:
    total = _total(input, dim, index, src, include_self)
    ones = Tensor._wrap(np.ones(input._array.shape, input._array.dtype))
    shares = Tensor._wrap(np.ones(index._array.shape, input._array.dtype))
    count = _total(ones, dim, index, shares, include_self)
    if input._array.dtype.kind in "fc":
        return quotient(total, count)
    return div(total, count, rounding_mode="floor")


_WAYS: dict[str, Callable[..., Tensor]] = {
    "sum": _total,
    "mean": _average,
    "prod": scatter_product,
    "amax": lambda input, dim, index, src, kept: scatter_extreme(input, dim, index, src, True, kept),
    "amin": lambda input, dim, index, src, kept: scatter_extreme(input, dim, index, src, False, kept),
}


def _reduced(
    name: str, input: Tensor, dim: int, index: Tensor, src: Tensor, reduce: str, kept: builtins.bool
) -> Tensor:
    way = _WAYS.get(reduce)
    if way is None:
        raise RuntimeError(f"{name}: reduce argument must be one of {', '.join(_WAYS)}, found {reduce!r}")
    if src._array.dtype != input._array.dtype:
        raise RuntimeError(
            f"{name}(): Expected self.dtype to be equal to src.dtype, found {input.dtype} and {src.dtype}"
        )
    shape = input._array.shape
    if not shape:
        input, index, src = (reshape(x, (-1,)) for x in (input, index, src))
    return reshape(way(input, dim, index, part_of(src, index), kept), shape)


@composite(
    out=True,
    inplace=True,
    samples=each(
        *(on(positive(3, 4), 1, INDEX, positive(3, 3), way) for way in ("sum", "mean", "prod")),
        *(on(real(3, 4), 1, INDEX, real(3, 2, high=1.7), way, include_self=False) for way in ("mean", "amax", "amin")),
    ),
)
def scatter_reduce(
    input: Tensor, dim: int, index: Tensor, src: Tensor, reduce: str, *, include_self: builtins.bool = True
) -> Tensor:
    """A copy of input with each place combined with what *src* brings to it by *index* along *dim*.

    *reduce* is "sum", "prod", "mean", "amax" or "amin"; what stood there before counts too if *include_self*.

    >>> import allgrad as torch
    >>> torch.zeros(2).scatter_reduce(0, torch.tensor([0, 0, 1]), torch.tensor([1., 5., 2.]), "amax")
    tensor([5., 2.])
    """
    return _reduced("scatter_reduce", input, dim, index, src, reduce, include_self)


@composite(
    out=True,
    inplace=True,
    samples=each(
        *(on(positive(4, 3), 0, np.array([0, 2, 0]), positive(3, 3), way) for way in ("prod", "mean")),
        *(on(real(4), 0, np.array([0, 2, 0]), real(3), way, include_self=False) for way in ("amax", "amin")),
    ),
)
def index_reduce(
    input: Tensor, dim: int, index: Tensor, source: Tensor, reduce: str, *, include_self: builtins.bool = True
) -> Tensor:
    """A copy of input with its slices at *index* (a vector) along *dim* combined with those of *source*.

    *reduce* is "prod", "mean", "amax" or "amin"; what stood there before counts too if *include_self*.

    >>> import allgrad as torch
    >>> torch.ones(2).index_reduce(0, torch.tensor([0, 0]), torch.tensor([2., 3.]), "prod")
    tensor([6., 1.])
    """
    if reduce == "sum":
        raise RuntimeError('index_reduce(): Expected reduce to be one of prod, mean, amax or amin but got "sum"')
    if index._array.ndim > 1:
        raise IndexError(f"index_reduce(): Index is supposed to be a vector, but got dim: {index._array.ndim}")
    d = normal_dim(dim, input._array.ndim)
    length = input._array.shape[d] if input._array.ndim else 1
    if index._array.size and not 0 <= index._array.min() <= index._array.max() < length:
        raise IndexError(f"index_reduce(): index out of range in self: dimension {dim} has size {length}")
    stretched = expand(
        reshape(index, tuple(-1 if i == d else 1 for i in range(source._array.ndim))), source._array.shape
    )
    return _reduced("index_reduce", input, d, stretched, source, reduce, include_self)
