"""``out=``: results are written into tensors that the caller brings."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import allgrad as torch


def test_the_result_is_written_into_out_which_is_returned() -> None:
    a, out = torch.tensor([1.0, 2.0]), torch.zeros(2)
    address, version = out.data_ptr(), out._version
    assert torch.mul(a, 3.0, out=out) is out
    assert out.tolist() == [3.0, 6.0]
    assert (out.data_ptr(), out._version) == (address, version + 1)


def test_a_composite_takes_it_too() -> None:
    out = torch.zeros(2)
    assert torch.add(torch.ones(2), torch.ones(2), alpha=3, out=out) is out
    assert out.tolist() == [4.0, 4.0]


def test_out_may_be_an_operand() -> None:
    a = torch.tensor([1.0, 2.0])
    torch.sub(torch.ones(2), a, out=a)
    assert a.tolist() == [0.0, -1.0]


def test_an_empty_out_is_resized_silently() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        out = torch.matmul(torch.ones(2, 3), torch.ones(3, 4), out=torch.empty(0))
    assert out.shape == (2, 4)


def test_another_out_is_resized_with_a_warning_at_the_users_line() -> None:
    out = torch.zeros(3)
    with pytest.warns(UserWarning, match=r"resized since it had shape \[3\].*required output shape \[2\]") as caught:
        torch.exp(torch.zeros(2), out=out)
    assert caught[0].filename == __file__
    assert out.tolist() == [1.0, 1.0]


def test_several_results_go_into_a_tuple() -> None:
    values, indices = torch.empty(0), torch.empty(0, dtype=torch.int64)
    found = torch.max(torch.tensor([[1.0, 5.0], [7.0, 2.0]]), 1, out=(values, indices))
    assert found.values is values
    assert found.indices is indices
    assert indices.tolist() == [1, 0]
    with pytest.raises(TypeError, match="must be a tuple of 2 Tensors, found 1"):
        torch.sort(torch.ones(2), out=(values,))


def test_a_result_of_a_lower_category_is_cast_and_of_a_higher_one_refused() -> None:
    assert torch.mul(torch.tensor([2]), 3, out=torch.zeros(1)).tolist() == [6.0]
    with pytest.raises(RuntimeError, match="result type Float can't be cast to the desired output type Long"):
        torch.mul(torch.ones(1), 2.5, out=torch.zeros(1, dtype=torch.int64))


def test_sums_and_ranges_are_made_in_the_type_of_out() -> None:
    assert torch.zeros(2, out=torch.empty(0, dtype=torch.int64)).dtype is torch.int64
    assert torch.arange(3, out=torch.empty(0)).tolist() == [0.0, 1.0, 2.0]
    assert torch.sum(torch.tensor([1.5, 1.5]), 0, out=torch.empty(0, dtype=torch.float64)).item() == 3.0


def test_gradients_are_refused_on_either_side() -> None:
    needs = torch.ones(2, requires_grad=True)
    for arguments, out in (((needs, 1.0), torch.zeros(2)), ((torch.ones(2), 1.0), needs)):
        with pytest.raises(RuntimeError, match=r"out=\.\.\. arguments don't support automatic differentiation"):
            torch.mul(*arguments, out=out)
    with torch.no_grad():
        assert torch.mul(needs, 2.0, out=torch.zeros(2)).requires_grad is False
    with pytest.raises(RuntimeError, match="don't support automatic differentiation"):
        torch.cat([torch.ones(1), needs], out=torch.zeros(3))


def test_an_expanded_out_is_refused() -> None:
    with pytest.raises(RuntimeError, match="more than one element"):
        torch.mul(torch.ones(2), 2.0, out=torch.zeros(1).expand(2))


def test_out_is_a_tensor_and_a_keyword() -> None:
    with pytest.raises(TypeError, match=r"mul\(\): argument 'out' must be Tensor.*not ndarray"):
        torch.mul(torch.ones(2), 2.0, out=np.zeros(2))
    with pytest.raises(TypeError, match=r"mul\(\) takes 2 positional arguments but 3"):
        torch.mul(torch.ones(2), 2.0, torch.zeros(2))


def test_a_change_by_out_is_noticed_by_backward() -> None:
    a = torch.ones(2, requires_grad=True)
    b = torch.ones(2)
    product = a * b
    torch.mul(b, 2.0, out=b)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        product.sum().backward()


def test_resize_keeps_the_first_elements() -> None:
    a = torch.arange(4)
    assert a.resize_(2, 1).tolist() == [[0], [1]]
    assert a.resize_as_(torch.zeros(3)).shape == (3,)
    with pytest.raises(RuntimeError, match="cannot resize variables that require grad"):
        torch.ones(2, requires_grad=True).resize_(1)


def test_a_real_out_takes_the_norm_of_complex_numbers() -> None:
    x, out = torch.tensor([3 + 4j, 12j]), torch.empty(())
    assert torch.linalg.vector_norm(x, out=out) is out
    assert out.item() == 13
    with pytest.raises(RuntimeError, match="can't be cast"):
        torch.sum(x, 0, out=out)
