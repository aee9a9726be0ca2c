"""The distributed sampler: every rank draws equally many, together they draw everything."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allgrad import dist


def drawn(length: int, ranks: int, epoch: int = 0, **options: Any) -> list[list[int]]:
    samplers = [dist.DistributedSampler(range(length), ranks, rank, **options) for rank in range(ranks)]
    for sampler in samplers:
        sampler.set_epoch(epoch)
    lists = [list(sampler) for sampler in samplers]
    assert [len(sampler) for sampler in samplers] == [len(indices) for indices in lists]
    return lists


@given(st.integers(1, 50), st.integers(1, 8), st.booleans(), st.integers(0, 3))
def test_together_the_ranks_draw_every_sample(length: int, ranks: int, shuffle: bool, epoch: int) -> None:
    lists = drawn(length, ranks, epoch, shuffle=shuffle)
    assert len({len(indices) for indices in lists}) == 1
    everything = [index for indices in lists for index in indices]
    assert set(everything) == set(range(length))
    assert len(everything) - length < ranks


@given(st.integers(8, 50), st.integers(1, 8), st.booleans())
def test_with_drop_last_no_sample_is_drawn_twice(length: int, ranks: int, shuffle: bool) -> None:
    everything = [i for indices in drawn(length, ranks, shuffle=shuffle, drop_last=True) for i in indices]
    assert len(set(everything)) == len(everything) == length // ranks * ranks


def test_without_shuffling_the_order_is_pytorchs() -> None:
    assert drawn(5, 3, shuffle=False) == [[0, 3], [1, 4], [2, 0]]
    assert drawn(2, 5, shuffle=False) == [[0], [1], [0], [1], [0]]
    assert drawn(5, 3, shuffle=False, drop_last=True) == [[0], [1], [2]]


def test_seed_and_epoch_determine_the_order() -> None:
    first = drawn(100, 2, epoch=1, seed=5)
    assert first == drawn(100, 2, epoch=1, seed=5)
    assert first != drawn(100, 2, epoch=2, seed=5)
    assert first != drawn(100, 2, epoch=1, seed=6)
    assert drawn(100, 2, epoch=1, seed=-1) != drawn(100, 2, epoch=1, seed=1)


def test_a_restored_state_brings_the_same_order_back() -> None:
    sampler = dist.DistributedSampler(range(20), 2, 1, seed=7)
    sampler.set_epoch(3)
    state, order = sampler.state_dict(), list(sampler)
    other = dist.DistributedSampler(range(20), 2, 1)
    other.load_state_dict(state)
    assert list(other) == order
    with pytest.raises(ValueError, match=r"taken with 2 ranks, but there are 4: .* set_epoch\(3\)"):
        dist.DistributedSampler(range(20), 4, 1).load_state_dict(state)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"num_replicas": 2, "rank": 2}, "the ranks are 0 to 1"),
        ({"num_replicas": 8, "rank": 0, "drop_last": True}, "5 samples leave nothing for each of 8 ranks"),
    ],
)
def test_what_cannot_be_dealt_is_refused(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        dist.DistributedSampler(range(5), **arguments)
    with pytest.raises(ValueError, match="0 samples leave nothing"):
        dist.DistributedSampler([])
