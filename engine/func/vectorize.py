"""``vmap``: a function of single examples made one of batches, which it computes at once.

The function runs once, on tensors that show one example and hold all of them (see ``allgrad.batching``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from ..operations.batches import enter_batch, without_batch
from ..tape.vmaps import running
from ..tensors.tensor import Tensor
from .tree import flatten, unflatten

_RANDOMNESS = ("error", "different", "same")


def vmap(
    func: Callable[..., Any],
    in_dims: Any = 0,
    out_dims: Any = 0,
    randomness: str = "error",
    *,
    chunk_size: int | None = None,
) -> Callable[..., Any]:
    """The function that applies *func* to every entry along the dimensions *in_dims* of its arguments, at once.

    *func* is called once, with tensors of the shape of one example that hold all of them; what it does with them is done for
    each. So it cannot decide by their values (``if x > 0``, ``x.item()``): ``torch.where`` does. What has no form for
    batches is computed row by row, see ``vmap_fallback_warnings``.

    Args:
        func: takes and returns tensors, or nested tuples, lists and dicts of them.
        in_dims: a dimension for all arguments, or a structure like them, with None where an argument is the same for all
            examples. Keyword arguments are batched along their first dimension.
        out_dims: where the batch goes in the results: one for all or a structure like them; None where a result is the same
            for all examples.
        randomness: what random operations do inside: raise ("error"), draw anew for each entry ("different"), or draw
            the same for all ("same").
        chunk_size: how many entries are computed at once; all by default. It bounds the memory.

    Raises:
        ValueError: dimensions or sizes that do not fit.
        RuntimeError: a decision by the values of a batched tensor; a random operation under "error".

    Example:
        >>> import allgrad as torch
        >>> torch.func.vmap(torch.dot)(torch.ones(2, 3), torch.ones(2, 3))
        tensor([3., 3.])

        The gradient of each example's loss, for the weights that they share:

        >>> w, x = torch.tensor([1.0, 2.0]), torch.tensor([[3.0, 0.0], [0.0, 4.0]])
        >>> torch.func.vmap(torch.func.grad(lambda w, x: (w * x).sum()), in_dims=(None, 0))(w, x)
        tensor([[3., 0.],
                [0., 4.]])
    """
    if randomness not in _RANDOMNESS:
        raise RuntimeError(f"Only allowed values for randomness are 'error', 'different', or 'same'. Got {randomness}")
    if chunk_size is not None and chunk_size <= 0:
        raise ValueError(f"vmap: chunk_size should be None or greater than 0. (got {chunk_size})")

    def transformed(*args: Any, **kwargs: Any) -> Any:
        leaves, structure = flatten((args, kwargs))
        dims = [*_spread(in_dims, args), *(0 if _has_dims(leaf) else None for leaf in flatten(kwargs)[0])]
        size = _batch_size(leaves, dims)
        if chunk_size is None or chunk_size >= size:
            return _mapped(func, leaves, structure, dims, out_dims, size, randomness)
        parts = []
        for start in range(0, size, chunk_size):
            count = min(chunk_size, size - start)
            cut = [x if d is None else x.narrow(d, start, count) for x, d in zip(leaves, dims, strict=True)]
            parts.append(_mapped(func, cut, structure, dims, out_dims, count, randomness))
        return _joined(parts, out_dims)

    return transformed


def _has_dims(value: Any) -> bool:
    return isinstance(value, Tensor) and value._array.ndim > 0


def _mapped(
    func: Callable[..., Any],
    leaves: list[Any],
    structure: Any,
    dims: list[int | None],
    out_dims: Any,
    size: int,
    randomness: str,
) -> Any:
    """The results of *func* for all entries of *leaves* along *dims*."""
    with running(size, randomness) as level:
        entries = [
            x if d is None else enter_batch(x, d % x._array.ndim, level) for x, d in zip(leaves, dims, strict=True)
        ]
        args, kwargs = unflatten(structure, entries)
        results, shape = flatten(func(*args, **kwargs))
    wanted = _out_dims(out_dims, len(results))
    return unflatten(shape, [_taken_out(x, d, level, size) for x, d in zip(results, wanted, strict=True)])


def _out_dims(out_dims: Any, count: int) -> list[Any]:
    dims = [out_dims] * count if isinstance(out_dims, int) or out_dims is None else flatten(out_dims)[0]
    if len(dims) != count:
        raise ValueError(f"vmap: out_dims {out_dims!r} does not fit the {count} results of the function")
    return dims


def _taken_out(result: Any, dim: int | None, level: int, size: int) -> Any:
    """*result* of the function with its entries along *dim*."""
    if not isinstance(result, Tensor):
        raise ValueError(f"vmap: the function must only return Tensors, got type {type(result)} as a return")
    if dim is None:
        if level in getattr(result._array, "levels", ()):
            raise ValueError(
                "vmap: can not return a BatchedTensor when out_dim is None: this result is another one for each entry, so "
                "say with out_dims where they go"
            )
        return result
    rank = result._array.ndim + 1
    if not -rank <= dim < rank:
        raise IndexError(
            f"Dimension out of range (expected to be in range of [{-rank}, {rank - 1}], but got {dim}), for the out_dims of "
            f"vmap and a result of {rank - 1} dimensions"
        )
    return without_batch(result, dim % rank, level, size)


def _joined(parts: list[Any], out_dims: Any) -> Any:
    """The results of several chunks one behind the other along *out_dims*."""
    from ..operations.shape import cat

    rows = [flatten(part) for part in parts]
    dims = _out_dims(out_dims, len(rows[0][0]))
    columns = zip(*(row for row, _ in rows), strict=True)
    return unflatten(rows[0][1], [c[0] if d is None else cat(list(c), d) for c, d in zip(columns, dims, strict=True)])


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
    return size
