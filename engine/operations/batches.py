"""Into a batch of ``vmap`` and out of it: what the functions of the ``func`` floor are made of; nobody else calls these."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..batching import Batched, completed, levels_of, sizes_of, wrap
from ..registry import Array, operation
from ..registry.batches import summed
from ..tape.mode import mode
from ..tensors.tensor import Tensor


def _parts(array: Any) -> tuple[Any, tuple[int, ...]]:
    return (array.values, array.levels) if isinstance(array, Batched) else (array, ())


@operation(
    lambda g, input_shape, dim, level: _gathered(g, input_shape, dim, level),
    view=True,
    node_name="BatchBackward0",
    crosses_levels=True,
    public=False,
)
def enter_batch(input: Array, dim: int, level: int) -> Array:
    """input as a batch of examples at *level*, the newest: those along its dimension *dim*, not negative."""
    values, levels = _parts(input)
    k = len(levels)
    return wrap(np.moveaxis(values, k + dim, k), (*levels, level))


def _gathered(g: Any, shape: tuple[int, ...], dim: int, level: int) -> Any:
    """What ``enter_batch`` sends back: in a backward pass inside of that ``vmap``, each example's gradient at its own place."""
    if all(vmap.level != level for vmap in mode.vmaps):
        return without_batch(g, dim, level, shape[dim])
    return scatter_examples(g, dim, level, shape[dim])


@operation(
    lambda g, dim, level: _entered(g, dim, level),
    view=True,
    node_name="UnbatchBackward0",
    public=False,
)
def leave_batch(input: Array, dim: int, level: int) -> Array:
    """input without the batch at *level*, whose examples stand along dimension *dim* of the result."""
    values, levels = _parts(input)
    rest = tuple(other for other in levels if other != level)
    moved = np.moveaxis(values, levels.index(level), len(rest) + dim)
    return wrap(moved, rest) if rest else moved


def _entered(g: Any, dim: int, level: int) -> Any:
    """What ``leave_batch`` sends back: inside of that ``vmap``, of what reached each example only what is its own."""
    if level not in levels_of(getattr(g, "_array", g)):
        return enter_batch(g, dim, level)
    return own_place(g, dim, level, tuple(g.shape)[dim])


def without_batch(value: Any, dim: int, level: int, size: int) -> Any:
    """*value*, a Tensor or an array, without the batch at *level*, whose *size* examples stand along dimension *dim*.

    Where it is the same for all examples it is repeated, without a copy.
    """
    if level in levels_of(getattr(value, "_array", value)):
        return leave_batch(value, dim, level)
    wide = np.expand_dims(value, dim)
    shape = tuple(wide.shape)
    return np.broadcast_to(wide, (*shape[:dim], size, *shape[dim + 1 :]))


def _places(array: Any, dim: int, level: int, size: int) -> Any:
    """Where, along dimension *dim* of *array*, each example at *level* has its own place."""
    places = np.arange(size).reshape(-1, *(1,) * (array.ndim - dim - 1))
    return places == Batched(np.arange(size), (level,))


@operation(
    lambda g, dim, level, size: own_place(g, dim, level, size),
    node_name="ScatterExamplesBackward0",
    public=False,
)
def scatter_examples(input: Array, dim: int, level: int, size: int) -> Array:
    """Zeros with one more dimension *dim*, along which each example at *level* has input at its own place."""
    wide = np.expand_dims(input, dim)
    return np.where(_places(wide, dim, level, size), wide, input.dtype.type(0))


@operation(
    lambda g, dim, level, size: scatter_examples(g, dim, level, size),
    node_name="OwnPlaceBackward0",
    public=False,
)
def own_place(input: Array, dim: int, level: int, size: int) -> Array:
    """For each example at *level*, what stands along dimension *dim* of input at its own place."""
    return np.sum(np.where(_places(input, dim, level, size), input, input.dtype.type(0)), axis=dim)


@operation(
    lambda g: g,
    node_name="SumOverExamplesBackward0",
    public=False,
)
def sum_of_examples(input: Array, levels: tuple[int, ...]) -> Array:
    """The sum of the examples of input at *levels*."""
    return summed(input, levels)


@operation(
    lambda g: g,
    node_name="ExpandBackward0",
    public=False,
)
def repeated_for(input: Array, sizes: dict[int, int]) -> Any:
    """A copy of input for each of the examples of *sizes*."""
    return Batched(completed(input, sizes).copy(), tuple(sizes))


def room_for(input: Tensor, *others: Any) -> Tensor:
    """A copy of input into which *others* may be written: with room for each example, where they have some."""
    arrays = [input._array, *(o._array for o in others if isinstance(o, Tensor))]
    sizes = sizes_of(arrays)
    if len(sizes) == len(levels_of(input._array)):
        return input.clone()
    copied: Tensor = repeated_for(input, sizes)
    return copied
