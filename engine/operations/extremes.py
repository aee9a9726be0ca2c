"""The largest and the smallest elements, and where they are."""

from __future__ import annotations

import builtins
from typing import Any, NamedTuple

import numpy as np

from ..batching import as_array
from ..errors import normal_dim
from ..registry import Array, composite, operation
from ..registry.samples import each, on, real
from ..tensors.tensor import Tensor
from .comparison import maximum, minimum
from .reduction import OVER_DIMS, Dims, count_true, dims_of, over, spread

ALONG_DIM = each(on(real(3, 4), 1), on(real(3, 4), 0, True), on(real(2, 3, 4), -2), on(real(), 0))


class ValuesAndIndices(NamedTuple):
    """What ``max``, ``min``, ``sort`` and their kin return over a dimension."""

    values: Any
    indices: Any


def put_back(g: Any, indices: Any, shape: tuple[int, ...], dim: int, keepdim: builtins.bool) -> Any:
    """Zeros of *shape* with *g* at *indices* along *dim*."""
    from .gathering import scatter_zeros

    if not shape:
        return np.reshape(g, ())
    if not keepdim:
        g, indices = np.expand_dims(g, dim), np.expand_dims(indices, dim)
    return scatter_zeros(g, indices, shape, dim)


def _extreme(argument: Any, input: Array, dim: int, keepdim: builtins.bool) -> tuple[Array, Array]:
    if not input.ndim:
        normal_dim(dim, 0)
        return input.copy(), np.zeros((), np.int64)
    if not input.shape[normal_dim(dim, input.ndim)]:
        raise IndexError(f"max/min(): Expected reduction dim {dim} to have non-zero size.")
    indices = np.expand_dims(argument(input, axis=dim), dim)
    values = np.take_along_axis(input, indices, dim)
    return (values, indices) if keepdim else (values.squeeze(dim), indices.squeeze(dim))


@operation(
    lambda g, y1, input_shape, dim, keepdim: put_back(g[0], y1, input_shape, dim, keepdim),
    node_name="MaxBackward0",
    outputs=ValuesAndIndices,
    public=False,
    samples=ALONG_DIM,
    refuses="c",
)
def max_along(input: Array, dim: int, keepdim: builtins.bool = False) -> tuple[Array, Array]:
    """The greatest element along *dim* and its first index."""
    return _extreme(np.argmax, input, dim, keepdim)


@operation(
    lambda g, y1, input_shape, dim, keepdim: put_back(g[0], y1, input_shape, dim, keepdim),
    node_name="MinBackward0",
    outputs=ValuesAndIndices,
    public=False,
    samples=ALONG_DIM,
    refuses="c",
)
def min_along(input: Array, dim: int, keepdim: builtins.bool = False) -> tuple[Array, Array]:
    """The least element along *dim* and its first index."""
    return _extreme(np.argmin, input, dim, keepdim)


def _evenly(g: Any, input: Any, y: Any, dim: Dims, keepdim: builtins.bool) -> Any:
    """*g* shared evenly among the elements that equal the extreme *y*."""
    shape = tuple(input.shape)
    won = input == spread(y, shape, dim, keepdim)
    return spread(g, shape, dim, keepdim) * won / count_true(won, dims_of(dim, len(shape)), g)


def _extreme_name(name: str, node: Any) -> str:
    """What PyTorch calls the node: that of ``max()`` without a dim is another than that of ``amax``."""
    return f"{name}Backward1" if node._saved_dim in ((), None) else f"A{name.lower()}Backward0"


@operation(_evenly, node_name=lambda node: _extreme_name("Max", node), samples=OVER_DIMS, refuses="c")
def amax(input: Array, dim: Dims = (), keepdim: builtins.bool = False) -> Array:
    """The greatest element over *dim* (all of them for an empty list); ties share the gradient evenly."""
    _check_nonempty("amax", input, dim)
    return np.max(input, axis=over(input, dim), keepdims=keepdim)


@operation(_evenly, node_name=lambda node: _extreme_name("Min", node), samples=OVER_DIMS, refuses="c")
def amin(input: Array, dim: Dims = (), keepdim: builtins.bool = False) -> Array:
    """The least element over *dim* (all of them for an empty list); ties share the gradient evenly."""
    _check_nonempty("amin", input, dim)
    return np.min(input, axis=over(input, dim), keepdims=keepdim)


def _check_nonempty(name: str, input: Array, dim: Dims) -> None:
    if input.size:
        return
    if dim is None or dim == ():
        raise RuntimeError(f"{name}(): Expected reduction dim to be specified for input.numel() == 0.")
    for d in dims_of(dim, input.ndim):
        if not input.shape[d]:
            raise IndexError(f"{name}(): Expected reduction dim {d} to have non-zero size.")


def _max_or_min(name: str, input: Tensor, dim: Any, keepdim: builtins.bool) -> Any:
    if isinstance(dim, Tensor):
        return (maximum if name == "max" else minimum)(input, dim)
    if dim is not None:
        return (max_along if name == "max" else min_along)(input, dim, keepdim)
    if not input._array.size:
        raise RuntimeError(f"{name}(): Expected reduction dim to be specified for input.numel() == 0.")
    return (amax if name == "max" else amin)(input)


@composite(out=True, samples=each(on(real(3, 4)), ALONG_DIM))
def max(input: Tensor, dim: Any = None, keepdim: builtins.bool = False) -> Any:
    """The greatest element; along *dim*, the pair (values, indices); of two tensors, ``maximum``.

    >>> import allgrad as torch
    >>> torch.max(torch.tensor([[1., 5.], [7., 2.]]), 1).indices
    tensor([1, 0])
    """
    return _max_or_min("max", input, dim, keepdim)


@composite(out=True, samples=each(on(real(3, 4)), ALONG_DIM))
def min(input: Tensor, dim: Any = None, keepdim: builtins.bool = False) -> Any:
    """The least element; along *dim*, the pair (values, indices); of two tensors, ``minimum``."""
    return _max_or_min("min", input, dim, keepdim)


def _argument(function: Any, input: Array, dim: int | None, keepdim: builtins.bool) -> Array:
    if not input.size and (dim is None or not input.shape[dim]):
        raise IndexError("argmax/argmin(): Expected reduction dim to have non-zero size.")
    if not input.ndim:
        return np.zeros((), np.int64)
    found: Array = as_array(function(input, axis=dim))
    if keepdim:
        return found.reshape((1,) * input.ndim) if dim is None else np.expand_dims(found, dim)
    return found


@operation(refuses="c")
def argmax(input: Array, dim: int | None = None, keepdim: builtins.bool = False) -> Array:
    """The index of the greatest element along *dim*, or among all elements flattened; the first of equals.

    >>> import allgrad as torch
    >>> torch.tensor([[1., 5.], [7., 2.]]).argmax(1)
    tensor([1, 0])
    """
    return _argument(np.argmax, input, dim, keepdim)


@operation(refuses="c")
def argmin(input: Array, dim: int | None = None, keepdim: builtins.bool = False) -> Array:
    """The index of the least element along *dim*, or among all elements flattened; the first of equals."""
    return _argument(np.argmin, input, dim, keepdim)
