"""``vmap``: a function of single examples made one of batches.

The stated fallback is used throughout: the function runs once per example, on views of the batch, and the results are
stacked. That is right for every function, with gradients, and as fast as the loop it replaces.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from ..random import default_generator
from ..tape.mode import mode
from ..tensors.tensor import Tensor
from .tree import flatten, tree_map, unflatten

_RANDOMNESS = ("error", "different", "same")


def vmap(
    func: Callable[..., Any],
    in_dims: Any = 0,
    out_dims: Any = 0,
    randomness: str = "error",
    *,
    chunk_size: int | None = None,
) -> Callable[..., Any]:
    """The function that applies *func* to every entry along the dimensions *in_dims* of its arguments.

    *in_dims* is a number for all arguments, or a structure like them with None where an argument is not batched;
    *out_dims* says where the batch goes in the results. *randomness*: random operations inside raise ("error"),
    draw anew for each entry ("different"), or draw the same ("same"). *chunk_size* changes nothing here.

    >>> import allgrad as torch
    >>> torch.func.vmap(torch.dot)(torch.ones(2, 3), torch.ones(2, 3))
    tensor([3., 3.])
    """
    if randomness not in _RANDOMNESS:
        raise RuntimeError(f"Only allowed values for randomness are 'error', 'different', or 'same'. Got {randomness}")
    if chunk_size is not None and chunk_size <= 0:
        raise ValueError(f"vmap: chunk_size should be None or greater than 0. (got {chunk_size})")

    def transformed(*args: Any, **kwargs: Any) -> Any:
        leaves, structure = flatten(args)
        dims = _spread(in_dims, args)
        size = _batch_size(leaves, dims)
        start = default_generator.get_state() if randomness == "same" else None
        results = []
        for i in range(size):
            if start is not None:
                default_generator.set_state(start)
            entry = [leaf if d is None else leaf.select(d, i) for leaf, d in zip(leaves, dims, strict=True)]
            named = tree_map(partial(_entry, index=i), kwargs)
            with _randomness(randomness):
                results.append(func(*unflatten(structure, entry), **named))
        return _stacked(results, out_dims)

    return transformed


def _entry(value: Any, index: int) -> Any:
    """Keyword arguments are batched along their first dimension."""
    return value.select(0, index) if isinstance(value, Tensor) and value.ndim else value


@contextmanager
def _randomness(how: str) -> Iterator[None]:
    before = mode.random_refused
    mode.random_refused = how == "error"
    try:
        yield
    finally:
        mode.random_refused = before


def _spread(in_dims: Any, args: tuple[Any, ...]) -> list[int | None]:
    """For each leaf of *args*, the dimension along which it is batched, or None."""
    if not isinstance(in_dims, (int, tuple, list, type(None))):
        raise ValueError(f"vmap: in_dims must be an int or a structure like the arguments, found {in_dims!r}")
    if isinstance(in_dims, (tuple, list)) and len(in_dims) != len(args):
        raise ValueError(f"vmap: in_dims {in_dims!r} names {len(in_dims)} arguments, but {len(args)} were given")

    def walk(dims: Any, tree: Any) -> Iterator[int | None]:
        if isinstance(tree, dict):
            for key, value in tree.items():
                yield from walk(dims[key] if isinstance(dims, dict) else dims, value)
        elif isinstance(tree, (tuple, list)):
            for i, value in enumerate(tree):
                yield from walk(dims[i] if isinstance(dims, (tuple, list)) else dims, value)
        else:
            yield _dimension(dims, tree)

    return list(walk(in_dims if in_dims is not None else (None,) * len(args), args))


def _dimension(dim: Any, leaf: Any) -> int | None:
    if dim is None:
        return None
    if not isinstance(leaf, Tensor):
        raise ValueError(
            f"vmap: in_dim {dim} was given for an argument of type {type(leaf).__name__}: only Tensors have dims"
        )
    if not -leaf.ndim <= dim < leaf.ndim:
        raise ValueError(f"vmap: in_dim {dim} is out of range for a tensor of dimensionality {leaf.ndim}")
    return int(dim)


def _batch_size(leaves: list[Any], dims: list[int | None]) -> int:
    sizes = {leaf.shape[d] for leaf, d in zip(leaves, dims, strict=True) if d is not None}
    if not sizes:
        raise ValueError("vmap: at least one argument must be batched: in_dims has None for all of them")
    if len(sizes) > 1:
        raise ValueError(
            f"vmap: Expected all tensors to have the same size in the mapped dimension, got sizes {sorted(sizes)}"
        )
    size: int = sizes.pop()
    if size == 0:
        raise ValueError("vmap: a batch of no entries has no result to take the shape from")
    return size


def _stacked(results: list[Any], out_dims: Any) -> Any:
    from ..operations.shape import stack

    rows = [flatten(result) for result in results]
    structure = rows[0][1]
    count = len(rows[0][0])
    dims = [out_dims] * count if isinstance(out_dims, int) or out_dims is None else flatten(out_dims)[0]
    if len(dims) != count:
        raise ValueError(f"vmap: out_dims {out_dims!r} does not fit the {count} results of the function")
    columns = []
    for position, dim in enumerate(dims):
        parts = [row[position] for row, _ in rows]
        if not all(isinstance(p, Tensor) for p in parts):
            raise ValueError(f"vmap: the function must only return Tensors, got type {type(parts[0])} as a return")
        columns.append(parts[0] if dim is None else stack(parts, dim))
    return unflatten(structure, columns)
