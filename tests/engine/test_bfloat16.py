"""bfloat16: storage by ml_dtypes, arithmetic rounded from float32, no gradients."""

from __future__ import annotations

import copy
import io
import pickle

import numpy as np
import pytest

import allgrad as torch
from allgrad import dtypes

B = torch.bfloat16


def test_arithmetic_rounds_what_float32_gives() -> None:
    a = torch.tensor([1.0, 2.5, 3.14159], dtype=B)
    assert a.tolist() == [1.0, 2.5, 3.140625]
    for found in (a + a, a * 2.5, a.exp(), a.softmax(0), a.var(), a @ a, a.mean(), a.max(), torch.stack([a, a])):
        assert found.dtype is B
    exact = (a.float() * 2.5).bfloat16()
    assert torch.equal(a * 2.5, exact)
    assert torch.equal(a.mean(), a.float().mean().bfloat16())


def test_long_sums_are_accumulated_in_float32() -> None:
    many = torch.ones(1000, dtype=B)
    assert many.sum().item() == 1000
    assert many.cumsum(0)[-1].item() == 1000


@pytest.mark.parametrize(
    ("other", "result"),
    [
        (torch.int64, B), (torch.bool, B), (torch.float16, torch.float32), (torch.float32, torch.float32),
        (torch.float64, torch.float64), (torch.complex64, torch.complex64), (B, B),
    ],
)  # fmt: skip
def test_promotion_is_pytorchs(other: torch.dtype, result: torch.dtype) -> None:
    assert torch.promote_types(B, other) is result
    assert torch.promote_types(other, B) is result
    assert (torch.ones(2, dtype=B) + torch.ones(2, dtype=other)).dtype is result


def test_python_numbers_and_zero_dimensional_tensors_do_not_promote_it() -> None:
    a = torch.ones(2, dtype=B)
    assert (a + 1.5).dtype is B
    assert (a + torch.tensor(1.5, dtype=torch.float64)).dtype is B


def test_it_is_printed_as_pytorch_prints_it() -> None:
    assert repr(torch.tensor([1.0, 3.14159], dtype=B)) == "tensor([1.0000, 3.1406], dtype=torch.bfloat16)"
    assert repr(B) == "torch.bfloat16"
    assert torch.ones(1, dtype=B).type() == "torch.BFloat16Tensor"
    assert (torch.finfo(B).eps, torch.finfo(B).bits) == (0.0078125, 16)


def test_casts_views_and_writes_keep_its_two_bytes() -> None:
    a = torch.arange(4).bfloat16().reshape(2, 2)
    assert (a.itemsize, a.element_size(), a.dtype.itemsize) == (2, 2, 2)
    a[0] = 7
    assert a.to(torch.int64).tolist() == [[7, 7], [2, 3]]
    assert a.T[1].tolist() == [7.0, 3.0]


def test_numpy_shares_its_memory_and_answers_for_its_functions() -> None:
    a = torch.ones(2, dtype=B)
    assert np.shares_memory(a.numpy(), torch.from_numpy(a.numpy()).numpy())
    assert torch.from_numpy(a.numpy()).dtype is B
    assert np.exp(a).dtype is B


def test_it_survives_copies_pickles_and_files() -> None:
    a = torch.tensor([1.0, 3.14159], dtype=B)
    file = io.BytesIO()
    torch.save({"a": a}, file)
    file.seek(0)
    for twin in (copy.deepcopy(a), pickle.loads(pickle.dumps(a)), torch.load(file)["a"]):
        assert twin.dtype is B
        assert torch.equal(twin, a)
    assert pickle.loads(pickle.dumps(B)) is B


def test_gradients_are_refused_rather_than_lost() -> None:
    x = torch.ones(2, requires_grad=True)
    with pytest.raises(RuntimeError, match="bfloat16 is for storage here"):
        x.bfloat16()
    with pytest.raises(RuntimeError, match="can require gradients"):
        torch.ones(2, dtype=B).requires_grad_()
    (x * torch.tensor([2.0, 3.0], dtype=B)).sum().backward()
    assert x.grad.tolist() == [2.0, 3.0]


def test_without_its_extra_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ModuleNotFoundError(name=name)

    monkeypatch.setattr(dtypes, "import_module", missing)
    dtypes._ml_dtypes.cache_clear()
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'allgrad\[bfloat16\]'"):
        torch.ones(2, dtype=B)
