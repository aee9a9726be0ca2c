"""Making a batch of samples: stacking tensors and numbers, and going into tuples and dicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ...operations.creation import tensor
from ...operations.shape import stack
from ...tensors.tensor import Tensor


def default_collate(batch: Sequence[Any]) -> Any:
    """Make one batch of a list of samples.

    Tensors and NumPy arrays are stacked along a new first dimension; ints become an int64 tensor, floats one
    of float64; strings and bytes stay a list; of dicts, tuples and lists, every entry is collated by itself.

    Raises:
        TypeError: samples of another type.
        RuntimeError: tensors of different shapes, or sequences of different lengths.

    Example:
        >>> from allgrad.utils.data import default_collate
        >>> default_collate([(1, "a"), (2, "b")])
        [tensor([1, 2]), ('a', 'b')]
    """
    first = batch[0]
    if isinstance(first, Tensor):
        return stack(list(batch), 0)
    if isinstance(first, np.ndarray):
        return stack([_from_numpy(sample) for sample in batch], 0)
    if isinstance(first, np.generic):
        return _from_numpy(np.asarray(batch))
    if isinstance(first, float):
        return Tensor._wrap(np.array(batch, np.float64))
    if isinstance(first, int):
        return tensor(list(batch))
    if isinstance(first, (str, bytes)):
        return batch
    if isinstance(first, Mapping):
        return _collate_mapping(batch, first)
    if isinstance(first, Sequence):
        return _collate_sequence(batch, first)
    raise TypeError(
        "default_collate: batch must contain tensors, numpy arrays, numbers, dicts or lists; "
        f"found {type(first)}: give the DataLoader a collate_fn that knows it"
    )


def default_convert(data: Any) -> Any:
    """Turn every NumPy array or scalar in ``data`` into a tensor of the same values, and leave the rest."""
    if isinstance(data, np.ndarray | np.generic) and data.dtype.kind in "biufc":
        return _from_numpy(np.asarray(data))
    if isinstance(data, Mapping):
        return _like(data, {key: default_convert(value) for key, value in data.items()})
    if isinstance(data, tuple) and hasattr(data, "_fields"):
        return type(data)(*map(default_convert, data))
    if isinstance(data, tuple):
        return [default_convert(item) for item in data]
    if isinstance(data, Sequence) and not isinstance(data, str | bytes):
        return _like(data, [default_convert(item) for item in data])
    return data


def _from_numpy(array: Any) -> Tensor:
    if array.dtype.kind not in "biufc":
        raise TypeError(
            "default_collate: batch must contain tensors, numpy arrays, numbers, dicts or lists; "
            f"found an array of {array.dtype}"
        )
    return Tensor._wrap(array)


def _collate_mapping(batch: Sequence[Any], first: Mapping[Any, Any]) -> Any:
    return _like(first, {key: default_collate([sample[key] for sample in batch]) for key in first})


def _collate_sequence(batch: Sequence[Any], first: Sequence[Any]) -> Any:
    lengths = {len(sample) for sample in batch}
    if len(lengths) > 1:
        raise RuntimeError(f"each element in list of batch should be of equal size, found lengths {sorted(lengths)}")
    columns = list(zip(*batch, strict=True))
    if isinstance(first, tuple) and hasattr(first, "_fields"):
        return type(first)(*map(default_collate, columns))
    collated = [default_collate(column) for column in columns]
    return collated if isinstance(first, tuple) else _like(first, collated)


def _like(example: Any, content: Any) -> Any:
    """Return the content in a container of the example's type, where that type can be made of it."""
    try:
        return type(example)(content)
    except TypeError:
        return content
