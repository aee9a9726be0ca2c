"""What scripts do with tensors in passing: conversions, subscripts, operators; measured in PyTorch 2.13."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import allgrad as torch


def test_a_complex_number_without_imaginary_part_is_a_number() -> None:
    assert float(torch.tensor(1 + 0j)) == 1.0
    assert int(torch.tensor([2 + 0j])) == 2
    with pytest.raises(RuntimeError, match="value cannot be converted to type double without overflow"):
        float(torch.tensor(1 + 2j))
    with pytest.raises(RuntimeError, match="value cannot be converted to type int64_t without overflow"):
        int(torch.tensor(1 + 2j))


def test_reversed_is_a_tensor() -> None:
    assert torch.equal(reversed(torch.tensor([[1, 2], [3, 4]])), torch.tensor([[3, 4], [1, 2]]))
    assert reversed(torch.tensor(1)).item() == 1


def test_operators_refuse_what_pytorch_refuses() -> None:
    with pytest.raises(TypeError, match="unsupported operand type"):
        2 @ torch.ones(1)
    with pytest.raises(TypeError, match="only implemented on integer and Boolean-type tensors"):
        ~torch.ones(1)


def test_lists_of_tensors_promote() -> None:
    assert torch.tensor([torch.tensor(1), torch.tensor(2.5)]).dtype is torch.float32
    assert torch.tensor([torch.tensor(1), 2.5]).dtype is torch.float32
    assert torch.tensor([torch.tensor(True), torch.tensor(3, dtype=torch.int16)]).dtype is torch.int16


def test_unsigned_numbers_turn_round_once() -> None:
    assert torch.tensor([-1, -255], dtype=torch.uint8).tolist() == [255, 1]
    with pytest.raises(RuntimeError, match="without overflow"):
        torch.tensor(-256, dtype=torch.uint8)
    with pytest.raises(RuntimeError, match="Could not infer dtype of NoneType"):
        torch.tensor([None])
    with pytest.raises(ValueError, match="Overflow when unpacking long long"):
        torch.tensor(2**70)


def test_limits_print_themselves() -> None:
    assert repr(torch.iinfo(torch.int8)) == "iinfo(min=-128, max=127, dtype=int8)"
    assert repr(torch.finfo(torch.float32)) == (
        "finfo(resolution=1e-06, min=-3.40282e+38, max=3.40282e+38, eps=1.19209e-07, smallest_normal=1.17549e-38, "
        "tiny=1.17549e-38, dtype=float32)"
    )


def test_a_list_of_lists_or_slices_indexes_as_a_tuple() -> None:
    x = torch.arange(12).reshape(3, 4)
    assert x[[[0, 1], [1, 2]]].tolist() == [1, 6]
    assert x[[slice(0, 2)]].tolist() == x[:2].tolist()
    assert x[[0, 2]].tolist() == x[torch.tensor([0, 2])].tolist()
    assert x[[torch.tensor(0), torch.tensor(2)]].shape == (2, 4)


def test_bytes_are_masks_and_other_integers_no_indices() -> None:
    x = torch.arange(3)
    with pytest.warns(UserWarning, match=r"indexing with dtype torch\.uint8 is now deprecated"):
        assert x[torch.tensor([1, 0, 1], dtype=torch.uint8)].tolist() == [0, 2]
    with pytest.raises(IndexError, match="must be long, int, byte or bool tensors"):
        x[torch.tensor([0, 1], dtype=torch.int8)]
    assert x[torch.tensor([0, 1], dtype=torch.int32)].tolist() == [0, 1]
    assert x[np.array([0, 1], dtype=np.int8)].tolist() == [0, 1]


@pytest.mark.parametrize("recorded", [True, False])
def test_a_single_element_is_assigned_to_a_single_place(recorded: bool) -> None:
    x = torch.zeros(3, requires_grad=recorded).clone()
    x[0] = torch.tensor([1.0])
    x[1] = torch.tensor([[2.0]])
    x[1:] = torch.tensor([[3.0, 4.0]])
    assert x.tolist() == [1, 3, 4]


def test_what_is_put_at_indices_is_of_the_same_type() -> None:
    x = torch.zeros(3, dtype=torch.int64)
    with pytest.raises(RuntimeError, match="got Long for the destination and Float for the source"):
        x[torch.tensor([0, 1])] = torch.tensor([1.5, 2.5])
    x[torch.tensor([0, 1])] = torch.tensor(1.5)
    x[1:] = torch.tensor([2.5, 3.5])
    assert x.tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda x: x.max(), "MaxBackward1"),
        (lambda x: x.min(), "MinBackward1"),
        (lambda x: x.max(0)[0], "MaxBackward0"),
        (lambda x: x.amax(0), "AmaxBackward0"),
    ],
)
def test_nodes_of_extremes_are_called_as_in_pytorch(make: Any, name: str) -> None:
    assert make(torch.ones(2, 3, requires_grad=True)).grad_fn.name() == name
