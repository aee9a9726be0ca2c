"""Transformations of functions agree with calculus and with each other."""

from __future__ import annotations

import numpy as np
import pytest

import allgrad as torch
from allgrad import Tensor
from allgrad.autograd import forward_ad
from allgrad.func import functional_call, grad, grad_and_value, hessian, jacfwd, jacrev, jvp, linearize, vjp, vmap
from allgrad.registry import OPERATIONS

from ..derivatives import call, differentiable_samples, floating_outputs, samples_of

SAMPLES = list(differentiable_samples())


def f(x: Tensor) -> Tensor:
    return (x.sin() * x).exp()


def test_grad_can_be_nested_to_any_order() -> None:
    x = torch.tensor(0.5, dtype=torch.float64)
    third = grad(grad(grad(lambda x: x**5)))(x)
    assert third.item() == pytest.approx(60 * 0.25)
    assert not third.requires_grad


def test_grad_takes_argnums_trees_and_aux() -> None:
    def loss(params: dict[str, Tensor], x: Tensor) -> tuple[Tensor, str]:
        return (params["w"] * x + params["b"]).sum(), "aux"

    params = {"w": torch.tensor([1.0, 2.0]), "b": torch.tensor([0.5, 0.5])}
    x = torch.tensor([3.0, 4.0])
    gradient, (value, aux) = grad_and_value(loss, has_aux=True)(params, x)
    assert (value.item(), aux) == (12.0, "aux")
    assert gradient["w"].tolist() == [3.0, 4.0]
    assert gradient["b"].tolist() == [1.0, 1.0]
    by_x, _ = grad(loss, argnums=1, has_aux=True)(params, x)
    assert by_x.tolist() == [1.0, 2.0]


def test_grad_of_a_function_that_ignores_its_argument_is_zero() -> None:
    assert grad(lambda x: torch.tensor(1.0))(torch.ones(2)).tolist() == [0.0, 0.0]


def test_grad_wants_a_single_number() -> None:
    with pytest.raises(RuntimeError, match="scalar tensor"):
        grad(lambda x: x)(torch.ones(2))


def test_a_gradient_keeps_its_graph_to_what_the_function_closes_over() -> None:
    w = torch.tensor(2.0, requires_grad=True)
    g = grad(lambda x: w * x**2)(torch.tensor(3.0))
    g.backward()
    assert w.grad is not None
    assert w.grad.item() == 6.0


def test_forward_and_reverse_jacobians_and_hessians_are_equal() -> None:
    x = torch.tensor([0.3, -0.7, 1.1], dtype=torch.float64)
    np.testing.assert_allclose(jacrev(f)(x).numpy(), jacfwd(f)(x).numpy(), rtol=1e-12)
    total = hessian(lambda x: f(x).sum())(x)
    mixed = jacfwd(jacrev(lambda x: f(x).sum()))(x)
    np.testing.assert_allclose(total.numpy(), mixed.numpy(), rtol=1e-10)


def test_jvp_vjp_and_linearize_agree() -> None:
    x = torch.tensor([0.3, -0.7], dtype=torch.float64)
    t = torch.tensor([1.0, 2.0], dtype=torch.float64)
    value, tangent = jvp(f, (x,), (t,))
    again, back = vjp(f, x)
    same, along = linearize(f, x)
    np.testing.assert_allclose(value.numpy(), again.numpy())
    np.testing.assert_allclose(value.numpy(), same.numpy())
    np.testing.assert_allclose(tangent.numpy(), along(t).numpy())
    assert (tangent * 3.0).sum().item() == pytest.approx(
        (back(torch.full((2,), 3.0, dtype=torch.float64))[0] * t).sum().item()
    )


@pytest.mark.parametrize(("name", "number"), SAMPLES, ids=[f"{n}-{i}" for n, i in SAMPLES])
def test_forward_mode_agrees_with_reverse_mode_for_every_operation(name: str, number: int) -> None:
    op = OPERATIONS[name]
    tensors, run = call(op, samples_of(name)[number], requires_grad=False)
    if not tensors or not floating_outputs(run()):
        return
    generator = np.random.default_rng(3)
    with forward_ad.dual_level():
        tangents = [torch.from_numpy(np.asarray(generator.standard_normal(tuple(t.shape)))) for t in tensors]
        for tensor, tangent in zip(tensors, tangents, strict=True):
            dual = forward_ad.make_dual(tensor.detach(), tangent)
            tensor._node = dual._node  # the sample's own tensors become the duals
            tensor._dual = dual
        outputs = floating_outputs(run())
        pushed = [forward_ad.unpack_dual(o).tangent for o in outputs]
    weights = [torch.from_numpy(np.asarray(generator.standard_normal(tuple(o.shape)))) for o in outputs]
    used = [(o, w) for o, w in zip(outputs, weights, strict=True) if o.requires_grad]
    if not used:
        return
    pulled = torch.autograd.grad(
        [o for o, _ in used], [t._dual for t in tensors], [w for _, w in used], materialize_grads=True
    )
    forward = sum(float((p * w).sum()) for p, w in zip(pushed, weights, strict=True) if p is not None)
    reverse = sum(float((g * t).sum()) for g, t in zip(pulled, tangents, strict=True))
    assert forward == pytest.approx(reverse, rel=1e-9, abs=1e-9)


def test_vmap_maps_over_any_dimension_and_stacks_along_any() -> None:
    a, b = torch.randn(3, 4), torch.randn(4, 5)
    found = vmap(torch.dot, in_dims=(None, 1))(a[0], b)
    assert torch.allclose(found, a[0] @ b)
    assert vmap(lambda x: x * 2, in_dims=1, out_dims=1)(a).shape == (3, 4)
    per_sample = vmap(grad(lambda w, x: (w * x).sum() ** 2), in_dims=(None, 0))(torch.ones(4), a)
    assert torch.allclose(per_sample, 2 * a.sum(1, keepdim=True) * a)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: vmap(torch.sum, in_dims=3)(torch.ones(2)), "out of range"),
        (lambda: vmap(torch.dot)(torch.ones(2, 3), torch.ones(4, 3)), "same size"),
        (lambda: vmap(torch.sum, in_dims=(None,))(torch.ones(2)), "at least one"),
        (lambda: vmap(lambda x: 1)(torch.ones(2)), "only return Tensors"),
    ],
)
def test_vmap_explains_bad_dimensions(call: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()  # type: ignore[operator]


def test_vmap_treats_random_numbers_as_told() -> None:
    def noisy(x: Tensor) -> Tensor:
        return x + torch.rand(2)

    x = torch.zeros(3, 2)
    with pytest.raises(RuntimeError, match="randomness error mode"):
        vmap(noisy)(x)
    same = vmap(noisy, randomness="same")(x)
    assert torch.equal(same[0], same[1])
    different = vmap(noisy, randomness="different")(x)
    assert not torch.equal(different[0], different[1])


def test_a_dual_outside_of_a_level_is_refused() -> None:
    with pytest.raises(RuntimeError, match="dual_level"):
        forward_ad.make_dual(torch.ones(2), torch.ones(2))


def test_forward_over_reverse_through_duals() -> None:
    with forward_ad.dual_level():
        x = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
        dual = forward_ad.make_dual(x, torch.tensor(1.0, dtype=torch.float64))
        (g,) = torch.autograd.grad(dual**3, dual, create_graph=True)
        assert forward_ad.unpack_dual(g).tangent.item() == pytest.approx(12.0)  # type: ignore[union-attr]


def test_functional_call_is_exported() -> None:
    assert functional_call is torch.func.functional_call
