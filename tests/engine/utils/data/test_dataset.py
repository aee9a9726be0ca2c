"""Datasets: joining, dividing, and the errors of those that are incomplete."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from allgrad.random import Generator
from allgrad.tensors.tensor import Tensor
from allgrad.utils.data import (
    ChainDataset,
    ConcatDataset,
    Dataset,
    IterableDataset,
    StackDataset,
    Subset,
    TensorDataset,
    random_split,
)


class Letters(Dataset[str]):
    """The letters of a word."""

    def __init__(self, word: str) -> None:
        self.word = word

    def __len__(self) -> int:
        return len(self.word)

    def __getitem__(self, index: int) -> str:
        return self.word[index]


class LetterStream(IterableDataset[str]):
    """The letters of a word, as a stream."""

    def __init__(self, word: str) -> None:
        self.word = word

    def __len__(self) -> int:
        return len(self.word)

    def __iter__(self) -> Iterator[str]:
        return iter(self.word)


TEN = Letters("abcdefghij")


def test_a_sample_of_tensors_is_a_tuple_of_rows() -> None:
    dataset = TensorDataset(Tensor._wrap(np.eye(3)), Tensor._wrap(np.arange(3)))
    row, label = dataset[1]
    assert (row.tolist(), label.item()) == ([0, 1, 0], 1)
    assert len(dataset) == 3


def test_tensors_of_different_lengths_are_refused() -> None:
    with pytest.raises(AssertionError, match="Size mismatch between tensors: their first dimensions are 3, 2"):
        TensorDataset(Tensor._wrap(np.zeros(3)), Tensor._wrap(np.zeros(2)))


def test_datasets_are_joined_by_adding_them() -> None:
    joined = Letters("ab") + Letters("cde")
    assert [joined[i] for i in range(-5, 5)] == list("abcdeabcde")
    assert isinstance(joined, ConcatDataset)
    with pytest.raises(ValueError, match="absolute value of index"):
        joined[-6]
    with pytest.raises(IndexError, match="index 5 is out of range"):
        joined[5]


def test_streams_are_joined_by_adding_them() -> None:
    joined = LetterStream("ab") + LetterStream("c")
    assert isinstance(joined, ChainDataset)
    assert (list(joined), len(joined)) == (["a", "b", "c"], 3)


def test_maps_and_streams_do_not_mix() -> None:
    with pytest.raises(AssertionError, match="ConcatDataset does not support IterableDataset"):
        ConcatDataset([Letters("a"), LetterStream("b")])
    with pytest.raises(AssertionError, match="ChainDataset only supports IterableDataset"):
        list(ChainDataset([Letters("a")]))
    with pytest.raises(AssertionError, match="should not be an empty iterable"):
        ConcatDataset([])


def test_datasets_are_stacked_side_by_side() -> None:
    assert StackDataset(Letters("ab"), Letters("xy"))[1] == ("b", "y")
    assert StackDataset(one=Letters("ab"), two=Letters("xy"))[0] == {"one": "a", "two": "x"}
    with pytest.raises(ValueError, match=r"Size mismatch between datasets: their lengths are \[1, 2\]"):
        StackDataset(Letters("ab"), Letters("x"))
    with pytest.raises(ValueError, match="either by position, for tuples, or by keyword"):
        StackDataset(Letters("ab"), two=Letters("xy"))


def test_a_subset_has_the_chosen_samples() -> None:
    subset = Subset(Letters("abcde"), [4, 0])
    assert (subset[0], subset[1], len(subset)) == ("e", "a", 2)
    assert subset.__getitems__([1, 0]) == ["a", "e"]


def test_a_subset_with_samples_of_its_own_must_also_make_batches() -> None:
    class Loud(Subset[str]):
        def __getitem__(self, index: Any) -> str:
            return super().__getitem__(index).upper()

    with pytest.raises(NotImplementedError, match="Loud overrides __getitem__ but not __getitems__"):
        Loud(Letters("ab"), [0])


@pytest.mark.parametrize(
    ("lengths", "expected"),
    [([3, 7], [3, 7]), ([0.5, 0.5], [5, 5]), ([0.33, 0.33, 0.34], [4, 3, 3]), ([1.0], [10])],
)
def test_a_random_split_has_the_asked_lengths_and_every_sample_once(lengths: Any, expected: list[int]) -> None:
    parts = random_split(TEN, lengths, generator=Generator().manual_seed(0))
    assert [len(part) for part in parts] == expected
    assert sorted(part[i] for part in parts for i in range(len(part))) == list("abcdefghij")


def test_a_random_split_follows_from_its_generator() -> None:
    def split(seed: int) -> list[Any]:
        return [list(part.indices) for part in random_split(TEN + TEN + TEN, [10, 20], Generator().manual_seed(seed))]

    assert split(1) == split(1)
    assert split(1) != split(2)


def test_a_split_that_does_not_add_up_is_refused() -> None:
    with pytest.raises(ValueError, match=r"Sum of input lengths does not equal .* 3 \+ 3 is not 10"):
        random_split(TEN, [3, 3])
    with pytest.raises(ValueError, match="Fraction at index 0 is not between 0 and 1"):
        random_split(TEN, [1.5, -0.5])
    with pytest.warns(UserWarning, match="Length of split at index 1 is 0"):
        random_split(Letters("ab"), [0.9, 0.1])


def test_incomplete_datasets_say_what_is_missing() -> None:
    with pytest.raises(NotImplementedError, match="should implement __getitem__"):
        Dataset[int]()[0]
    with pytest.raises(NotImplementedError, match="should implement __iter__"):
        iter(IterableDataset[int]())
