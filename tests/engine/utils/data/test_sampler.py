"""Samplers: which indices they draw, how often, and which arguments they refuse."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from allgrad.random import Generator
from allgrad.utils.data import (
    BatchSampler,
    RandomSampler,
    Sampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)


def seeded(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


def test_a_random_order_is_a_permutation_or_several() -> None:
    assert sorted(RandomSampler(range(9), generator=seeded())) == list(range(9))
    more = list(RandomSampler(range(4), num_samples=10, generator=seeded()))
    assert sorted(more[:4]) == sorted(more[4:8]) == [0, 1, 2, 3]
    assert len(more) == 10
    fewer = list(RandomSampler(range(100), num_samples=10, generator=seeded()))
    assert len(set(fewer)) == 10


def test_every_permutation_is_as_likely() -> None:
    generator = seeded()
    counts = Counter(tuple(RandomSampler(range(3), generator=generator)) for _ in range(6000))
    assert len(counts) == 6
    assert all(850 < count < 1150 for count in counts.values())


def test_with_replacement_an_index_may_come_again() -> None:
    drawn = list(RandomSampler(range(5), replacement=True, num_samples=100, generator=seeded()))
    assert len(drawn) == 100
    assert set(drawn) == set(range(5))


def test_a_subset_is_drawn_in_random_order() -> None:
    sampler = SubsetRandomSampler([3, 5, 8], generator=seeded())
    assert sorted(sampler) == [3, 5, 8]
    assert len(sampler) == 3


def test_weights_are_probabilities() -> None:
    drawn = Counter(WeightedRandomSampler([1, 0, 3], 4000, generator=seeded()))
    assert drawn[1] == 0
    assert 2850 < drawn[2] < 3150
    assert sorted(WeightedRandomSampler([0.5, 0, 0.1], 2, replacement=False, generator=seeded())) == [0, 2]


def test_indices_are_batched() -> None:
    assert list(BatchSampler(SequentialSampler(range(7)), 3, drop_last=False)) == [[0, 1, 2], [3, 4, 5], [6]]
    assert list(BatchSampler(SequentialSampler(range(7)), 3, drop_last=True)) == [[0, 1, 2], [3, 4, 5]]
    assert len(BatchSampler(SequentialSampler(range(7)), 3, drop_last=True)) == 2


@pytest.mark.parametrize(
    "sampler",
    [
        RandomSampler(range(20), generator=seeded()),
        SubsetRandomSampler(range(20), generator=seeded()),
        WeightedRandomSampler([1.0] * 20, 20, generator=seeded()),
    ],
)
def test_a_restored_sampler_repeats_its_order_once(sampler: Any) -> None:
    order = list(sampler)
    state = sampler.state_dict()
    assert list(sampler) != order
    sampler.load_state_dict(state)
    assert list(sampler) == order
    assert list(sampler) != order


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RandomSampler([]), "num_samples should be a positive integer value, but got num_samples=0"),
        (lambda: RandomSampler([1], num_samples=-1), "num_samples should be a positive integer value"),
        (lambda: BatchSampler([1], 0, False), "batch_size should be a positive integer value"),
        (lambda: BatchSampler([1], 1, None), "drop_last should be a boolean value"),  # type: ignore[arg-type]
        (lambda: WeightedRandomSampler([1.0], 0), "num_samples should be a positive integer value"),
        (lambda: WeightedRandomSampler([1.0], 1, 1), "replacement should be a boolean value"),  # type: ignore[arg-type]
        (lambda: WeightedRandomSampler([[1.0]], 1), r"weights have shape \(1, 1\)"),  # type: ignore[list-item]
        (lambda: WeightedRandomSampler([0.0], 1), "not all zero"),
        (lambda: WeightedRandomSampler([-1.0], 1), "not negative"),
        (
            lambda: WeightedRandomSampler([1.0, 0.0], 2, False),
            "cannot draw 2 different indices: only 1 weights",
        ),
    ],
)
def test_impossible_arguments_are_refused(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_a_replacement_that_is_no_bool_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="replacement should be a boolean value, but got replacement=1"):
        RandomSampler([1], replacement=1)  # type: ignore[arg-type]


def test_an_incomplete_sampler_says_what_is_missing() -> None:
    with pytest.raises(NotImplementedError, match="should implement __iter__"):
        iter(Sampler[int]())
