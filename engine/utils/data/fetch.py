"""From indices to a batch: taking samples out of a dataset and collating them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import numpy as np

from ...tensors.tensor import Tensor
from .collate import default_collate
from .dataset import IterableDataset, Subset, TensorDataset

Fetch = Callable[[Any], Any]


def make_fetch(dataset: Any, collate: Callable[[Any], Any], *, batched: bool, drop_last: bool) -> Fetch:
    """Return the function that makes a batch of a list of indices, or of one index where nothing is batched.

    For an IterableDataset the indices only say how many samples to take; StopIteration ends it.
    """
    if isinstance(dataset, IterableDataset):
        return _from_stream(iter(dataset), collate, batched=batched, drop_last=drop_last)
    if not batched:
        return lambda index: collate(dataset[index])
    if collate is default_collate:
        rows = _from_tensors(dataset)
        if rows is not None:
            return rows
    at_once = getattr(dataset, "__getitems__", None)
    if callable(at_once):
        return lambda indices: collate(at_once(indices))
    return lambda indices: collate([dataset[index] for index in indices])


def _from_stream(samples: Iterator[Any], collate: Callable[[Any], Any], *, batched: bool, drop_last: bool) -> Fetch:
    def fetch(indices: Any) -> Any:
        if not batched:
            return collate(next(samples))
        batch = list(islice(samples, len(indices)))
        if not batch or (drop_last and len(batch) < len(indices)):
            raise StopIteration
        return collate(batch)

    return fetch


def _from_tensors(dataset: Any) -> Fetch | None:
    """Return a fetch that indexes whole tensors once, if the dataset is a TensorDataset or a Subset of one.

    Its batches equal those of collating single samples.
    """
    chosen = None
    while type(dataset) is Subset:
        indices = np.asarray(dataset.indices, np.intp)
        chosen = indices if chosen is None else indices[chosen]
        dataset = dataset.dataset
    if type(dataset) is not TensorDataset or any(tensor.requires_grad for tensor in dataset.tensors):
        return None
    tensors = dataset.tensors

    def fetch(indices: Any) -> list[Tensor]:
        rows = np.asarray(indices, np.intp) if chosen is None else chosen[indices]
        return [Tensor._wrap(tensor._array[rows]) for tensor in tensors]

    return fetch
