"""The fallback: a function of arrays called once for each example, and its results put together."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from .array import Batched, any_batched, lifted, lowered, sizes_of


class _Loops(threading.local):
    told: Callable[[str], None] | None = None  # called with the name of what is computed row by row


loops = _Loops()


def note(name: str) -> None:
    """Tell whoever wants to know that *name* is computed row by row."""
    if loops.told is not None:
        loops.told(name)


def computed(function: Callable[..., Any], args: Any, kwargs: Any, name: str) -> Any:
    """``function(*args, **kwargs)``, a function of arrays, with batches among them: at once, or else row by row."""
    try:
        return lowered(function(*lifted(list(args)), **{key: lifted(value) for key, value in kwargs.items()}))
    except Exception:  # noqa: BLE001 -- whatever it is: a mistake of the caller is found again, and told of one example
        return by_rows(function, args, kwargs, name)


def by_rows(function: Callable[..., Any], args: Any, kwargs: Any, name: str) -> Any:
    """``function(*args, **kwargs)`` for every example of the batches among the arguments, stacked.

    ValueError if there is no example to learn the result's shape from, or the shapes differ.
    """
    sizes = sizes_of([args, kwargs])
    if not sizes:
        return lifted(function(*lowered(list(args)), **{key: lowered(value) for key, value in kwargs.items()}))
    note(name)
    rows = []
    for place in np.ndindex(*sizes.values()):
        where = dict(zip(sizes, place, strict=True))
        rows.append(function(*_entry(list(args), where), **_entry(dict(kwargs), where)))
    if not rows:
        raise ValueError(f"vmap: {name} is computed row by row, so a batch of no entries has no result")
    return _stacked(rows, sizes, name)


def _entry(value: Any, where: dict[int, int]) -> Any:
    """*value* with the examples at *where* for the batches in it."""
    if isinstance(value, Batched):
        return value.values[(*(where[level] for level in value.levels), ...)]
    if isinstance(value, dict):
        return {key: _entry(part, where) for key, part in value.items()}
    if isinstance(value, (list, tuple)) and any_batched(value):
        made = [_entry(part, where) for part in value]
        return type(value)(*made) if hasattr(value, "_fields") else type(value)(made)
    return value


def _stacked(rows: list[Any], sizes: dict[int, int], name: str) -> Any:
    first = rows[0]
    if isinstance(first, (list, tuple)):
        parts = [_stacked(list(column), sizes, name) for column in zip(*rows, strict=True)]
        return type(first)(*parts) if hasattr(first, "_fields") else type(first)(parts)
    if first is None:
        return None
    arrays = [np.asarray(row) for row in rows]
    if len({array.shape for array in arrays}) > 1:
        raise ValueError(
            f"vmap: {name} has a result of another shape for each example: it depends on the data (the shapes found are "
            f"{sorted({array.shape for array in arrays})})"
        )
    return Batched(np.stack(arrays).reshape((*sizes.values(), *arrays[0].shape)), tuple(sizes))
