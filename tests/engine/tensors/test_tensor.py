"""What a tensor is to Python: its numbers, iteration, truth, copies, pickles, and its gradient's attribute."""

from __future__ import annotations

import copy
import math
import pickle
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import allgrad as torch
from allgrad import Tensor


def leaf(*values: float) -> Tensor:
    return torch.tensor(list(values), requires_grad=True)


@pytest.mark.parametrize(
    ("use", "error", "complaint"),
    [
        (lambda: len(torch.tensor(3.0)), TypeError, r"len\(\) of a 0-d tensor"),
        (lambda: list(torch.tensor(3.0)), TypeError, "iteration over a 0-d tensor"),
        (lambda: bool(torch.tensor([1.0, 2.0])), RuntimeError, "Boolean value of Tensor with more than one value"),
        (lambda: bool(torch.tensor([])), RuntimeError, "Boolean value of Tensor with no values"),
        (lambda: [1, 2][torch.tensor(1.0)], TypeError, "only integer tensors of a single element"),
        (lambda: [1, 2][torch.tensor([0, 1])], TypeError, "only integer tensors of a single element"),
        (lambda: float(torch.tensor([1.0, 2.0])), ValueError, "only one element tensors"),
        (
            lambda: float(torch.tensor(1j)),
            RuntimeError,
            r"cannot be converted to type double .* take .real or .abs\(\)",
        ),
        (lambda: int(torch.tensor(math.nan)), ValueError, "NaN"),
        (
            lambda: torch.tensor([1.0, 2.0]).item(),
            RuntimeError,
            "a Tensor with 2 elements cannot be converted to Scalar",
        ),
        (lambda: f"{torch.tensor([1.0]):.2f}", TypeError, "unsupported format string passed to Tensor"),
        (lambda: "a" in torch.tensor([1]), RuntimeError, "only supports Tensor or scalar"),
        (lambda: torch.ones(2).__delitem__(0), TypeError, "does not support deleting items"),
        (lambda: torch.ones(2)["a"], TypeError, "string 'a'"),
        (lambda: torch.ones(2)[1.5], IndexError, "integers"),
        (lambda: torch.ones(2)[2], IndexError, "out of bounds"),
        (lambda: torch.ones(2) + "a", TypeError, "unsupported operand"),
        (lambda: torch.ones(2) + None, TypeError, "unsupported operand"),
        (lambda: torch.ones(2) < None, TypeError, "not supported between"),
        (lambda: torch.add(torch.ones(2), None), TypeError, r"must be Tensor, not NoneType"),
        (lambda: torch.ones(2) + torch.ones(3), RuntimeError, r"The size of tensor a \(2\) must match"),
        (lambda: torch.ones(2).missing, AttributeError, "'Tensor' object has no attribute 'missing'"),
    ],
)
def test_what_has_no_meaning_raises_as_in_pytorch(
    use: Callable[[], Any], error: type[Exception], complaint: str
) -> None:
    with pytest.raises(error, match=complaint):
        use()


def test_tensors_of_one_element_are_numbers() -> None:
    assert (float(torch.tensor([[1.5]])), int(torch.tensor(2.7)), complex(torch.tensor(1.0))) == (1.5, 2, 1 + 0j)
    assert float(leaf(2.0)) == 2.0
    assert bool(torch.tensor([[0.0]])) is False
    assert [1, 2, 3][torch.tensor([1])] == 2
    assert list(range(torch.tensor(3))) == [0, 1, 2]
    assert (math.sqrt(torch.tensor(4.0)), math.floor(torch.tensor(4.5))) == (2.0, 4)


def test_a_zero_dimensional_tensor_formats_as_its_number() -> None:
    assert f"{torch.tensor(3.14159):.2f} {torch.tensor(3.0, requires_grad=True):.1f}" == "3.14 3.0"
    assert f"{torch.tensor([1.0])}" == "tensor([1.])"
    assert "%.2f" % torch.tensor(3.14159) == "3.14"  # noqa: UP031


def test_containment_compares_elements() -> None:
    assert 2 in torch.tensor([1, 2])
    assert 5 not in torch.tensor([1, 2])
    assert torch.tensor(2) in torch.tensor([1, 2])


def test_comparison_with_a_foreign_object_is_pythons() -> None:
    x = torch.tensor([1, 2])
    assert (x == None) is False  # noqa: E711
    assert (x != None) is True  # noqa: E711
    assert (x == "a") is False


def test_a_foreign_operand_may_answer_itself() -> None:
    class Foreign:
        def __radd__(self, other: Any) -> str:
            return "mine"

        def __eq__(self, other: object) -> bool:
            return True

        __hash__ = None  # type: ignore[assignment]

    assert torch.ones(2) + Foreign() == "mine"
    assert (torch.ones(2) == Foreign()) is True


def test_tensors_are_hashed_by_identity() -> None:
    a, b = torch.ones(2), torch.ones(2)
    assert {a: 1, b: 2}[a] == 1


def test_iteration_gives_recorded_views() -> None:
    x = torch.ones(3, 2, requires_grad=True)
    total = sum(row.sum() * i for i, row in enumerate(x))
    total.backward()
    assert x.grad is not None
    assert x.grad.tolist() == [[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]]


# copies


def test_a_deep_copy_has_memory_gradient_and_attributes_of_its_own() -> None:
    x = leaf(1.0, 2.0)
    x.grad = torch.tensor([3.0, 4.0])
    x.note = ["kept"]
    y = copy.deepcopy(x)
    assert (y.tolist(), y.requires_grad, y.is_leaf, y.note) == ([1.0, 2.0], True, True, ["kept"])
    assert y.grad is not None
    assert (y.grad.tolist(), y.grad is x.grad) == ([3.0, 4.0], False)
    with torch.no_grad():
        y.zero_()
    y.note.append("changed")
    assert (x.tolist(), x.note) == ([1.0, 2.0], ["kept"])


def test_a_tensor_copied_twice_in_one_deep_copy_stays_one() -> None:
    x = leaf(1.0)
    a, b = copy.deepcopy((x, x))
    assert a is b
    assert a is not x


def test_a_computed_tensor_cannot_be_deep_copied() -> None:
    with pytest.raises(RuntimeError, match=r"graph leaves.*\.detach\(\)\.clone\(\)"):
        copy.deepcopy(leaf(1.0) * 2)


def test_a_shallow_copy_shares_memory() -> None:
    x = leaf(1.0)
    y = copy.copy(x)
    assert (y.data_ptr(), y.requires_grad, y is x) == (x.data_ptr(), True, False)


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_pickles_keep_values_layout_and_flags(protocol: int) -> None:
    for x in (leaf(1.0, 2.0), torch.arange(6).reshape(2, 3).T, torch.tensor(True), torch.zeros(0, 2), leaf(1.0) * 2):
        y = pickle.loads(pickle.dumps(x, protocol))
        assert (y.tolist(), y.dtype, y.requires_grad) == (x.tolist(), x.dtype, x.requires_grad)
        assert y.is_leaf


class Weight(Tensor):  # type: ignore[misc]
    """A subclass, as a parameter is."""


def test_copies_and_pickles_of_a_subclass_are_of_it() -> None:
    w = Weight([1.0, 2.0]).requires_grad_()
    w.tag = 5
    for made in (copy.deepcopy(w), pickle.loads(pickle.dumps(w))):
        assert (type(made), made.requires_grad, made.tolist(), made.tag) == (Weight, True, [1.0, 2.0], 5)


# the gradient's attribute


def test_the_gradient_of_a_computed_tensor_warns_once_asked_for() -> None:
    y = leaf(1.0) * 2
    with pytest.warns(UserWarning, match="not a leaf Tensor is being accessed") as caught:
        assert y.grad is None
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        y.retain_grad()
        assert y.grad is None
        assert leaf(1.0).grad is None


@pytest.mark.parametrize(
    ("value", "error", "complaint"),
    [
        ([1.0], TypeError, "expected to be a Tensor or None but got list"),
        (torch.ones(3), RuntimeError, r"data of a different size: expected \[1\], found \[3\]"),
        (torch.ones(1, dtype=torch.float64), RuntimeError, "data of a different type"),
    ],
)
def test_a_gradient_that_does_not_fit_is_refused(value: Any, error: type[Exception], complaint: str) -> None:
    with pytest.raises(error, match=complaint):
        leaf(1.0).grad = value


def test_a_gradient_can_be_set_and_taken_away() -> None:
    x = leaf(1.0)
    x.grad = torch.tensor([5.0])
    (x * 2).backward()
    assert x.grad.tolist() == [7.0]
    x.grad = None
    assert x.grad is None
    del x.grad
    with pytest.raises(RuntimeError, match="as its own grad"):
        x.grad = x


# memory


def test_numpy_and_tensor_share_memory_whatever_the_layout() -> None:
    base = np.arange(24.0).reshape(2, 3, 4)
    read_only = base.copy()
    read_only.flags.writeable = False
    for array in (
        base,
        base.T,
        base[:, ::-1],
        base[..., 1],
        np.asfortranarray(base),
        base[:0],
        read_only,
        base[0, 0, 0:1],
    ):
        t = torch.from_numpy(array)
        assert t.numpy() is array
        assert t.stride() == tuple(s // 8 for s in array.strides)
    assert np.shares_memory(np.asarray(torch.from_numpy(base)), base)


def test_memory_that_is_not_writeable_is_not_written_to() -> None:
    array = np.zeros(2)
    array.flags.writeable = False
    t = torch.from_numpy(array)
    changes: list[Callable[[], Any]] = [lambda: t.add_(1), lambda: t.zero_(), lambda: t.__setitem__(0, 1.0)]
    for change in changes:
        with pytest.raises(RuntimeError, match="read-only memory"):
            change()


def test_a_tensor_that_requires_grad_gives_no_array_while_recording() -> None:
    x = leaf(1.0)
    for use in (lambda: x.numpy(), lambda: np.asarray(x), lambda: np.array([x, x])):
        with pytest.raises(RuntimeError, match=r"Can't call numpy\(\) on Tensor that requires grad"):
            use()
    assert x.numpy(force=True).tolist() == [1.0]
    with torch.no_grad():
        assert x.numpy().tolist() == np.asarray(x).tolist() == [1.0]


def test_data_replaces_the_memory_under_a_tensor() -> None:
    x = leaf(1.0, 2.0)
    x.data = torch.zeros(3)
    assert (x.tolist(), x.requires_grad) == ([0.0, 0.0, 0.0], True)
    with pytest.raises(TypeError, match="has to be a tensor, but got int"):
        x.data = 3
    with pytest.raises(RuntimeError, match="must be floating point or complex dtype"):
        x.data = torch.zeros(3, dtype=torch.int64)


def test_dlpack_goes_both_ways_without_copying() -> None:
    t, array = torch.arange(3.0), np.arange(3.0)
    assert np.shares_memory(np.from_dlpack(t), t.numpy())
    assert np.shares_memory(torch.from_dlpack(array).numpy(), array)
    assert torch.from_dlpack(t).tolist() == [0.0, 1.0, 2.0]
    with pytest.raises(BufferError, match=r"require gradient, use tensor.detach\(\)"):
        np.from_dlpack(leaf(1.0))


def test_tensor_of_a_tensor_is_an_alias_and_of_numbers_the_default_type() -> None:
    whole = torch.tensor([1, 2])
    assert Tensor(whole).dtype is torch.int64
    assert Tensor(whole).data_ptr() == whole.data_ptr()
    assert (Tensor([1, 2]).dtype, tuple(Tensor(2, 3).shape)) == (torch.float32, (2, 3))


def test_variable_is_the_old_name_of_a_tensor() -> None:
    x = torch.autograd.Variable(torch.ones(2), requires_grad=True)
    assert (type(x), x.requires_grad) == (Tensor, True)
    assert isinstance(torch.ones(1), torch.autograd.Variable)
    assert not isinstance(1, torch.autograd.Variable)


@pytest.mark.parametrize(
    ("value", "dtype", "error"),
    [
        (2**63, None, ValueError),
        ([2**70], None, ValueError),
        ([300], torch.uint8, RuntimeError),
        ([-256], torch.uint8, RuntimeError),
        (-1, torch.uint64, OverflowError),
    ],
)
def test_whole_numbers_that_do_not_fit_raise(value: Any, dtype: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"[Oo]verflow|negative int to unsigned"):
        torch.tensor(value, dtype=dtype)
