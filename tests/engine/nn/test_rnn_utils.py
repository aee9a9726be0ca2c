"""Sequences of unequal lengths, padded and packed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import allgrad as torch
from allgrad.nn.utils.rnn import (
    PackedSequence,
    invert_permutation,
    pack_padded_sequence,
    pack_sequence,
    pad_packed_sequence,
    pad_sequence,
    unpack_sequence,
    unpad_sequence,
)

SEQUENCES = [torch.tensor([1.0, 2.0]), torch.tensor([3.0]), torch.tensor([4.0, 5.0, 6.0])]


def test_padding_goes_behind_or_before() -> None:
    assert pad_sequence(SEQUENCES, True, -1.0).tolist() == [[1, 2, -1], [3, -1, -1], [4, 5, 6]]
    assert pad_sequence(SEQUENCES, True, padding_side="left").tolist() == [[0, 1, 2], [0, 0, 3], [4, 5, 6]]
    assert torch.equal(pad_sequence(SEQUENCES), pad_sequence(SEQUENCES, batch_first=True).T)


def test_packing_goes_step_by_step_from_the_longest_sequence() -> None:
    packed = pack_sequence(SEQUENCES, enforce_sorted=False)
    assert packed.data.tolist() == [4, 1, 3, 5, 2, 6]
    assert packed.batch_sizes.tolist() == [3, 2, 1]
    assert packed.sorted_indices is not None
    assert packed.sorted_indices.tolist() == [2, 0, 1]
    assert packed.unsorted_indices is not None
    assert packed.unsorted_indices.tolist() == [1, 2, 0]


@pytest.mark.parametrize("batch_first", [True, False])
def test_packing_and_padding_undo_each_other(batch_first: bool) -> None:
    packed = pack_padded_sequence(pad_sequence(SEQUENCES, batch_first), [2, 1, 3], batch_first, enforce_sorted=False)
    padded, lengths = pad_packed_sequence(packed, batch_first, padding_value=9.0, total_length=4)
    assert lengths.tolist() == [2, 1, 3]
    rows = padded if batch_first else padded.T
    assert rows.tolist() == [[1, 2, 9, 9], [3, 9, 9, 9], [4, 5, 6, 9]]
    for a, b, c in zip(SEQUENCES, unpack_sequence(packed), unpad_sequence(padded, lengths, batch_first), strict=True):
        assert torch.equal(a, b)
        assert torch.equal(a, c)


def test_gradients_pass_through_packing_and_stop_at_padding() -> None:
    x = torch.ones(2, 3, 2, requires_grad=True)
    packed = pack_padded_sequence(x, [3, 1], batch_first=True)
    padded, _ = pad_packed_sequence(packed, batch_first=True)
    (padded * 2).sum().backward()
    assert x.grad is not None
    assert x.grad[..., 0].tolist() == [[2, 2, 2], [2, 0, 0]]


def test_a_packed_sequence_converts_its_data_only() -> None:
    packed = pack_sequence(SEQUENCES, enforce_sorted=False)
    assert packed.double().data.dtype is torch.float64
    assert packed.double().batch_sizes.dtype is torch.int64
    assert packed.to(torch.float32) is packed
    assert isinstance(PackedSequence((packed.data, packed.batch_sizes)), PackedSequence)
    inverse = invert_permutation(torch.tensor([2, 0, 1]))
    assert inverse is not None
    assert inverse.tolist() == [1, 2, 0]


PADDED = torch.from_numpy(np.zeros((3, 2)))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: pack_padded_sequence(PADDED, [1, 2]), RuntimeError, "sorted in decreasing order"),
        (lambda: pack_padded_sequence(PADDED, [1, 0]), RuntimeError, "greater than 0"),
        (lambda: pack_padded_sequence(PADDED, [1]), RuntimeError, "equal to batch_size"),
        (lambda: pack_padded_sequence(PADDED, [4, 1]), RuntimeError, "at most 3"),
        (lambda: pad_packed_sequence(pack_sequence(SEQUENCES, False), total_length=2), ValueError, "total_length=2"),
        (lambda: pad_sequence([]), RuntimeError, "empty list"),
        (lambda: pad_sequence(SEQUENCES, padding_side="up"), RuntimeError, "left or right"),
    ],
)
def test_wrong_lengths_are_refused(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()
