"""Deep copies keep who shares memory with whom, and the layout."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

import allgrad as torch


def test_tensors_that_share_memory_share_the_copy() -> None:
    whole = torch.arange(6.0).reshape(2, 3)
    twins = copy.deepcopy({"whole": whole, "row": whole[1], "turned": whole.t(), "same": whole})
    twins["whole"][1, 0] = 9
    assert twins["row"].tolist() == [9, 4, 5]
    assert twins["turned"].tolist() == [[0, 9], [1, 4], [2, 5]]
    assert twins["same"] is twins["whole"]
    assert whole.tolist() == [[0, 1, 2], [3, 4, 5]]


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6.0).reshape(2, 3),
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.arange(6.0)[::-2],
        np.arange(12.0).reshape(3, 4)[1:, ::2],
        np.broadcast_to(np.arange(3.0), (2, 3)),
        np.zeros((2, 0)),
        np.array(3.0),
        np.arange(4, dtype=np.complex64).real,
        np.arange(4.0).view(np.int64),
        np.frombuffer(b"12345678", np.uint8),
    ],
    ids=lambda array: f"{array.shape}{array.strides}",
)
def test_every_layout_is_copied(array: Any) -> None:
    twin = copy.deepcopy(torch.from_numpy(array)).numpy()
    assert twin.dtype == array.dtype
    assert twin.strides == array.strides
    assert np.array_equal(twin, array)
    assert not np.shares_memory(twin, array)


def test_tied_parameters_stay_tied_in_a_copy_of_a_model() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Linear(2, 2))
    model[1].weight = model[0].weight
    twin = copy.deepcopy(model)
    assert twin[1].weight is twin[0].weight
    assert twin[0].weight is not model[0].weight
