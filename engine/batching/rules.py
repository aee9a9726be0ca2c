"""How a forward that cannot run on batches itself (a compiled kernel, say) is made one that can, by what kind it is."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from .array import Batched, Unbatchable, aligned, completed, levels_of, sizes_of, wrap

Forward = Callable[..., Any]


def broadcasting(forward: Forward) -> Forward:
    """A *forward* that works on the last dimensions, or element by element, and broadcasts those in front of them."""

    def batched(*args: Any, **named: Any) -> Any:
        values, levels = aligned((*args, *named.values()))
        return _each(
            forward(*values[: len(args)], **dict(zip(named, values[len(args) :], strict=True))),
            lambda result: wrap(result, levels),
        )

    return batched


def folding(*positions: int, shape: int | None = None) -> Callable[[Forward], Forward]:
    """For a forward whose arguments at *positions*, and its results, have examples along their first dimension already.

    The argument at *shape* is the shape of its result.
    The others must be the same for all; where they are not, each example is computed on its own.
    """

    def rule(forward: Forward) -> Forward:
        def batched(*args: Any, **named: Any) -> Any:
            passed = list(args)
            sizes = sizes_of(passed)
            shared = [value for i, value in enumerate(passed) if i not in positions]
            if levels_of([shared, named]):
                raise Unbatchable("what all examples share is another one for each")
            for i in positions:
                if i < len(passed) and passed[i] is not None:
                    passed[i] = merged(passed[i], sizes)
            if shape is not None:
                passed[shape] = (math.prod(sizes.values()) * passed[shape][0], *passed[shape][1:])
            return _each(forward(*passed, **named), lambda result: divided(result, sizes))

        return batched

    return rule


def folding_along(dims: Mapping[int, int], result: int = 0) -> Callable[[Forward], Forward]:
    """As ``folding``, for a forward that has examples along dimension ``dims[i]`` of its argument i, and along *result*."""

    def rule(forward: Forward) -> Forward:
        def turned(args: tuple[Any, ...]) -> list[Any]:
            return [np.swapaxes(value, 0, dims[i]) if dims.get(i) else value for i, value in enumerate(args)]

        def examples_first(*args: Any) -> Any:
            passed = [np.ascontiguousarray(value) if i in dims else value for i, value in enumerate(turned(args))]
            return np.swapaxes(forward(*passed), 0, result)

        folded = folding(*dims)(examples_first)
        return lambda *args: np.swapaxes(folded(*turned(args)), 0, result)

    return rule


def _each(result: Any, function: Callable[[Any], Any]) -> Any:
    if isinstance(result, tuple):
        made = map(function, result)
        return type(result)(*made) if hasattr(result, "_fields") else tuple(made)
    return function(result)


def merged(value: Any, sizes: dict[int, int]) -> Any:
    """The examples of *value*, at the levels of *sizes*, one behind the other along their first dimension."""
    whole = completed(value, sizes)
    k = len(sizes) + 1
    return whole.reshape((math.prod(whole.shape[:k]), *whole.shape[k:]))


def divided(array: Any, sizes: dict[int, int]) -> Batched:
    """The batch of what ``merged`` put one behind the other."""
    count = max(math.prod(sizes.values()), 1)
    return Batched(np.reshape(array, (*sizes.values(), array.shape[0] // count, *array.shape[1:])), tuple(sizes))
