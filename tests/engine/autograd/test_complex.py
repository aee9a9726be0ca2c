"""Complex gradients follow PyTorch's convention, the conjugate, wherever a user sees or gives one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import allgrad as torch
from allgrad import Tensor

VALUES = np.array([1 + 2j, 3 - 1j])
WEIGHTS = np.array([0.5 - 1j, 2 + 1j])


def leaf(values: Any = VALUES) -> Tensor:
    return torch.from_numpy(np.array(values)).requires_grad_()


def numeric(function: Callable[[Any], float], z: Any) -> Any:
    """dL/dx + i dL/dy of a real function of complex numbers, by central differences: PyTorch's gradient."""
    step = 1e-6
    found = np.zeros_like(z)
    for i in np.ndindex(z.shape):
        for unit in (1, 1j):
            moved = np.zeros_like(z)
            moved[i] = step * unit
            found[i] += unit * (function(z + moved) - function(z - moved)) / (2 * step)
    return found


FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "abs": lambda z: abs(z).sum(),
    "exp": lambda z: z.exp().real.sum(),
    "square": lambda z: (z * z).imag.sum(),
    "power": lambda z: (z**3).real.sum(),
    "quotient": lambda z: ((2 - 1j) / z).real.sum(),
    "conj": lambda z: (z.conj() * (1 + 2j)).imag.sum(),
    "real times imag": lambda z: (z.real * z.imag).sum(),
    "matmul": lambda z: abs(z.reshape(1, 2) @ z.reshape(2, 1)).sum(),
    "in place": lambda z: _scaled_in_place(z).real.sum(),
}


def _scaled_in_place(z: Tensor) -> Tensor:
    y = z * 1
    y[0] *= 2j
    return y * y


@pytest.mark.parametrize("name", list(FUNCTIONS))
def test_the_gradient_is_the_direction_of_steepest_ascent(name: str) -> None:
    z = leaf()
    FUNCTIONS[name](z).backward()
    assert z.grad is not None
    expected = numeric(lambda v: float(FUNCTIONS[name](torch.from_numpy(v))), VALUES.copy())
    np.testing.assert_allclose(z.grad.numpy(), expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("name", list(FUNCTIONS))
def test_so_is_the_gradient_of_a_gradient(name: str) -> None:
    def first(v: Any) -> Tensor:
        z = leaf(v)
        (g,) = torch.autograd.grad(FUNCTIONS[name](z), z, create_graph=True)
        weighed: Tensor = (abs(g) ** 2 * torch.from_numpy(np.array([0.7, 1.3]))).sum()
        if not weighed.requires_grad:
            return weighed
        (first.second,) = torch.autograd.grad(weighed, z, materialize_grads=True)  # type: ignore[attr-defined]
        return weighed

    first.second = torch.zeros(2)  # type: ignore[attr-defined]
    first(VALUES)
    expected_of = first.second.numpy()  # type: ignore[attr-defined]
    np.testing.assert_allclose(expected_of, numeric(lambda v: first(v).item(), VALUES.copy()), rtol=1e-4, atol=1e-6)


def test_a_given_gradient_comes_back_from_the_identity() -> None:
    z, g = leaf(), torch.from_numpy(WEIGHTS)
    z.backward(g)
    (z * 1).backward(g)
    assert z.grad is not None
    np.testing.assert_array_equal(z.grad.numpy(), 2 * WEIGHTS)


def test_a_product_sends_back_the_conjugate_of_the_factor() -> None:
    z = leaf()
    y = z * 3j
    y.retain_grad()
    seen: list[Any] = []
    y.register_hook(lambda g: seen.append(g.numpy()))
    z.register_hook(lambda g: seen.append(g.numpy()))
    y.backward(torch.from_numpy(WEIGHTS))
    assert z.grad is not None
    assert y.grad is not None
    np.testing.assert_array_equal(seen[0], WEIGHTS)
    np.testing.assert_array_equal(y.grad.numpy(), WEIGHTS)
    np.testing.assert_array_equal(seen[1], WEIGHTS * -3j)
    np.testing.assert_array_equal(z.grad.numpy(), WEIGHTS * -3j)


def test_what_a_hook_returns_is_in_the_same_convention() -> None:
    z = leaf()
    z.register_hook(lambda g: g * 1j)
    (z * 3j).backward(torch.from_numpy(WEIGHTS))
    assert z.grad is not None
    np.testing.assert_array_equal(z.grad.numpy(), WEIGHTS * -3j * 1j)


def test_node_hooks_see_the_same_convention() -> None:
    z = leaf()
    y = z * 3j
    seen: list[Any] = []
    assert y.grad_fn is not None
    y.grad_fn.register_hook(lambda ins, outs: seen.append((ins[0].numpy(), outs[0].numpy())))
    y.grad_fn.register_prehook(lambda outs: (outs[0] * 2,))
    y.backward(torch.from_numpy(WEIGHTS))
    np.testing.assert_array_equal(seen[0][0], 2 * WEIGHTS * -3j)
    np.testing.assert_array_equal(seen[0][1], 2 * WEIGHTS)


def test_grad_of_results_and_leaves_agrees_with_backward() -> None:
    z = leaf()
    y = z * 3j
    of_y, of_z = torch.autograd.grad(y, [y, z], torch.from_numpy(WEIGHTS), retain_graph=True)
    np.testing.assert_array_equal(of_y.numpy(), WEIGHTS)
    np.testing.assert_array_equal(of_z.numpy(), WEIGHTS * -3j)
    y.backward(torch.from_numpy(WEIGHTS), inputs=[y, z])
    assert z.grad is not None
    assert y.grad is not None
    np.testing.assert_array_equal(y.grad.numpy(), WEIGHTS)
    np.testing.assert_array_equal(z.grad.numpy(), WEIGHTS * -3j)


def test_a_custom_backward_is_written_in_the_same_convention() -> None:
    class Square(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, z: Tensor) -> Tensor:
            ctx.save_for_backward(z)
            return z * z

        @staticmethod
        def backward(ctx: Any, g: Tensor) -> Tensor:
            (z,) = ctx.saved_tensors
            result: Tensor = g * 2 * z.conj()
            return result

    results = []
    squares: list[Callable[[Tensor], Tensor]] = [Square.apply, lambda z: z * z]
    for square in squares:
        z = leaf()
        y = square(z * (1 + 1j)) * (2 - 3j)
        (g,) = torch.autograd.grad(y, z, torch.from_numpy(WEIGHTS), create_graph=True)
        (second,) = torch.autograd.grad(abs(g).sum(), z)
        results.append((g.detach().numpy(), second.numpy()))
    np.testing.assert_allclose(results[0][0], results[1][0])
    np.testing.assert_allclose(results[0][1], results[1][1])


def test_the_gradient_of_a_real_input_is_real() -> None:
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    (x * (2 - 1j)).abs().sum().backward()
    assert x.grad is not None
    assert x.grad.dtype is torch.float32
    assert x.grad.tolist() == pytest.approx([5**0.5, 5**0.5])


def test_a_gradient_arrives_in_the_precision_of_its_leaf() -> None:
    z = torch.tensor([1 + 2j], requires_grad=True)
    z.to(torch.complex128).abs().sum().backward()
    assert z.grad is not None
    assert z.grad.dtype is torch.complex64
    assert z.grad.item() == pytest.approx((1 + 2j) / 5**0.5)


def test_complex_gradients_accumulate_into_a_destination() -> None:
    bucket = np.zeros(2, dtype=np.complex128)
    z = leaf()
    torch.autograd.graph.set_gradient_destination(z, bucket)
    for _ in range(2):
        (z * 3j).backward(torch.from_numpy(WEIGHTS))
    np.testing.assert_array_equal(bucket, 2 * WEIGHTS * -3j)


def test_a_complex_result_has_no_implicit_gradient() -> None:
    with pytest.raises(RuntimeError, match=r"only for real scalar outputs but got torch.complex128"):
        leaf().sum().backward()


def test_real_and_complex_gradients_do_not_stand_for_each_other() -> None:
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(RuntimeError, match="required to have the same dtype"):
        (x * x).backward(torch.ones(2, dtype=torch.complex64))
    with pytest.raises(RuntimeError, match="required to have the same dtype"):
        (leaf() * 2).backward(torch.ones(2))


def test_imag_of_a_real_tensor_is_refused() -> None:
    with pytest.raises(RuntimeError, match="non-complex"):
        _ = torch.ones(2).imag
