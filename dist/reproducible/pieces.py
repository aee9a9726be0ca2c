"""Batches as they come from a loader: tensors, and whatever holds tensors, cut along their first dimension."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

import allgrad


def piece(batch: Any, which: slice) -> Any:
    """Return the samples *which* of all tensors, arrays and lists of samples' texts in *batch*; the rest as it is."""
    if isinstance(batch, allgrad.Tensor | np.ndarray):
        return batch[which]
    if isinstance(batch, Mapping):
        return {key: piece(value, which) for key, value in batch.items()}
    if isinstance(batch, tuple) and hasattr(batch, "_fields"):
        return type(batch)(*(piece(value, which) for value in batch))
    if _is_column(batch):
        return batch[which]
    if isinstance(batch, list | tuple):
        return type(batch)(piece(value, which) for value in batch)
    return batch


def first_length(batch: Sequence[Any], name: str) -> int:
    """Return how many samples *batch* has.

    Raises ValueError where its tensors do not agree in that, or there are none.
    """
    found = set(_lengths(batch))
    if len(found) == 1:
        return found.pop()
    if not found:
        raise ValueError(
            f"{name}: the batch holds no tensor: pass what the loader yields, as in {name}(loss_fn, *batch)"
        )
    raise ValueError(
        f"{name}: the tensors of the batch have {', '.join(map(str, sorted(found)))} samples: "
        "the first dimension of each counts the samples, so they must agree"
    )


def _lengths(batch: Any) -> Iterator[int]:
    if isinstance(batch, allgrad.Tensor | np.ndarray):
        yield batch.shape[0] if batch.ndim else 0
    elif isinstance(batch, Mapping):
        for value in batch.values():
            yield from _lengths(value)
    elif _is_column(batch):
        yield len(batch)
    elif isinstance(batch, list | tuple):
        for value in batch:
            yield from _lengths(value)


def _is_column(value: Any) -> bool:
    """Whether *value* has one text for each sample, as default_collate leaves them."""
    return isinstance(value, list | tuple) and bool(value) and all(isinstance(one, str | bytes) for one in value)
