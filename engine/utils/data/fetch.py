"""From indices to a batch: taking samples out of a dataset and collating them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any

import numpy as np

from ...random import Stream
from ...tensors.tensor import Tensor
from .collate import default_collate
from .dataset import IterableDataset, Subset, TensorDataset
from .sampler import KeyedBatch

Fetch = Callable[[Any], Any]

_SAMPLES = int.from_bytes(b"samples", "little")  # tells the streams of samples from other streams of one seed


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

    def fetch(indices: Any) -> Any:
        if isinstance(indices, KeyedBatch):
            return _keyed(dataset, collate, indices)
        return collate(at_once(indices) if callable(at_once) else [dataset[index] for index in indices])

    return fetch


def _keyed(dataset: Any, collate: Callable[[Any], Any], indices: KeyedBatch) -> Any:
    """Draw every sample within its own random stream; of no sample make a batch of length 0."""
    samples = []
    for index in indices or [0]:
        with Stream((indices.seed, _SAMPLES), (indices.epoch, index)):
            samples.append(dataset[index])
    batch = collate(samples)
    return batch if indices else _emptied(batch)


def _emptied(batch: Any) -> Any:
    """Return *batch* without the sample that stood in to show its form."""
    if isinstance(batch, Mapping):
        return {key: _emptied(value) for key, value in batch.items()}
    if isinstance(batch, tuple) and hasattr(batch, "_fields"):
        return type(batch)(*map(_emptied, batch))
    if isinstance(batch, Tensor | np.ndarray):
        return batch[:0]
    if isinstance(batch, list | tuple) and all(isinstance(value, str | bytes) for value in batch):
        return batch[:0]
    return type(batch)(map(_emptied, batch)) if isinstance(batch, list | tuple) else batch


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
