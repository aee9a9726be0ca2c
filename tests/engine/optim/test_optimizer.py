"""Optimizers: their formulas, their groups and states, their errors, and PyTorch's numbers where it is installed."""

from __future__ import annotations

import copy
import io
import pickle
from typing import Any, cast

import numpy as np
import pytest

import allgrad
from allgrad import nn, optim

CASES: list[tuple[str, dict[str, Any]]] = [
    ("SGD", {"lr": 0.1}),
    ("SGD", {"lr": 0.1, "weight_decay": 0.1, "maximize": True}),
    ("SGD", {"lr": 0.1, "momentum": 0.9}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.3, "weight_decay": 0.1}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True, "maximize": True}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.3, "weight_decay": 0.1, "maximize": True}),
    ("Adam", {}),
    ("Adam", {"lr": 0.1, "betas": (0.8, 0.9), "eps": 1e-3, "weight_decay": 0.1}),
    ("Adam", {"lr": 0.1, "amsgrad": True, "maximize": True}),
    ("AdamW", {"lr": 0.1, "weight_decay": 0.3}),
    ("AdamW", {"lr": 0.1, "amsgrad": True}),
    ("RMSprop", {}),
    ("RMSprop", {"alpha": 0.9, "momentum": 0.5, "centered": True, "weight_decay": 0.1}),
    ("RMSprop", {"maximize": True, "eps": 1e-3}),
    ("Adagrad", {}),
    ("Adagrad", {"lr": 0.1, "lr_decay": 0.1, "weight_decay": 0.1, "initial_accumulator_value": 0.5, "maximize": True}),
    ("Adadelta", {"lr": 0.5}),
    ("Adadelta", {"lr": 0.5, "rho": 0.8, "eps": 1e-3, "weight_decay": 0.1, "maximize": True}),
    ("Adamax", {}),
    ("Adamax", {"lr": 0.1, "betas": (0.8, 0.9), "weight_decay": 0.1, "maximize": True}),
    ("NAdam", {}),
    ("NAdam", {"lr": 0.1, "weight_decay": 0.1, "momentum_decay": 0.1, "maximize": True}),
    ("NAdam", {"lr": 0.1, "weight_decay": 0.1, "decoupled_weight_decay": True}),
    ("RAdam", {"lr": 0.1, "weight_decay": 0.1}),
    ("RAdam", {"lr": 0.1, "betas": (0.8, 0.9), "weight_decay": 0.1, "decoupled_weight_decay": True}),
    ("Rprop", {}),
    ("Rprop", {"lr": 0.1, "etas": (0.4, 1.5), "step_sizes": (1e-3, 0.3), "maximize": True}),
    ("ASGD", {"lr": 0.1, "weight_decay": 0.1}),
    ("ASGD", {"lr": 0.1, "lambd": 0.1, "alpha": 0.5, "t0": 2, "maximize": True}),
    ("Adafactor", {}),
    ("Adafactor", {"lr": 0.1, "eps": (1e-2, 1e-2), "weight_decay": 0.1, "maximize": True}),
]
every_case = pytest.mark.parametrize(("name", "options"), CASES, ids=lambda value: str(value).replace(" ", ""))


def parameters(library: Any, dtype: Any = np.float32) -> list[Any]:
    """Parameters of several shapes, one of which never gets a gradient."""
    rng = np.random.default_rng(0)
    return [
        library.nn.Parameter(library.tensor(rng.normal(size=shape).astype(dtype))) for shape in ((3, 4), (5,), (), (2,))
    ]


def train(library: Any, weights: list[Any], optimizer: Any, steps: range) -> None:
    for step in steps:
        rng = np.random.default_rng(step)
        for weight in weights[:-1]:
            gradient = rng.normal(size=tuple(weight.shape)).astype(weight.detach().numpy().dtype)
            weight.grad = library.tensor(gradient)
        optimizer.step()


@every_case
def test_steps_equal_pytorchs(name: str, options: dict[str, Any]) -> None:
    torch: Any = pytest.importorskip("torch")
    weights: dict[str, list[Any]] = {}
    optimizers: dict[str, Any] = {}
    for library in (torch, allgrad):
        weights[library.__name__] = parameters(library)
        optimizers[library.__name__] = getattr(library.optim, name)(weights[library.__name__], **options)
        train(library, weights[library.__name__], optimizers[library.__name__], range(30))
    for theirs, ours in zip(weights["torch"], weights["allgrad"], strict=True):
        np.testing.assert_allclose(ours.detach().numpy(), theirs.detach().numpy(), rtol=2e-5, atol=2e-6)
    assert repr(optimizers["allgrad"]) == repr(optimizers["torch"])
    states = {key: optimizer.state_dict() for key, optimizer in optimizers.items()}
    assert states["allgrad"]["param_groups"] == states["torch"]["param_groups"]
    assert states["allgrad"]["state"].keys() == states["torch"]["state"].keys()
    for number, expected in states["torch"]["state"].items():
        found = states["allgrad"]["state"][number]
        assert found.keys() == expected.keys()
        for key, value in expected.items():
            if value is not None:
                np.testing.assert_allclose(found[key].numpy(), value.numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("name", "options"), [case for case in CASES if case[0] != "Adafactor"])
def test_large_parameters_are_changed_piece_by_piece_as_small_ones(name: str, options: dict[str, Any]) -> None:
    rng = np.random.default_rng(0)
    values, gradient = rng.normal(size=(2, 70_001)).astype(np.float32)
    whole = nn.Parameter(allgrad.tensor(values))
    halves = [nn.Parameter(allgrad.tensor(values[:30_000])), nn.Parameter(allgrad.tensor(values[30_000:]))]
    strided = nn.Parameter(allgrad.from_numpy(np.repeat(values, 2)[::2]))
    whole.grad = strided.grad = allgrad.tensor(gradient)
    halves[0].grad, halves[1].grad = allgrad.tensor(gradient[:30_000]), allgrad.tensor(gradient[30_000:])
    optimizer = getattr(optim, name)([whole, *halves, strided], **options)
    optimizer.step()
    optimizer.step()
    assert allgrad.equal(whole, allgrad.cat(halves))
    assert allgrad.equal(whole, strided)


@every_case
def test_a_saved_optimizer_goes_on_as_if_it_had_not_stopped(name: str, options: dict[str, Any]) -> None:
    whole = parameters(allgrad)
    train(allgrad, whole, getattr(optim, name)(whole, **options), range(6))
    first = parameters(allgrad)
    before = getattr(optim, name)(first, **options)
    train(allgrad, first, before, range(3))
    file = io.BytesIO()
    allgrad.save({"weights": first, "optimizer": before.state_dict()}, file)
    file.seek(0)
    loaded = allgrad.load(file)
    after = getattr(optim, name)(loaded["weights"], lr=123.0)
    after.load_state_dict(loaded["optimizer"])
    train(allgrad, loaded["weights"], after, range(3, 6))
    for expected, found in zip(whole, loaded["weights"], strict=True):
        assert allgrad.equal(expected, found)


@every_case
def test_neither_gradients_nor_types_change(name: str, options: dict[str, Any]) -> None:
    weights = parameters(allgrad, np.float64)
    optimizer = getattr(optim, name)(weights, **options)
    for weight in weights:
        weight.grad = allgrad.ones_like(weight)
    optimizer.step()
    optimizer.step()
    for weight in weights:
        assert weight.dtype is allgrad.float64
        assert weight.is_leaf
        assert (weight.grad == 1).all()
        kept = optimizer.state[weight].items()
        assert all(v.dtype is allgrad.float64 for k, v in kept if k not in ("step", "eta", "mu", "mu_product"))


@every_case
def test_the_parts_of_a_complex_parameter_are_numbers_of_their_own(name: str, options: dict[str, Any]) -> None:
    values, gradient = np.random.default_rng(0).normal(size=(2, 5, 2))
    real, whole = nn.Parameter(allgrad.tensor(values)), nn.Parameter(allgrad.tensor(values @ [1, 1j]))
    real.grad, whole.grad = allgrad.tensor(gradient), allgrad.tensor(gradient @ [1, 1j])
    optimizer = getattr(optim, name)([real, whole], **options)
    if name == "Adafactor":
        with pytest.raises(RuntimeError, match="does not support complex parameters"):
            optimizer.step()
        return
    optimizer.step()
    optimizer.step()
    np.testing.assert_array_equal(allgrad.view_as_real(whole.detach()).numpy(), real.detach().numpy())


def test_muon_brings_the_singular_values_of_its_steps_near_one() -> None:
    weight = nn.Parameter(allgrad.zeros(3, 5))
    weight.grad = allgrad.tensor(np.diag([1.0, 10.0, 100.0]) @ np.eye(3, 5)).float()
    optim.Muon([weight], lr=1.0, weight_decay=0).step()
    sizes = np.linalg.svd(weight.detach().numpy(), compute_uv=False)
    assert ((sizes > 0.1) & (sizes < 1.3)).all()
    with pytest.raises(ValueError, match="only supports 2D parameters"):
        optim.Muon([nn.Parameter(allgrad.zeros(3))])


def quadratic(optimizer: Any, weight: Any) -> float:
    for _ in range(300):
        optimizer.zero_grad()
        loss = ((weight - allgrad.tensor([3.0, -1.0])) ** 2).sum()
        loss.backward()
        optimizer.step()
    return float(loss.item())


@pytest.mark.parametrize(
    ("name", "options"),
    [("SGD", {"lr": 0.1}), ("SGD", {"lr": 0.05, "momentum": 0.8}), ("Adam", {"lr": 0.1}), ("AdamW", {"lr": 0.1, "weight_decay": 0}),
     ("RMSprop", {"lr": 0.02}), ("Adagrad", {"lr": 1.0}), ("Rprop", {}), ("Adadelta", {"lr": 50.0}), ("NAdam", {"lr": 0.1}),
     ("Adamax", {"lr": 0.2}), ("RAdam", {"lr": 0.2}), ("ASGD", {"lr": 0.1})],
)  # fmt: skip
def test_the_bottom_of_a_bowl_is_found(name: str, options: dict[str, Any]) -> None:
    weight = nn.Parameter(allgrad.zeros(2))
    assert quadratic(getattr(optim, name)([weight], **options), weight) < 1e-3


def test_a_step_of_gradient_descent_by_hand() -> None:
    weight = nn.Parameter(allgrad.tensor([1.0, 2.0]))
    weight.grad = allgrad.tensor([0.5, -1.0])
    optim.SGD([weight], lr=0.1).step()
    np.testing.assert_allclose(weight.detach().numpy(), [0.95, 2.1], rtol=1e-6)


def test_the_first_step_of_adam_is_as_long_as_the_rate() -> None:
    weight = nn.Parameter(allgrad.tensor([1.0, 2.0]))
    weight.grad = allgrad.tensor([0.5, -100.0])
    optim.Adam([weight], lr=0.1).step()
    np.testing.assert_allclose(weight.detach().numpy(), [0.9, 2.1], rtol=1e-6)


def test_groups_have_options_of_their_own() -> None:
    a, b = nn.Parameter(allgrad.ones(1)), nn.Parameter(allgrad.ones(1))
    groups: list[dict[str, Any]] = [{"params": [a]}, {"params": b, "lr": 0.5}]
    optimizer = optim.SGD(groups, lr=0.1)
    a.grad = b.grad = allgrad.ones(1)
    optimizer.step()
    assert (a.item(), b.item()) == (pytest.approx(0.9), pytest.approx(0.5))
    c = nn.Parameter(allgrad.ones(1))
    optimizer.add_param_group({"params": [c]})
    assert optimizer.param_groups[2]["lr"] == 0.1


def test_named_parameters_keep_their_names() -> None:
    net = nn.Linear(2, 1)
    optimizer = optim.SGD(net.named_parameters(), lr=0.1)
    assert optimizer.param_groups[0]["param_names"] == ["weight", "bias"]
    assert optimizer.state_dict()["param_groups"][0]["params"] == [0, 1]


def test_a_closure_computes_the_loss_anew() -> None:
    weight = nn.Parameter(allgrad.tensor([2.0]))
    optimizer = optim.SGD([weight], lr=0.1)

    def closure() -> Any:
        optimizer.zero_grad()
        loss = (weight**2).sum()
        loss.backward()
        return loss

    with allgrad.no_grad():
        loss = optimizer.step(closure)
    assert loss.item() == 4
    assert weight.item() == pytest.approx(1.6)


def test_gradients_are_set_to_none_or_to_zero() -> None:
    weight = nn.Parameter(allgrad.ones(2))
    optimizer = optim.SGD([weight], lr=0.1)
    weight.grad = allgrad.ones(2)
    optimizer.zero_grad(set_to_none=False)
    assert weight.grad.tolist() == [0, 0]
    optimizer.zero_grad()
    assert weight.grad is None


def test_a_step_is_noticed_by_a_graph_that_still_needs_the_old_values() -> None:
    weight = nn.Parameter(allgrad.ones(2))
    loss = (weight * weight).sum()
    weight.grad = allgrad.ones(2)
    optim.SGD([weight], lr=0.1).step()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_hooks_surround_steps_and_states() -> None:
    weight = nn.Parameter(allgrad.ones(1))
    weight.grad = allgrad.ones(1)
    optimizer = optim.SGD([weight], lr=0.1)
    log: list[str] = []
    handle = optimizer.register_step_pre_hook(lambda o, args, kwargs: log.append("before"))
    optimizer.register_step_post_hook(lambda o, args, kwargs: log.append("after"))
    optimizer.register_state_dict_pre_hook(lambda o: log.append("collect"))
    optimizer.register_state_dict_post_hook(lambda o, state: state | {"extra": 1})
    optimizer.register_load_state_dict_pre_hook(lambda o, state: log.append(str(state["extra"])))
    optimizer.register_load_state_dict_post_hook(lambda o: log.append("loaded"))
    optimizer.step()
    handle.remove()
    optimizer.step()
    optimizer.load_state_dict(optimizer.state_dict())
    assert log == ["before", "after", "after", "collect", "1", "loaded"]


def test_an_optimizer_of_ones_own_defines_step_or_update() -> None:
    class Sign(optim.Optimizer):
        def __init__(self, params: Any, lr: float) -> None:
            super().__init__(params, {"lr": lr})

        def update(self, values: Any, gradient: Any, state: dict[str, Any], options: Any) -> None:
            values -= options["lr"] * np.sign(gradient)

    class Stepping(optim.Optimizer):
        def step(self, closure: Any = None) -> None:
            with allgrad.no_grad():
                for group in self.param_groups:
                    for p in group["params"]:
                        p.add_(p.grad, alpha=-group["lr"])

    for made in (lambda p: Sign([p], 0.5), lambda p: Stepping([p], {"lr": 0.5})):
        weight = nn.Parameter(allgrad.ones(1))
        weight.grad = allgrad.ones(1)
        optimizer = made(weight)
        calls: list[int] = []
        optimizer.register_step_post_hook(lambda o, args, kwargs, calls=calls: calls.append(1))
        optimizer.step()
        assert weight.item() == 0.5
        assert calls == [1]
    with pytest.raises(NotImplementedError, match="Optimizer defines neither update nor step"):
        optim.Optimizer([weight], {}).step()


def test_a_copy_has_the_state_of_the_original() -> None:
    weights = parameters(allgrad)
    optimizer = optim.Adam(weights)
    train(allgrad, weights, optimizer, range(2))
    for twin in (copy.deepcopy(optimizer), pickle.loads(pickle.dumps(optimizer))):
        assert repr(twin) == repr(optimizer)
        weight = twin.param_groups[0]["params"][0]
        assert twin.state[weight]["step"].item() == 2


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda p: optim.SGD(p), TypeError, "should be an iterable of Tensors or dicts, but got Parameter"),
        (lambda p: optim.SGD([]), ValueError, "optimizer got an empty parameter list"),
        (lambda p: optim.SGD(cast(Any, [3])), TypeError, "can only optimize Tensors, but one of the params is int"),
        (lambda p: optim.SGD([p * 2]), ValueError, "can't optimize a non-leaf Tensor"),
        (lambda p: optim.SGD([{"params": {p}}]), TypeError, "Please use a list instead"),
        (lambda p: optim.SGD([{"params": p}, {"params": p}]), ValueError, "appear in more than one parameter group"),
        (lambda p: optim.SGD([p]).add_param_group(cast(Any, [p])), TypeError, "param_group must be a dict"),
        (lambda p: optim.SGD([p], lr=-1), ValueError, "Invalid learning rate: -1"),
        (lambda p: optim.SGD([p], momentum=-1), ValueError, "Invalid momentum value: -1"),
        (lambda p: optim.SGD([p], nesterov=True), ValueError, "Nesterov momentum requires a momentum and zero damp"),
        (lambda p: optim.Adam([p], betas=(0.9, 1.0)), ValueError, "Invalid beta parameter at index 1: 1.0"),
        (lambda p: optim.Adam([p], eps=float("nan")), ValueError, "Invalid epsilon value: nan"),
        (lambda p: optim.RMSprop([p], alpha=-1), ValueError, "Invalid alpha value: -1"),
        (lambda p: optim.Adagrad([p], lr_decay=-1), ValueError, "Invalid lr_decay value: -1"),
    ],
)
def test_impossible_arguments_raise_pytorchs_errors(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make(nn.Parameter(allgrad.ones(2)))


def test_duplicate_parameters_warn() -> None:
    weight = nn.Parameter(allgrad.ones(1))
    with pytest.warns(UserWarning, match="contains a parameter group with duplicate parameters"):
        optim.SGD([weight, weight])


def test_a_state_of_another_shape_is_refused() -> None:
    one, two = (optim.SGD([nn.Parameter(allgrad.ones(1)) for _ in range(n)]) for n in (1, 2))
    with pytest.raises(ValueError, match="doesn't match the size of optimizer's group: expected 2, found 1"):
        two.load_state_dict(one.state_dict())
    one.add_param_group({"params": nn.Parameter(allgrad.ones(1))})
    with pytest.raises(ValueError, match="a different number of parameter groups: expected 1, found 2"):
        two.load_state_dict(one.state_dict())
