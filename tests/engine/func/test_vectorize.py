"""vmap: one call for all examples, in every combination, and what it says where that cannot be."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import allgrad as torch
from allgrad import Tensor, nn
from allgrad.func import functional_call, grad, hessian, jacfwd, jacrev, jvp, stack_module_state, vjp, vmap
from allgrad.func import vmap_fallback_warnings as warned

F = nn.functional


def close(a: Tensor, b: Any, tolerance: float = 1e-6) -> bool:
    found, wanted = a.detach().numpy(), b.detach().numpy() if isinstance(b, Tensor) else b
    assert found.shape == wanted.shape
    return np.allclose(found, wanted, rtol=tolerance, atol=tolerance)


def f(x: Tensor) -> Tensor:
    return (x.sin() * x).exp()


def test_the_function_is_called_once_for_all_examples() -> None:
    calls = []

    def counted(x: Tensor) -> Tensor:
        calls.append(x.shape)
        return x * 2

    vmap(counted)(torch.zeros(5, 3))
    torch.func.jacrev(counted)(torch.zeros(7))
    assert calls == [(3,), (7,)]


def test_maps_nest_in_any_order_of_dimensions() -> None:
    a, b = torch.randn(3, 4), torch.randn(5, 4)
    assert close(vmap(vmap(torch.dot, in_dims=(None, 0)), in_dims=(0, None))(a, b), a @ b.T)
    x = torch.randn(2, 3, 4)
    assert close(vmap(vmap(f, in_dims=1, out_dims=1), in_dims=2, out_dims=-1)(x), f(x))
    assert close(vmap(vmap(vmap(torch.neg)))(x), -x)


def test_trees_negative_dims_and_keywords_are_mapped() -> None:
    x, y = torch.randn(4, 3), torch.randn(3, 4)
    found = vmap(
        lambda d, s: (d["a"] * s, [d["a"] + d["b"]]), in_dims=({"a": -1, "b": None}, None), out_dims=(-1, [0])
    )({"a": y, "b": torch.ones(3)}, torch.tensor(2.0))
    assert close(found[0], y * 2)
    assert close(found[1][0], y.T + 1)
    assert close(vmap(lambda a, *, b: a + b)(x, b=x), 2 * x)


def test_what_is_the_same_for_all_examples_is_repeated_or_left_as_it_is() -> None:
    x = torch.randn(3, 2)
    assert vmap(lambda x: torch.ones(2))(x).tolist() == [[1.0, 1.0]] * 3
    assert vmap(lambda x: torch.ones(2), out_dims=None)(x).tolist() == [1.0, 1.0]
    with pytest.raises(ValueError, match="can not return a BatchedTensor when out_dim is None"):
        vmap(f, out_dims=None)(x)


@pytest.mark.parametrize("chunk_size", [1, 2, 5, 9])
def test_chunks_give_the_same(chunk_size: int) -> None:
    x = torch.randn(3, 5)
    assert close(vmap(f, in_dims=1, out_dims=1, chunk_size=chunk_size)(x), f(x))
    assert close(jacrev(f, chunk_size=chunk_size)(x[0]), jacrev(f)(x[0]))


def test_gradients_of_each_example_come_from_inside_and_their_sum_from_outside() -> None:
    w = torch.randn(4, 2, requires_grad=True)
    x = torch.randn(3, 4)

    def loss(w: Tensor, x: Tensor) -> Tensor:
        return (x @ w).tanh().square().sum()

    each = vmap(grad(loss), in_dims=(None, 0))(w.detach(), x)
    assert close(each, torch.stack([grad(loss)(w.detach(), row) for row in x]))
    vmap(loss, in_dims=(None, 0))(w, x).sum().backward()
    assert close(w.grad, each.sum(0), 1e-5)  # type: ignore[arg-type]
    outer = grad(lambda w: vmap(grad(loss), in_dims=(None, 0))(w, x).square().sum())(w.detach())
    looped = grad(lambda w: sum(grad(loss)(w, row).square().sum() for row in x))(w.detach())
    assert close(outer, looped, 1e-4)


def test_products_and_jacobians_can_be_mapped_and_nested() -> None:
    x, t = torch.randn(3, 4, dtype=torch.float64), torch.randn(3, 4, dtype=torch.float64)
    assert close(
        vmap(lambda x, t: jvp(f, (x,), (t,))[1])(x, t),
        torch.stack([jvp(f, (a,), (b,))[1] for a, b in zip(x, t, strict=True)]),
    )
    assert close(
        vmap(lambda x, t: vjp(f, x)[1](t)[0])(x, t),
        torch.stack([vjp(f, a)[1](b)[0] for a, b in zip(x, t, strict=True)]),
    )
    for jacobian in (jacrev, jacfwd):
        assert close(vmap(jacobian(f))(x), torch.stack([jacobian(f)(a) for a in x]))
    total = torch.stack([hessian(lambda x: f(x).sum())(a) for a in x])
    assert close(vmap(hessian(lambda x: f(x).sum()))(x), total)
    assert close(vmap(jacfwd(jacrev(lambda x: f(x).sum())))(x), total)
    assert close(jacrev(jacfwd(lambda x: f(x).sum()))(x[0]), total[0])


def test_a_linear_function_of_outside_is_pulled_back_for_many_vectors_at_once() -> None:
    x = torch.randn(4, requires_grad=True)
    y = f(x)
    rows = vmap(lambda v: torch.autograd.grad(y, x, v, retain_graph=True)[0])(torch.eye(4))
    assert close(rows, jacrev(f)(x.detach()))
    (batched,) = torch.autograd.grad(y, x, torch.eye(4), is_grads_batched=True)
    assert close(batched, rows)
    assert close(torch.autograd.functional.jacobian(f, x.detach(), vectorize=True), rows)


def test_is_grads_batched_runs_the_backward_once_and_keeps_hooks() -> None:
    seen = []
    x = torch.randn(3, requires_grad=True)
    y = x.exp()
    y.register_hook(lambda g: seen.append(g.shape))
    torch.autograd.grad(y, x, torch.eye(3), is_grads_batched=True, create_graph=True)
    assert seen == [(3,)]


def test_a_vectorised_jacobian_is_one_backward_pass() -> None:
    passes = []

    class Doubled(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:
            return x * 2

        @staticmethod
        def backward(ctx: Any, g: Tensor) -> Tensor:
            passes.append(tuple(g.shape))
            return g * 2

    x = torch.randn(2, 3)
    found = torch.autograd.functional.jacobian(lambda x: (Doubled.apply(x) ** 2).sum(1), x, vectorize=True)
    assert passes == [(2, 3)]
    assert close(found, torch.autograd.functional.jacobian(lambda x: ((x * 2) ** 2).sum(1), x))
    second = torch.autograd.functional.hessian(lambda x: (x**3).sum(), x, vectorize=True)
    assert close(second, torch.autograd.functional.hessian(lambda x: (x**3).sum(), x))


MODELS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "mlp": (lambda: nn.Sequential(nn.Linear(6, 5), nn.GELU(), nn.LayerNorm(5), nn.Linear(5, 3)), (6,)),
    "cnn": (
        lambda: nn.Sequential(
            nn.Conv2d(2, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.GroupNorm(2, 4), nn.Conv2d(4, 2, 2),
            nn.Flatten(), nn.LazyLinear(3),
        ),
        (2, 6, 6),
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", MODELS)
def test_per_sample_gradients_of_networks_need_no_loop(kind: str) -> None:
    make, shape = MODELS[kind]
    model, x, y = make(), torch.randn(4, *shape), torch.tensor([0, 2, 1, 2])
    model(x)
    params = {name: p.detach() for name, p in model.named_parameters()}

    def loss(params: Any, x: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(functional_call(model, params, (x[None],)), y[None])

    with warned(), warnings.catch_warnings(record=True) as told:
        found = vmap(grad(loss), in_dims=(None, 0, 0))(params, x, y)
    assert told == []
    for name in params:
        rows = torch.stack([grad(loss)(params, x[i], y[i])[name] for i in range(4)])
        assert close(found[name], rows, 1e-4)


@pytest.mark.parametrize("kind", MODELS)
def test_an_ensemble_is_one_call(kind: str) -> None:
    make, shape = MODELS[kind]
    models, x = [make() for _ in range(3)], torch.randn(2, *shape)
    for model in models:
        model(x)
    parameters, buffers = stack_module_state(models)
    found = vmap(lambda p, b, x: functional_call(models[0], (p, b), (x,)), in_dims=(0, 0, None))(parameters, buffers, x)
    assert close(found, torch.stack([model(x) for model in models]), 1e-5)


def test_changes_in_place_reach_what_is_mapped() -> None:
    x = torch.zeros(3, 2)
    assert vmap(lambda row: row.add_(1).mul_(2))(x).tolist() == [[2.0, 2.0]] * 3
    assert x.tolist() == [[2.0, 2.0]] * 3

    def put(row: Tensor, value: Tensor) -> Tensor:
        copy = row.clone()
        copy[0] = value
        copy[1:].add_(value)
        return copy

    values = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
    found = vmap(put)(torch.zeros(3, 2), values)
    assert found.tolist() == [[1.0, 1.0], [2.0, 2.0], [3.0, 3.0]]
    found.sum().backward()
    assert values.grad is not None
    assert values.grad.tolist() == [2.0] * 3


def _overwrite(x: Tensor) -> Tensor:
    shared = torch.zeros(2)
    return shared.add_(x)


def _overwrite_part(x: Tensor) -> Tensor:
    shared = torch.zeros(2)
    shared[0] = x[0]
    return shared


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x: x.sum().item(), r"vmap: It looks like you're calling .item\(\) on a Tensor"),
        (lambda x: x.tolist(), r"vmap: It looks like you're calling .item\(\) on a Tensor"),
        (lambda x: float(x.sum()), r"vmap: It looks like you're calling .item\(\) on a Tensor"),
        (lambda x: x if x.sum() > 0 else -x, "attempting to use a Tensor in some data-dependent control flow"),
        (lambda x: x.numpy(), r"vmap: numpy\(\) was called on a Tensor that has another value for each example"),
        (_overwrite, r"vmap: inplace arithmetic\(self, \*extra_args\) is not possible"),
        (_overwrite_part, r"vmap: inplace arithmetic\(self, \*extra_args\) is not possible"),
        (lambda x: torch.rand(2), "randomness error mode"),
        (lambda x: x @ torch.ones(3), "inconsistent tensor size"),
        (lambda x: (x.requires_grad_() * 2).sum().backward(), "backward\\(\\) called inside a functorch transform"),
    ],
)
def test_what_cannot_be_done_for_all_at_once_is_said(function: Any, message: str) -> None:
    with pytest.raises(RuntimeError, match=message):
        vmap(function)(torch.arange(6.0).reshape(3, 2))


def test_a_tensor_inside_prints_all_its_examples() -> None:
    shown = []

    def printed(x: Tensor) -> Tensor:
        shown.append(repr(x))
        return x

    vmap(printed)(torch.tensor([0.0, 1.0]))
    head, value, tail = shown[0].split("\n")
    assert head.startswith("BatchedTensor(lvl=")
    assert head.endswith(", bdim=0, value=")
    assert (value, tail) == ("    tensor([0., 1.])", ")")


def test_row_by_row_computation_is_told_on_request() -> None:
    with warned(), pytest.warns(UserWarning, match="unfold has no form for batches"):
        vmap(lambda x: x.unfold(0, 2, 1))(torch.zeros(2, 4))


@pytest.mark.filterwarnings("ignore:Anomaly Detection", "ignore:Error detected")
def test_a_nan_of_one_example_is_found() -> None:
    def loss(x: Tensor) -> Tensor:
        return x.log().sum()

    with torch.check_finite():
        vmap(grad(loss))(torch.ones(3, 2))
        with pytest.raises(FloatingPointError, match=r"log\(\)"):
            vmap(loss)(torch.tensor([[1.0], [-1.0]], requires_grad=True))
    with torch.autograd.detect_anomaly(), pytest.raises(RuntimeError, match="returned nan values"):
        vmap(grad(lambda x: (x * 0).sqrt().sum() * 0))(torch.zeros(3, 2))


def test_dropout_draws_for_each_example_or_for_all() -> None:
    x = torch.ones(4, 64)
    different = vmap(F.dropout, randomness="different")(x)
    same = vmap(F.dropout, randomness="same")(x)
    assert torch.equal(same[0], same[3])
    assert not torch.equal(different[0], different[3])
    torch.manual_seed(3)
    mapped = vmap(lambda x: x + torch.randn(2), randomness="different")(torch.zeros(3, 2))
    torch.manual_seed(3)
    assert torch.equal(mapped, torch.stack([torch.randn(2) for _ in range(3)]))


class Squared(torch.autograd.Function):
    """x² · w, written in tensors."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, w: Tensor) -> Tensor:
        return x * x * w

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:
        x, w = ctx.saved_tensors
        return 2 * x * g * w, (g * x * x).sum()


class Sine(torch.autograd.Function):
    """The sine, written in NumPy."""

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return torch.from_numpy(np.sin(x.detach().numpy()))

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:
        return g * ctx.saved_tensors[0].cos()


class RuledSine(Sine):
    """The same, with a rule."""

    asked: list[Any] = []  # noqa: RUF012 -- what the rule was told

    @staticmethod
    def vmap(info: Any, in_dims: Any, x: Tensor) -> Any:
        RuledSine.asked.append((info.batch_size, info.randomness, in_dims, tuple(x.shape)))
        return RuledSine.apply(x), 0


def test_a_custom_function_is_mapped_by_its_forward_its_rule_or_row_by_row() -> None:
    x, w = torch.randn(3, 4), torch.tensor(2.0, requires_grad=True)
    vmap(lambda row: Squared.apply(row, w))(x).sum().backward()
    assert w.grad is not None
    assert close(w.grad, (x * x).sum(), 1e-5)
    inside = vmap(grad(lambda row, w: Squared.apply(row, w).sum(), argnums=1), in_dims=(0, None))(x, w.detach())
    assert close(inside, (x * x).sum(1), 1e-5)
    for function in (Sine, RuledSine):
        assert close(vmap(function.apply, in_dims=1, out_dims=1)(x), x.sin())
        assert close(vmap(grad(lambda row, f=function: f.apply(row).sum()))(x), x.cos())
    assert RuledSine.asked[0] == (4, "error", (0,), (4, 3))


def test_a_custom_function_has_one_rule_at_most() -> None:
    class Both(RuledSine):
        generate_vmap_rule = True

    with pytest.raises(RuntimeError, match="both generate_vmap_rule=True and an overriden vmap staticmethod"):
        vmap(Both.apply)(torch.zeros(2))


@pytest.mark.parametrize(
    ("function", "shapes"),
    [
        (lambda x, i: x[i], ((3, 4, 2), (3, 5))),
        (lambda x, i: x[:, i % 2], ((3, 4, 2), (3, 5))),
        (lambda x, i: x[i[0]], ((3, 4, 2), (3, 5))),
        (lambda x, i: x.gather(0, i[:4].reshape(4, 1)), ((3, 4, 2), (3, 5))),
        (lambda x, i: x.index_select(0, i), ((3, 4, 2), (3, 5))),
        (lambda x, i: torch.where(i[:4, None] > 1, x, 0.0), ((3, 4, 2), (3, 5))),
        (lambda x, i: F.embedding(i, x), ((3, 4, 2), (3, 5))),
        (lambda x, i: F.one_hot(i, 4) @ x.long(), ((3, 4, 2), (3, 5))),
        (lambda x, i: x[..., None, i % 2, 1:], ((3, 4, 2, 3), (3, 5))),
    ],
)
def test_indices_may_differ_from_example_to_example(function: Any, shapes: Any) -> None:
    x = torch.from_numpy(np.arange(np.prod(shapes[0]), dtype=np.float32).reshape(shapes[0]))
    i = torch.from_numpy(np.random.default_rng(1).integers(0, 4, shapes[1]))
    rows = {
        (0, 0): [function(x[n], i[n]) for n in range(3)],
        (0, None): [function(x[n], i[0]) for n in range(3)],
        (None, 0): [function(x[0], i[n]) for n in range(3)],
    }
    for dims, expected in rows.items():
        given = [t if d == 0 else t[0] for t, d in zip((x, i), dims, strict=True)]
        assert torch.equal(vmap(function, in_dims=dims)(*given), torch.stack(expected))


def against(library: Any) -> dict[str, Any]:
    """What both libraries say of a few functions, as arrays."""
    func = library.func
    generator = np.random.default_rng(5)
    x, w = (library.from_numpy(generator.standard_normal(shape)) for shape in ((3, 4), (4, 4)))

    def energy(w: Any, x: Any) -> Any:
        return (x @ w).tanh().logsumexp(0) + library.linalg.det(w) * x.cumsum(0)[1]

    made = {
        "value": func.vmap(energy, in_dims=(None, 0))(w, x),
        "each gradient": func.vmap(func.grad(energy), in_dims=(None, 0))(w, x),
        "each hessian": func.vmap(func.hessian(lambda x: energy(w, x)))(x),
        "each jacobian": func.vmap(func.jacfwd(lambda x: x.sort()[0] * x.sum()))(x),
        "of a gradient": func.grad(lambda w: func.vmap(energy, in_dims=(None, 0))(w, x).square().sum())(w),
        "out_dims": func.vmap(library.outer, in_dims=(1, None), out_dims=1)(w, x[0]),
        "nested": func.vmap(func.vmap(library.dot, in_dims=(None, 0)), in_dims=(0, None))(x, w),
    }
    return {name: value.detach().numpy() for name, value in made.items()}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_results_are_those_of_torch_func() -> None:
    theirs = against(pytest.importorskip("torch"))
    for name, found in against(torch).items():
        np.testing.assert_allclose(found, theirs[name], rtol=1e-9, atol=1e-9, err_msg=name)


def test_a_batch_of_no_entries_has_the_shape_of_one() -> None:
    assert vmap(lambda x: x.sin().sum(0, keepdim=True))(torch.zeros(0, 3)).shape == (0, 1)
