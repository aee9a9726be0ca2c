"""NumPy's functions on tensors: recorded where allgrad has the operation, NumPy's own where nothing is recorded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import allgrad as torch
from allgrad import Tensor

VECTOR = np.array([0.5, 1.5, 2.5])
MATRIX = np.array([[1.0, 2.0], [3.0, 5.0]])

RECORDED: dict[str, tuple[Any, Callable[[Any], Any]]] = {
    "exp": (VECTOR, np.exp),
    "array times tensor": (VECTOR, lambda x: np.array([1.0, 2.0, 3.0]) * x),
    "array minus tensor": (VECTOR, lambda x: np.ones(3) - x),
    "array over tensor": (VECTOR, lambda x: np.ones(3) / x),
    "number times tensor": (VECTOR, lambda x: np.float64(2) * x),
    "number to the power of tensor": (VECTOR, lambda x: np.float64(2) ** x),
    "array matmul tensor": (MATRIX, lambda x: np.ones((2, 2)) @ x),
    "ufunc of numbers and tensor": (VECTOR, lambda x: np.subtract(1, x)),
    "maximum": (VECTOR, lambda x: np.maximum(x, np.array([1.0, 1.0, 3.0]))),
    "where": (VECTOR, lambda x: np.where(x > 1, x, 0.0)),
    "where of a mask": (VECTOR, lambda x: np.where(np.array([True, False, True]), x, np.zeros(3))),
    "concatenate": (VECTOR, lambda x: np.concatenate([x, np.ones(2), x])),
    "stack": (VECTOR, lambda x: np.stack([x, x * 2], axis=1)),
    "sum along": (MATRIX, lambda x: np.sum(x, axis=0)),
    "sum of all": (MATRIX, lambda x: np.sum(x)),
    "mean keeping": (MATRIX, lambda x: np.mean(x, axis=(0, 1), keepdims=True)),
    "std": (VECTOR, np.std),
    "max along": (MATRIX, lambda x: np.max(x, axis=0)),
    "transpose": (MATRIX, np.transpose),
    "reshape": (MATRIX, lambda x: np.reshape(x, (4,))),
    "einsum": (VECTOR, lambda x: np.einsum("i,i->", x, x)),
    "dot": (MATRIX, lambda x: np.dot(x, x)),
    "norm": (VECTOR, np.linalg.norm),
    "clip": (VECTOR, lambda x: np.clip(x, 1, 2)),
    "cumsum": (VECTOR, np.cumsum),
    "broadcast_to": (VECTOR, lambda x: np.broadcast_to(x, (2, 3))),
}


@pytest.mark.parametrize("name", list(RECORDED))
def test_a_numpy_function_gives_numpys_values_and_a_gradient(name: str) -> None:
    values, function = RECORDED[name]
    x = torch.from_numpy(values.copy()).requires_grad_()
    result = function(x)
    assert isinstance(result, Tensor)
    np.testing.assert_allclose(result.detach().numpy(), function(values), rtol=1e-12)
    (g,) = torch.autograd.grad(result.sum(), x)
    step = 1e-6
    for i in np.ndindex(values.shape):
        moved = np.zeros_like(values)
        moved[i] = step
        expected = (function(values + moved).sum() - function(values - moved).sum()) / (2 * step)
        assert g[i].item() == pytest.approx(expected, abs=1e-6)


def test_comparisons_with_arrays_give_tensors() -> None:
    t = torch.tensor([1, 2])
    for result in (np.array([1, 3]) == t, np.array([0.5, 3.0]) < t, np.float64(1.5) > t, np.isnan(t * 1.0)):
        assert isinstance(result, Tensor)
        assert result.dtype is torch.bool
    assert (np.array([1, 3]) == t).tolist() == [True, False]


def test_a_numpy_number_is_a_python_number_and_an_array_a_tensor() -> None:
    x = torch.ones(2)
    assert (np.float64(2) * x).dtype is (x * np.float64(2)).dtype is torch.float32
    assert (np.ones(2) * x).dtype is torch.float64
    assert (np.array(2.0) * x).dtype is torch.float32  # a 0-d tensor does not widen


def test_an_array_is_added_in_place() -> None:
    x = torch.ones(2, requires_grad=True)
    y = x * 2
    y += np.ones(2, dtype=np.float32)
    y[0] = np.float32(4)
    y.sum().backward()
    assert (y.tolist(), x.grad.tolist()) == ([4.0, 3.0], [0.0, 2.0])


PLAIN: dict[str, Callable[[Tensor], Any]] = {
    "median": np.median,
    "histogram": lambda x: np.histogram(x, bins=2)[0],
    "percentile": lambda x: np.percentile(x, 50),
    "permutation": lambda x: np.sort(np.random.default_rng(0).permutation(x)),
    "sum of some": lambda x: np.add.reduce(x),
    "outer ufunc": lambda x: np.multiply.outer(x, x),
    "cube root": np.cbrt,
    "parts": lambda x: np.modf(x)[0],
    "a type": lambda x: np.add(x, 1, dtype=np.float64),
}


@pytest.mark.parametrize("name", list(PLAIN))
def test_a_function_without_counterpart_is_numpys_own_where_nothing_is_recorded(name: str) -> None:
    x = torch.tensor([0.5, 1.5, 2.5])
    found = PLAIN[name](x)
    np.testing.assert_allclose(np.asarray(found), np.asarray(PLAIN[name](x.numpy())), rtol=1e-6)


@pytest.mark.parametrize("name", list(PLAIN))
def test_and_refuses_a_tensor_that_requires_grad(name: str) -> None:
    x = torch.tensor([0.5, 1.5, 2.5], requires_grad=True)
    if name == "permutation":
        pytest.skip("the generator asks for the array itself, with an error of its own")
    with pytest.raises(
        TypeError, match=r"np\.[a-z_.]+.* has no differentiable counterpart for Tensors that require grad"
    ):
        PLAIN[name](x)


def test_arrays_are_written_to_where_nothing_is_recorded() -> None:
    x, out = torch.tensor([1.0, 2.0]), np.zeros(2)
    assert np.add(x, 1, out=out) is out
    out += x
    np.copyto(out[:1], x[:1])
    assert out.tolist() == [1.0, 5.0]
    with pytest.raises(TypeError, match=r"np.add with out has no differentiable counterpart"):
        out += x.requires_grad_()


def test_numpys_testing_functions_take_tensors() -> None:
    np.testing.assert_allclose(torch.tensor([1.0, 2.0]), [1.0, 2.0])
    np.testing.assert_array_equal(torch.tensor([1, 2]), np.array([1, 2]))
    with pytest.raises(AssertionError):
        np.testing.assert_allclose(torch.tensor([1.0, 2.0]), [1.0, 3.0])


def test_arrays_are_indexed_by_tensors() -> None:
    array = np.arange(4.0)
    assert array[torch.tensor(1)] == 1.0
    assert array[torch.tensor([0, 3])].tolist() == [0.0, 3.0]
    assert array[torch.tensor([True, False, True, False])].tolist() == [0.0, 2.0]


def test_shapes_and_sizes_are_numpys() -> None:
    x = torch.ones(2, 3, requires_grad=True)
    assert (np.shape(x), np.ndim(x), np.size(x), np.size(x, 1)) == ((2, 3), 2, 6, 3)
