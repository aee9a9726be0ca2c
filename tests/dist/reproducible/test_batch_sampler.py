"""The sampler of global batches: the same samples in the same shards on any number of ranks."""

import pickle
import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import allgrad as torch
from allgrad import dist
from allgrad.utils.data import DataLoader, Dataset


def batches(ranks: int, length: int = 23, size: int = 10, **options: Any) -> list[list[int]]:
    """What all ranks draw together in each step, in order of rank."""
    samplers = [
        dist.DistributedBatchSampler(range(length), size, **options, num_replicas=ranks, rank=rank)
        for rank in range(ranks)
    ]
    lists = [list(sampler) for sampler in samplers]
    assert all(len(found) == len(sampler) for found, sampler in zip(lists, samplers, strict=True))
    return [[index for part in step for index in part] for step in zip(*lists, strict=True)]


@given(st.integers(1, 6), st.integers(1, 40), st.integers(1, 12), st.booleans())
def test_every_number_of_ranks_draws_the_same_batches(ranks: int, length: int, size: int, shuffle: bool) -> None:
    found = batches(ranks, length, size, virtual_shards=6, shuffle=shuffle)
    assert found == batches(1, length, size, virtual_shards=6, shuffle=shuffle)
    assert sorted(index for batch in found for index in batch) == list(range(length))
    assert {len(batch) for batch in found[:-1]} <= {size}


def test_a_shorter_last_batch_can_be_left_out() -> None:
    assert [len(batch) for batch in batches(2, virtual_shards=4)] == [10, 10, 3]
    assert [len(batch) for batch in batches(2, virtual_shards=4, drop_last=True)] == [10, 10]


def test_without_virtual_shards_there_is_one_for_each_rank() -> None:
    sampler = dist.DistributedBatchSampler(range(10), 5, shuffle=False, num_replicas=2, rank=1)
    assert list(sampler) == [[3, 4], [8, 9]]


def test_seed_and_epoch_determine_the_order_and_a_state_brings_it_back() -> None:
    sampler = dist.DistributedBatchSampler(range(20), 5, seed=7)
    orders = []
    for epoch in range(2):
        sampler.set_epoch(epoch)
        orders.append(list(sampler))
    assert orders[0] != orders[1]
    other = dist.DistributedBatchSampler(range(20), 5, virtual_shards=4, num_replicas=1, rank=0)
    other.load_state_dict(sampler.state_dict())
    assert list(other) == orders[1]


@pytest.mark.parametrize(
    ("length", "arguments", "words"),
    [
        (5, {"batch_size": 0}, "a step has at least 1 sample"),
        (5, {"batch_size": 6, "drop_last": True}, "5 samples make no batch of 6 with drop_last"),
        (0, {"batch_size": 2}, "0 samples make no batch of 2"),
        (5, {"batch_size": 2, "num_replicas": 3, "rank": 3}, "the ranks are 0 to 2"),
        (5, {"batch_size": 2, "num_replicas": 3, "rank": 0, "virtual_shards": 2}, "3 ranks need at least 3 shards"),
    ],
)
def test_what_cannot_be_dealt_is_refused(length: int, arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        dist.DistributedBatchSampler(range(length), **arguments)


class Drawn(Dataset[Any]):
    """Samples made of nothing but random numbers of three kinds."""

    def __len__(self) -> int:
        return 6

    def __getitem__(self, index: int) -> Any:
        return {"index": index, "drawn": (torch.rand(1), np.random.random(), random.random()), "name": f"no {index}"}


@pytest.mark.filterwarnings("ignore:This DataLoader will create")
@pytest.mark.parametrize("workers", [0, 2])
def test_what_is_random_in_a_sample_follows_from_its_index_and_the_epoch(workers: int) -> None:
    drawn: list[dict[int, Any]] = []
    for shards, epoch in ((1, 0), (3, 0), (3, 1)):
        sampler = dist.DistributedBatchSampler(Drawn(), 4, seed=shards > 0, shuffle=shards == 1, virtual_shards=shards)
        sampler.set_epoch(epoch)
        before = torch.get_rng_state().tolist(), np.random.random.__self__.get_state()[2], random.getstate()
        found: dict[int, Any] = {}
        for batch in DataLoader(Drawn(), batch_sampler=sampler, num_workers=workers):
            rows = zip(batch["index"].tolist(), *(column.tolist() for column in batch["drawn"]), strict=True)
            found.update({index: values for index, *values in rows})
        drawn.append(found)
        assert random.getstate() == before[2]
    assert drawn[0] == drawn[1]
    assert all(drawn[1][index] != drawn[2][index] for index in range(6))
    assert len({str(values) for values in drawn[0].values()}) == 6


def test_a_rank_without_a_sample_gets_a_batch_of_length_0() -> None:
    sampler = dist.DistributedBatchSampler(Drawn(), 5, shuffle=False, num_replicas=2, rank=1)
    last = list(DataLoader(Drawn(), batch_sampler=sampler))[1]
    assert (last["index"].shape, last["drawn"][0].shape, last["name"]) == ((0,), (0, 1), [])


def test_a_loader_resumes_within_an_epoch_on_another_number_of_ranks() -> None:
    def loader(ranks: int) -> Any:
        sampler = dist.DistributedBatchSampler(range(12), 4, virtual_shards=2, num_replicas=ranks, rank=0)
        return sampler, DataLoader(range(12), batch_sampler=sampler)

    sampler, whole = loader(1)
    sampler.set_epoch(5)
    batches = iter(whole)
    next(batches)
    state = whole.state_dict()
    _, resumed = loader(2)
    resumed.load_state_dict(state)
    assert [part.tolist() for part in resumed] == [batch.tolist()[:2] for batch in batches]


def test_a_keyed_batch_survives_the_way_to_a_worker() -> None:
    batch = next(iter(dist.DistributedBatchSampler(range(3), 2, seed=4)))
    other = pickle.loads(pickle.dumps(batch))
    assert (other, other.seed, other.epoch) == (batch, 4, 0)
