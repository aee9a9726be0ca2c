"""Collating: one batch of many samples, for every type of sample."""

from __future__ import annotations

from collections import OrderedDict, namedtuple
from typing import Any

import numpy as np
import pytest

from allgrad.dtypes import bool_, float32, float64, int64
from allgrad.tensors.tensor import Tensor
from allgrad.utils.data import default_collate, default_convert

Point = namedtuple("Point", ["x", "y"])


def tensor(values: Any) -> Tensor:
    return Tensor._wrap(np.asarray(values, np.float32))


@pytest.mark.parametrize(
    ("batch", "expected", "dtype"),
    [
        ([1, 2], [1, 2], int64),
        ([1.5, 2.0], [1.5, 2.0], float64),
        ([True, False], [True, False], bool_),
        ([np.float32(1), np.float32(2)], [1, 2], float32),
        ([tensor([1, 2]), tensor([3, 4])], [[1, 2], [3, 4]], float32),
        ([np.zeros(2), np.ones(2)], [[0, 0], [1, 1]], float64),
        ([tensor(1), tensor(2)], [1, 2], float32),
    ],
)
def test_numbers_and_arrays_are_stacked(batch: Any, expected: Any, dtype: Any) -> None:
    found = default_collate(batch)
    assert found.tolist() == expected
    assert found.dtype is dtype


def test_texts_stay_as_they_are() -> None:
    assert default_collate(["a", "b"]) == ["a", "b"]
    assert default_collate([b"a"]) == [b"a"]


def test_containers_are_collated_entry_by_entry() -> None:
    ordered = default_collate([OrderedDict(a=1, b=[2.0]), OrderedDict(a=3, b=[4.0])])
    assert type(ordered) is OrderedDict
    assert ordered["a"].tolist() == [1, 3]
    assert ordered["b"][0].tolist() == [2.0, 4.0]
    point = default_collate([Point(1, "a"), Point(2, "b")])
    assert isinstance(point, Point)
    assert (point.x.tolist(), point.y) == ([1, 2], ("a", "b"))
    pair = default_collate([(1, 2), (3, 4)])
    assert type(pair) is list
    assert [x.tolist() for x in pair] == [[1, 3], [2, 4]]


def test_samples_that_do_not_fit_together_are_refused() -> None:
    with pytest.raises(RuntimeError, match=r"each element in list of batch should be of equal size.*\[1, 2\]"):
        default_collate([[1], [1, 2]])
    with pytest.raises(RuntimeError, match="stack expects each tensor to be equal size"):
        default_collate([tensor([1]), tensor([1, 2])])
    with pytest.raises(TypeError, match="found <class 'object'>: give the DataLoader a collate_fn"):
        default_collate([object()])
    with pytest.raises(TypeError, match="found an array of <U1"):
        default_collate([np.array(["a"])])


def test_converting_turns_only_arrays_into_tensors() -> None:
    found = default_convert({"a": np.ones(2), "b": (1, np.float64(2)), "c": "text", "d": np.array(["x"])})
    assert isinstance(found["a"], Tensor)
    assert found["b"][0] == 1
    assert found["b"][1].item() == 2.0
    assert (found["c"], found["d"].tolist()) == ("text", ["x"])
    assert default_convert(Point(np.ones(1), 1)).x.tolist() == [1]


def test_numbers_of_several_kinds_lose_nothing() -> None:
    assert default_collate([1, 2.5]).tolist() == [1, 2.5]
    assert default_collate([1, 2]).dtype is int64
    assert default_collate([True, False]).dtype is bool_
