"""Every registered operation, tried on its own samples."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import allgrad
from allgrad import Tensor
from allgrad.registry import OPERATIONS

from .derivatives import (
    call,
    differentiable_samples,
    floating_outputs,
    numeric_gradient,
    samples_of,
    weighted_sum,
)

SAMPLES = list(differentiable_samples())
every_sample = pytest.mark.parametrize(("name", "number"), SAMPLES, ids=[f"{n}-{i}" for n, i in SAMPLES])


def gradients(name: str, number: int, create_graph: bool = False) -> tuple[list[Tensor], list[Any]]:
    tensors, run = call(OPERATIONS[name], samples_of(name)[number])
    outputs = floating_outputs(run())
    if not tensors or not any(o.requires_grad for o in outputs):
        pytest.skip("nothing to differentiate")
    found = allgrad.autograd.grad(weighted_sum(outputs), tensors, create_graph=create_graph, allow_unused=True)
    return tensors, list(found)


@every_sample
def test_the_gradient_equals_finite_differences(name: str, number: int) -> None:
    _, found = gradients(name, number)
    again, run = call(OPERATIONS[name], samples_of(name)[number], requires_grad=False)

    def loss() -> float:
        return float(weighted_sum(floating_outputs(run())).item())

    for tensor, g in zip(again, found, strict=True):
        expected = numeric_gradient(loss, tensor.numpy())
        actual = np.zeros_like(expected) if g is None else g.detach().numpy()
        np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-6)


@every_sample
def test_the_second_derivative_equals_finite_differences_of_the_first(name: str, number: int) -> None:
    tensors, found = gradients(name, number, create_graph=True)
    firsts = [g for g in found if g is not None and g.requires_grad]
    if not firsts:
        pytest.skip("the gradient is constant")
    seconds = allgrad.autograd.grad(weighted_sum(firsts), tensors, allow_unused=True)
    again, run = call(OPERATIONS[name], samples_of(name)[number])

    def first_derivative() -> float:
        outputs = weighted_sum(floating_outputs(run()))
        inner = allgrad.autograd.grad(outputs, again, allow_unused=True)
        kept = [g for g, f in zip(inner, found, strict=True) if f is not None and f.requires_grad]
        return float(weighted_sum(kept).item())

    for tensor, second in zip(again, seconds, strict=True):
        expected = numeric_gradient(first_derivative, tensor.detach().numpy(), step=1e-5)
        actual = np.zeros_like(expected) if second is None else second.numpy()
        np.testing.assert_allclose(actual, expected, rtol=2e-4, atol=2e-5)


@every_sample
def test_gradients_are_equal_to_the_bit_with_and_without_create_graph(name: str, number: int) -> None:
    _, plain = gradients(name, number)
    _, recorded = gradients(name, number, create_graph=True)
    for a, b in zip(plain, recorded, strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            np.testing.assert_array_equal(a.numpy(), b.detach().numpy())


@every_sample
def test_inputs_are_not_modified_and_layout_does_not_matter(name: str, number: int) -> None:
    op = OPERATIONS[name]
    tensors, run = call(op, samples_of(name)[number], requires_grad=False)
    before = [t.numpy().copy() for t in tensors]
    expected = floating_outputs(run())
    for t, b in zip(tensors, before, strict=True):
        np.testing.assert_array_equal(t.numpy(), b)
    for t in tensors:
        wide = np.repeat(t.numpy(), 2, axis=-1) if t.ndim else t.numpy()
        t.data = allgrad.from_numpy(wide[..., ::2] if t.ndim else wide)  # the same values, not contiguous
    for a, b in zip(floating_outputs(run()), expected, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-12)


@every_sample
def test_float32_stays_float32_and_its_gradient_too(name: str, number: int) -> None:
    op = OPERATIONS[name]
    if "float64" in repr(samples_of(name)[number].args):
        pytest.skip("the sample names a type")
    tensors, run = call(op, samples_of(name)[number], requires_grad=False)
    for t in tensors:
        t.data = t.float()
        t.requires_grad_()
    outputs = floating_outputs(run())
    for o in outputs:
        assert o.dtype is allgrad.float32
    differentiable = [o.sum() for o in outputs if o.requires_grad]
    if differentiable:
        for t, g in zip(tensors, allgrad.autograd.grad(differentiable, tensors, allow_unused=True), strict=True):
            assert g is None or (g.dtype is t.dtype and g.shape == t.shape)


def test_every_differentiable_operation_has_samples() -> None:
    missing = [name for name, op in OPERATIONS.items() if op.differentiable and op.samples is None]
    inside_vmap = {"enter_batch", "leave_batch", "scatter_examples", "own_place", "sum_of_examples", "repeated_for"}
    assert sorted(set(missing) - inside_vmap) == ["imaginary_part", "real_part", "view_as_real"]  # of complex operands


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_every_operation_is_documented(name: str) -> None:
    assert OPERATIONS[name].doc.strip().endswith((".", ")", ">", "]")) or ">>>" in OPERATIONS[name].doc


def test_no_sample_makes_check_finite_raise_an_alarm() -> None:
    checked = 0
    for name, number in SAMPLES:
        tensors, run = call(OPERATIONS[name], samples_of(name)[number])
        with allgrad.check_finite():
            outputs = [o for o in floating_outputs(run()) if o.requires_grad]
            if tensors and outputs:
                allgrad.autograd.grad(weighted_sum(outputs), tensors, allow_unused=True)
                checked += 1
    assert checked > 500
