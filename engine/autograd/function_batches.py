"""Custom operations inside ``vmap``: by their own rule for batches, at once by their forward, or example by example."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from ..batching import Unbatchable, by_rows, levels_of
from ..registry.batches import example_by_example
from ..tape.mode import mode
from ..tensors.tensor import Tensor

if TYPE_CHECKING:
    from .function import Function


class VmapInfo(NamedTuple):
    """What the ``vmap`` staticmethod of a custom Function is told: how many examples there are, and ``vmap``'s randomness."""

    batch_size: int
    randomness: str


def are_mapped(args: tuple[Any, ...]) -> bool:
    """Whether one of *args* is another value for each example of a running ``vmap``."""
    return any(isinstance(a, Tensor) and levels_of(a._array) for a in args)


def apply_mapped(function: type[Function], plain: Callable[..., Any], args: tuple[Any, ...], ruled: bool) -> Any:
    """``function.apply(*args)`` for every example; *plain* is what applies it, *ruled*: it has a ``vmap`` staticmethod.

    RuntimeError where it has both such a method and ``generate_vmap_rule``.
    """
    if ruled and function.generate_vmap_rule:
        raise RuntimeError(
            f"You tried to vmap over {function.__name__}, but it has both generate_vmap_rule=True and an overriden vmap "
            "staticmethod. Please set generate_vmap_rule=False or delete the overriden vmap staticmethod to avoid ambiguity"
        )
    if ruled:
        return _by_its_rule(function, args)
    try:
        return plain(*args)
    except Unbatchable:
        return example_by_example(plain, function.__name__)(*args)


def _by_its_rule(function: type[Function], args: tuple[Any, ...]) -> Any:
    from ..func.tree import flatten, unflatten
    from ..operations.batches import enter_batch, leave_batch

    level = max(level for a in args if isinstance(a, Tensor) for level in levels_of(a._array))
    own = [isinstance(a, Tensor) and level in levels_of(a._array) for a in args]
    apart = [leave_batch(a, 0, level) if mine else a for a, mine in zip(args, own, strict=True)]
    before = mode.vmaps
    running = next(v for v in before if v.level == level)
    mode.vmaps = tuple(v for v in before if v.level != level)
    try:
        info = VmapInfo(running.size, running.randomness)
        results, out_dims = function.vmap(info, tuple(0 if mine else None for mine in own), *apart)
    finally:
        mode.vmaps = before
    leaves, structure = flatten(results)
    dims = [out_dims] * len(leaves) if out_dims is None or isinstance(out_dims, int) else flatten(out_dims)[0]
    if len(dims) != len(leaves):
        raise RuntimeError(
            f"{function.__name__}.vmap returned {len(leaves)} results and out_dims {out_dims!r}: it returns the results, and "
            "for each of them the dimension along which the examples are, or None"
        )
    return unflatten(structure, [x if d is None else enter_batch(x, d % x._array.ndim, level)
                                 for x, d in zip(leaves, dims, strict=True)])  # fmt: skip


def backward_by_rows(backward: Callable[[list[Any]], list[Any]], incoming: list[Any], name: str) -> list[Any]:
    """The arrays that *backward* gives for the Tensors *incoming*, called for each example of them."""

    def once(*arrays: Any) -> list[Any]:
        given = [None if x is None else Tensor._wrap(x) for x in arrays]
        return [None if x is None else x._array for x in backward(given)]

    found: list[Any] = by_rows(once, [None if x is None else x._array for x in incoming], {}, f"{name}.backward")
    return found
