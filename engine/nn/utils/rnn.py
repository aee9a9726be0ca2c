"""Sequences of unequal lengths: padded into one tensor, or packed step by step for recurrent layers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, Self

import numpy as np

from ...operations.creation import full
from ...operations.indexing import index_select
from ...operations.shape import cat, stack
from ...tensors.tensor import Tensor


class _Packed(NamedTuple):
    data: Tensor
    batch_sizes: Tensor
    sorted_indices: Tensor | None
    unsorted_indices: Tensor | None


class PackedSequence(_Packed):
    """Sequences packed step by step: the first elements of all, then the second elements of those that have one …

    Made by ``pack_padded_sequence`` and ``pack_sequence``; recurrent layers take and return it.

    Attributes:
        data: all elements, (total, …).
        batch_sizes: how many sequences have an element at each step, int64.
        sorted_indices: the order by falling length in which the sequences were packed, or None if they came so.
        unsorted_indices: the order that undoes it.
    """

    def __new__(
        cls,
        data: Any,
        batch_sizes: Tensor | None = None,
        sorted_indices: Tensor | None = None,
        unsorted_indices: Tensor | None = None,
    ) -> Self:
        if batch_sizes is None:
            if not (isinstance(data, (list, tuple)) and len(data) == 2):
                raise AssertionError("Expected data to be a list or tuple of length 2: (data, batch_sizes)")
            data, batch_sizes = data
        if unsorted_indices is None:
            unsorted_indices = invert_permutation(sorted_indices)
        return super().__new__(cls, data, batch_sizes, sorted_indices, unsorted_indices)

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """Return the same with its data converted by ``Tensor.to``."""
        data = self.data.to(*args, **kwargs)
        return self if data is self.data else type(self)(data, *self[1:])

    def double(self) -> Self:
        """Return the same with float64 data."""
        return type(self)(self.data.double(), *self[1:])

    def float(self) -> Self:
        """Return the same with float32 data."""
        return type(self)(self.data.float(), *self[1:])

    def half(self) -> Self:
        """Return the same with float16 data."""
        return type(self)(self.data.half(), *self[1:])

    def cpu(self) -> Self:
        """Return the same, which is on the CPU."""
        return self

    @property
    def is_cuda(self) -> bool:
        """Whether the data is on a GPU: never."""
        return False

    def is_pinned(self) -> bool:
        """Return whether the data is in pinned memory: never."""
        return False


def invert_permutation(permutation: Tensor | None) -> Tensor | None:
    """Return the order that undoes *permutation* (n, int64); None of None."""
    return None if permutation is None else _indices(np.argsort(permutation._array))


def _indices(array: Any) -> Tensor:
    return Tensor._wrap(np.asarray(array, dtype=np.int64))


def _lengths(lengths: Any) -> Any:
    array = lengths._array if isinstance(lengths, Tensor) else np.asarray(lengths)
    return array.astype(np.int64)


def pack_padded_sequence(
    input: Tensor, lengths: Tensor | Sequence[int], batch_first: bool = False, enforce_sorted: bool = True
) -> PackedSequence:
    """Pack padded sequences.

    Args:
        input: (T, B, …), or (B, T, …) if *batch_first*.
        lengths: how many of the T elements of each sequence count, (B).
        batch_first: the batch is input's first dimension.
        enforce_sorted: the lengths must fall; otherwise the sequences are sorted.

    Raises:
        RuntimeError: lengths that are not positive, do not fit or do not fall.

    Example:
        >>> import allgrad as torch
        >>> padded = torch.tensor([[1, 2, 3], [4, 5, 0]])
        >>> torch.nn.utils.rnn.pack_padded_sequence(padded, [3, 2], batch_first=True).data
        tensor([1, 4, 2, 5, 3])
    """
    counts = _lengths(lengths)
    order = None
    if not enforce_sorted:
        permutation = np.argsort(-counts, kind="stable")
        counts, order = counts[permutation], _indices(permutation)
        input = index_select(input, 0 if batch_first else 1, order)
    steps, batch = (input._array.shape[1], input._array.shape[0]) if batch_first else input._array.shape[:2]
    _check_lengths(counts, steps, batch)
    sizes = (counts > np.arange(counts[0])[:, None]).sum(axis=1)
    places = np.concatenate(
        [_places(step, np.arange(size), steps, batch, batch_first) for step, size in enumerate(sizes)]
    )
    data = index_select(input.reshape(steps * batch, *input._array.shape[2:]), 0, _indices(places))
    return PackedSequence(data, _indices(sizes), order)


def _places(step: Any, sequence: Any, steps: int, batch: int, batch_first: bool) -> Any:
    """Where the elements at *step* of sequences lie in the padded tensor, its first two dimensions taken as one."""
    return sequence * steps + step if batch_first else step * batch + sequence


def _check_lengths(lengths: Any, steps: int, batch: int) -> None:
    if lengths.shape != (batch,):
        raise RuntimeError(
            f"Expected `len(lengths)` to be equal to batch_size, but got {lengths.size} (batch_size={batch})"
        )
    if (lengths <= 0).any():
        raise RuntimeError(
            "Length of all samples has to be greater than 0, but found an element in 'lengths' that is <= 0"
        )
    if (np.diff(lengths) > 0).any():
        raise RuntimeError(
            "`lengths` array must be sorted in decreasing order when `enforce_sorted` is True. You can pass "
            "`enforce_sorted=False` to pack_padded_sequence and/or pack_sequence to sidestep this requirement"
        )
    if lengths[0] > steps:
        raise RuntimeError(f"Expected lengths of at most {steps}, the steps of the input, but found {lengths[0]}")


def pad_packed_sequence(
    sequence: PackedSequence, batch_first: bool = False, padding_value: float = 0.0, total_length: int | None = None
) -> tuple[Tensor, Tensor]:
    """Unpack *sequence* into (T, B, …), or (B, T, …) if *batch_first*, and the lengths (B, int64).

    Elements beyond a sequence's end are *padding_value*; T is the greatest length, or *total_length* if given;
    ValueError if that is less.
    """
    sizes = sequence.batch_sizes._array
    steps, batch = len(sizes), int(sizes[0])
    if total_length is not None and total_length < steps:
        raise ValueError(
            "Expected total_length to be at least the length of the longest sequence in input, but got "
            f"total_length={total_length} and max sequence length being {steps}"
        )
    length = steps if total_length is None else total_length
    data = sequence.data
    rest = data._array.shape[1:]
    places = np.full(length * batch, len(data))  # the padding stands behind the data
    start = 0
    for step, size in enumerate(sizes):
        places[_places(step, np.arange(size), length, batch, batch_first)] = np.arange(start, start + size)
        start += size
    padding = full((1, *rest), padding_value, dtype=data.dtype)
    padded = index_select(cat([data, padding]), 0, _indices(places))
    padded = padded.reshape(*((batch, length) if batch_first else (length, batch)), *rest)
    lengths = _indices((np.arange(batch)[:, None] < sizes).sum(axis=1))
    if sequence.unsorted_indices is None:
        return padded, lengths
    order = sequence.unsorted_indices
    return index_select(padded, 0 if batch_first else 1, order), index_select(lengths, 0, order)


def pad_sequence(
    sequences: Tensor | Iterable[Tensor],
    batch_first: bool = False,
    padding_value: float = 0.0,
    padding_side: str = "right",
) -> Tensor:
    """Return *sequences*, each (length, …), as one tensor (T, B, …), or (B, T, …) if *batch_first*.

    *padding_value* stands behind the shorter ones, or before them if *padding_side* is "left".

    Example:
        >>> import allgrad as torch
        >>> torch.nn.utils.rnn.pad_sequence([torch.tensor([1, 2]), torch.tensor([3])], batch_first=True)
        tensor([[1, 2],
                [3, 0]])
    """
    if not isinstance(sequences, (Tensor, Iterable)):
        raise RuntimeError(
            f"pad_sequence: Expected iterable for input sequences, but got arg of type: {type(sequences)}"
        )
    if padding_side not in ("left", "right"):
        raise RuntimeError(f"Expected padding_side to be one of left or right, but got {padding_side}.")
    listed = list(sequences)
    if not listed:
        raise RuntimeError("received an empty list of sequences")
    longest = max(s._array.shape[0] for s in listed)

    def padded(sequence: Tensor) -> Any:
        missing = longest - sequence._array.shape[0]
        if not missing:
            return sequence
        padding = full((missing, *sequence._array.shape[1:]), padding_value, dtype=sequence.dtype)
        return cat([sequence, padding] if padding_side == "right" else [padding, sequence])

    result: Tensor = stack([padded(s) for s in listed], 0 if batch_first else 1)
    return result


def unpad_sequence(padded_sequences: Tensor, lengths: Tensor, batch_first: bool = False) -> list[Tensor]:
    """Return the sequences, each (length, …), that ``pad_sequence`` made *padded_sequences* of."""
    batches = padded_sequences if batch_first else padded_sequences.transpose(0, 1)
    return [sequence[: int(n)] for sequence, n in zip(batches, _lengths(lengths), strict=True)]


def pack_sequence(sequences: Sequence[Tensor], enforce_sorted: bool = True) -> PackedSequence:
    """Pack *sequences*, each (length, …); their lengths must fall if *enforce_sorted*.

    Example:
        >>> import allgrad as torch
        >>> torch.nn.utils.rnn.pack_sequence([torch.tensor([1, 2]), torch.tensor([3])]).batch_sizes
        tensor([2, 1])
    """
    lengths = [s._array.shape[0] for s in sequences]
    return pack_padded_sequence(pad_sequence(sequences), lengths, enforce_sorted=enforce_sorted)


def unpack_sequence(packed_sequences: PackedSequence) -> list[Tensor]:
    """Return the sequences, each (length, …), that ``pack_sequence`` made *packed_sequences* of."""
    padded, lengths = pad_packed_sequence(packed_sequences, batch_first=True)
    return unpad_sequence(padded, lengths, batch_first=True)
