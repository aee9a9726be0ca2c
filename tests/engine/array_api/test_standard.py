"""The Python array API standard on tensors: what the standard says, in examples.."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest

import allgrad as torch
from allgrad import array_api as xp


def test_a_tensor_knows_its_namespace_and_refuses_versions_that_do_not_exist() -> None:
    x = torch.ones(2)
    assert x.__array_namespace__() is xp
    assert x.__array_namespace__(api_version="2024.12") is xp
    with pytest.raises(ValueError, match=r"'1999\.01' is not one of"):
        x.__array_namespace__(api_version="1999.01")


def test_every_listed_name_exists_and_is_documented() -> None:
    for module in (xp, xp.linalg, xp.fft):
        for name in module.__all__:
            found = getattr(module, name)
            assert not inspect.isfunction(found) or found.__doc__, name


def test_gradients_flow_through_the_standards_functions() -> None:
    x = torch.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    xp.sum(xp.multiply(xp.exp(x), xp.permute_dims(x, (1, 0)))).backward()
    expected = x.detach().exp() * x.detach().T + x.detach().exp().T
    np.testing.assert_allclose(x.grad.numpy(), expected.numpy(), rtol=1e-6)


def test_zero_dimensional_arrays_promote_like_others() -> None:
    assert xp.add(xp.ones(2), xp.asarray(1.0, dtype=xp.float64)).dtype is xp.float64
    assert xp.add(xp.ones(2), 1.0).dtype is xp.float32


def test_results_of_several_arrays_are_named() -> None:
    found = xp.unique_counts(xp.asarray([1, 2, 2]))
    assert (found.values.tolist(), found.counts.tolist()) == ([1, 2], [1, 2])
    assert isinstance(xp.linalg.svd(xp.eye(2)).S, torch.Tensor)
    assert isinstance(xp.meshgrid(xp.arange(2), xp.arange(3)), list)


def test_asarray_shares_memory_unless_told_otherwise() -> None:
    a = np.zeros(2)
    assert np.shares_memory(xp.asarray(a).numpy(), a)
    assert not np.shares_memory(xp.asarray(a, copy=True).numpy(), a)
    with pytest.raises(ValueError, match="copy=False, but a copy is needed"):
        xp.asarray(a, dtype=xp.float32, copy=False)
    with pytest.raises(ValueError, match="have no memory to share"):
        xp.asarray([1.0], copy=False)


def test_the_namespace_tells_its_types() -> None:
    info = xp.__array_namespace_info__()
    assert info.default_dtypes()["real floating"] is torch.get_default_dtype()
    assert set(info.dtypes(kind="signed integer")) == {"int8", "int16", "int32", "int64"}
    assert info.default_device() == torch.device("cpu")
    assert xp.finfo(xp.complex64).dtype is xp.float32
    assert xp.iinfo(xp.int8).max == 127
    assert xp.isdtype(xp.float64, ("integral", xp.float64))
    assert xp.result_type(xp.float32, 1.5) is xp.float32
    assert not xp.can_cast(xp.float64, xp.float32)
    with pytest.raises(ValueError, match="isdtype: kind must be"):
        xp.isdtype(xp.int8, "text")


def test_values_at_infinities_and_zeros_are_the_standards() -> None:
    infinity = xp.asarray(float("inf"))
    assert xp.floor_divide(infinity, xp.asarray(1.0)).item() == float("inf")
    assert str(xp.floor_divide(xp.asarray(1.0), -infinity).item()) == "-0.0"
    assert xp.expm1(xp.asarray(complex(float("-inf"), float("inf")))).item() == -1


def test_ranges_may_be_empty_and_shifted() -> None:
    assert xp.arange(3, 1).shape == (0,)
    assert xp.arange(-1.0, step=2).dtype is torch.get_default_dtype()
    assert xp.linspace(0, 1, 2, endpoint=False).tolist() == [0.0, 0.5]
    assert xp.eye(2, k=1).tolist() == [[0.0, 1.0], [0.0, 0.0]]
    assert xp.fft.fftfreq(4, d=0.5).tolist() == [0.0, 0.5, -1.0, -0.5]


@pytest.mark.parametrize("layout", [np.s_[::2], np.s_[::-1], np.s_[1:, ::-1]])
def test_dlpack_shares_memory_both_ways_in_every_layout(layout: Any) -> None:
    array = np.arange(24.0).reshape(4, 6)
    tensor = torch.from_numpy(array[layout])
    there = np.from_dlpack(tensor)
    back = xp.from_dlpack(array[layout])
    assert np.shares_memory(there, array)
    assert np.shares_memory(back.numpy(), array)
    np.testing.assert_array_equal(back.numpy(), array[layout])
    np.testing.assert_array_equal(there, array[layout])


def test_dlpack_of_read_only_memory_stays_read_only() -> None:
    array = np.arange(3.0)
    array.flags.writeable = False
    tensor = torch.from_dlpack(array)
    with pytest.raises(RuntimeError, match="read-only"):
        tensor.add_(1.0)
    with pytest.raises(BufferError, match="require gradient"):
        np.from_dlpack(torch.ones(2, requires_grad=True))
    with pytest.raises(AttributeError, match="wants an object with __dlpack__, found list"):
        torch.from_dlpack([1.0])
