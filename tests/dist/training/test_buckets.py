"""How parameters are dealt into buckets: what must hold for any of them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from allgrad.dist.training.buckets import Slot, deal

FLOAT, DOUBLE = np.dtype("float32"), np.dtype("float64")
slots = st.lists(
    st.builds(
        Slot,
        name=st.just("p"),
        shape=st.lists(st.integers(0, 9), max_size=3).map(tuple),
        dtype=st.sampled_from([FLOAT, DOUBLE]),
    ),
    max_size=30,
)


@given(slots, st.integers(1, 400), st.integers(1, 2000))
def test_every_slot_is_in_one_bucket_of_one_dtype_in_order(dealt: list[Slot], first: int, size: int) -> None:
    buckets = deal(dealt, first, size)
    assert sorted(i for bucket in buckets for i in bucket) == list(range(len(dealt)))
    for bucket in buckets:
        assert bucket == sorted(bucket)
        assert len({dealt[i].dtype for i in bucket}) == 1
    assert [bucket[0] for bucket in buckets] == sorted(bucket[0] for bucket in buckets)


@given(slots, st.integers(1, 400), st.integers(1, 2000))
def test_a_bucket_is_closed_by_the_slot_with_which_it_is_full(dealt: list[Slot], first: int, size: int) -> None:
    begun: set[np.dtype] = set()
    for bucket in deal(dealt, first, size):
        dtype = dealt[bucket[0]].dtype
        full = size if dtype in begun else first
        begun.add(dtype)
        assert sum(dealt[i].size * dtype.itemsize for i in bucket[:-1]) < full


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [([100, 1, 1], [[0], [1, 2]]), ([1, 100, 1], [[0, 1], [2]]), ([4, 4, 4, 4], [[0], [1, 2], [3]])],
)
def test_a_large_parameter_closes_its_bucket_and_the_first_bucket_is_small(
    sizes: list[int], expected: list[list[int]]
) -> None:
    assert deal([Slot("p", (size,), FLOAT) for size in sizes], first_bytes=16, bytes_=32) == expected
