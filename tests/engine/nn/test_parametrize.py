"""Parametrized weights: what they compute, what is stored, how they are assigned to, copied, cached and removed."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest

import allgrad
from allgrad import nn
from allgrad.nn.utils import parametrizations, parametrize


class Symmetric(nn.Module):
    def forward(self, x: Any) -> Any:
        return x.triu() + x.triu(1).mT


class Doubled(nn.Module):
    def forward(self, x: Any) -> Any:
        return 2 * x

    def right_inverse(self, x: Any) -> Any:
        return x / 2


class Product(nn.Module):
    def forward(self, left: Any, right: Any) -> Any:
        return left @ right

    def right_inverse(self, x: Any) -> Any:
        return x, allgrad.eye(x.shape[1])


def test_a_weight_is_computed_from_its_original_and_trained_through_it() -> None:
    layer = nn.Linear(3, 3)
    original = layer.weight
    assert parametrize.register_parametrization(layer, "weight", Symmetric()) is layer
    assert allgrad.equal(layer.weight, layer.weight.T)
    assert sorted(layer.state_dict()) == ["bias", "parametrizations.weight.original"]
    assert layer.parametrizations.weight.original is original
    layer(allgrad.ones(3)).sum().backward()
    assert original.grad is not None
    assert original.grad[2, 0] == 0
    assert parametrize.is_parametrized(layer)
    assert parametrize.is_parametrized(layer, "weight")
    assert not parametrize.is_parametrized(layer, "bias")
    assert parametrize.type_before_parametrizations(layer) is nn.Linear
    assert type(layer).__name__ == "ParametrizedLinear"
    assert isinstance(layer, nn.Linear)


def test_parametrizations_are_applied_in_order_and_undone_in_reverse() -> None:
    layer = nn.Linear(2, 2, bias=False)
    before = layer.weight.detach().clone()
    parametrize.register_parametrization(layer, "weight", Doubled())
    assert allgrad.equal(layer.weight, before)
    parametrize.register_parametrization(layer, "weight", Doubled())
    assert allgrad.equal(layer.weight, 2 * before)
    layer.weight = allgrad.ones(2, 2)
    assert allgrad.equal(layer.weight, allgrad.ones(2, 2))
    assert allgrad.equal(layer.parametrizations.weight.original, allgrad.full((2, 2), 0.25))


def test_a_weight_made_of_several_tensors() -> None:
    layer = nn.Linear(2, 2, bias=False)
    before = layer.weight.detach().clone()
    parametrize.register_parametrization(layer, "weight", Product())
    assert sorted(layer.state_dict()) == [f"parametrizations.weight.original{i}" for i in (0, 1)]
    assert all(isinstance(p, nn.Parameter) for p in layer.parameters())
    assert allgrad.equal(layer.weight, before)
    with pytest.raises(ValueError, match="in terms of a sequence of tensors"):
        parametrize.remove_parametrizations(layer, "weight", leave_parametrized=False)
    parametrize.remove_parametrizations(layer, "weight")
    assert [name for name, _ in layer.named_parameters()] == ["weight"]


@pytest.mark.parametrize("leave", [True, False])
def test_removing_leaves_the_weight_or_the_original(leave: bool) -> None:
    layer = nn.Linear(2, 2)
    original = layer.weight
    parametrize.register_parametrization(layer, "weight", Symmetric())
    first, computed = original.detach().clone(), layer.weight.detach().clone()
    parametrize.remove_parametrizations(layer, "weight", leave_parametrized=leave)
    assert type(layer) is nn.Linear
    assert layer.weight is original
    assert allgrad.equal(layer.weight, computed if leave else first)
    assert sorted(layer.state_dict()) == ["bias", "weight"]


def test_buffers_can_be_parametrized() -> None:
    norm = nn.BatchNorm1d(2)
    parametrize.register_parametrization(norm, "running_mean", Doubled())
    assert [name for name, _ in norm.named_buffers() if "original" in name] == [
        "parametrizations.running_mean.original"
    ]


def test_a_copy_has_weights_of_its_own_and_pickling_is_refused() -> None:
    layer = parametrize.register_parametrization(nn.Linear(2, 2), "weight", Symmetric())
    other = copy.deepcopy(layer)
    with allgrad.no_grad():
        layer.parametrizations.weight.original.zero_()
    assert other.weight.abs().sum() > 0
    with pytest.raises(RuntimeError, match="only supported through state_dict"):
        pickle.dumps(layer)


def test_what_is_cached_is_computed_once() -> None:
    layer = parametrize.register_parametrization(nn.Linear(2, 2), "weight", Symmetric())
    with parametrize.cached():
        first = layer.weight
        with parametrize.cached():
            assert layer.weight is first
        assert layer.weight is first
    assert layer.weight is not first


def test_parametrizations_can_be_handed_to_another_module() -> None:
    layer = parametrize.register_parametrization(nn.Linear(2, 2), "weight", Symmetric())
    other = parametrize.transfer_parametrizations_and_params(layer, nn.Linear(2, 2))
    assert other.parametrizations.weight.original is layer.parametrizations.weight.original
    assert allgrad.equal(other.weight, layer.weight)


def test_a_change_of_shape_or_dtype_is_refused() -> None:
    class Wrong(nn.Module):
        def forward(self, x: Any) -> Any:
            return x[0]

    class Wider(nn.Module):
        def forward(self, x: Any) -> Any:
            return x.double()

    with pytest.raises(ValueError, match="may not change the shape"):
        parametrize.register_parametrization(nn.Linear(2, 2), "weight", Wrong())
    with pytest.raises(ValueError, match="may not change the dtype"):
        parametrize.register_parametrization(nn.Linear(2, 2), "weight", Wider())
    with pytest.raises(ValueError, match="does not have a parameter, a buffer, or a parametrized element"):
        parametrize.register_parametrization(nn.Linear(2, 2), "weights", Symmetric())
    with pytest.raises(ValueError, match="does not have a parametrization on weight"):
        parametrize.remove_parametrizations(nn.Linear(2, 2), "weight")
    layer = parametrize.register_parametrization(nn.Linear(2, 2), "weight", Symmetric())
    with pytest.raises(RuntimeError, match="parametrization Symmetric does not implement right_inverse"):
        layer.weight = allgrad.ones(2, 2)


def test_weight_norm_parts_a_weight_in_norms_and_directions() -> None:
    layer = nn.Conv1d(2, 3, 2)
    before = layer.weight.detach().clone()
    parametrizations.weight_norm(layer)
    assert layer.parametrizations.weight.original0.shape == (3, 1, 1)
    np.testing.assert_allclose(layer.weight.detach().numpy(), before.numpy(), rtol=1e-6)
    with allgrad.no_grad():
        layer.parametrizations.weight.original0.fill_(2.0)
    np.testing.assert_allclose(layer.weight.detach().flatten(1).norm(dim=1).numpy(), [2, 2, 2], rtol=1e-6)
    one = parametrizations.weight_norm(nn.Linear(2, 3), dim=None)
    assert one.parametrizations.weight.original0.shape == ()


def test_a_state_of_the_older_weight_norm_loads_into_the_newer() -> None:
    with pytest.warns(FutureWarning, match="deprecated in favor of"):
        older = nn.utils.weight_norm(nn.Linear(2, 3))
    newer = parametrizations.weight_norm(nn.Linear(2, 3))
    newer.load_state_dict(older.state_dict())
    assert allgrad.equal(newer.weight, older.weight)


@pytest.mark.parametrize("newer", [True, False])
def test_spectral_norm_divides_by_the_greatest_singular_value(newer: bool) -> None:
    make = parametrizations.spectral_norm if newer else nn.utils.spectral_norm
    layer = make(nn.ConvTranspose2d(2, 3, 2), n_power_iterations=50)
    x = allgrad.ones(1, 2, 3, 3)
    layer(x).sum().backward()
    matrix = layer.weight.detach().movedim(1, 0).flatten(1)
    assert allgrad.linalg.matrix_norm(matrix, 2).item() == pytest.approx(1.0, rel=1e-4)
    layer.eval()
    assert allgrad.equal(layer(x), layer(x))


def test_a_vector_under_spectral_norm_is_of_length_1() -> None:
    norm = nn.LayerNorm(3)
    norm.weight.data.mul_(5.0)
    parametrizations.spectral_norm(norm)
    assert norm.weight.detach().norm().item() == pytest.approx(1.0)


@pytest.mark.parametrize("by", ["matrix_exp", "cayley", "householder"])
@pytest.mark.parametrize("shape", [(3, 3), (3, 5), (5, 3)])
@pytest.mark.parametrize("trivialised", [True, False])
def test_orthogonal_weights_stay_orthogonal_in_training(by: str, shape: tuple[int, int], trivialised: bool) -> None:
    layer = nn.Linear(*shape, dtype=allgrad.float64)
    parametrizations.orthogonal(layer, orthogonal_map=by, use_trivialization=trivialised)
    optimizer = allgrad.optim.SGD(layer.parameters(), lr=0.1)
    before = layer.weight.detach().clone()
    for _ in range(3):
        optimizer.zero_grad()
        layer(allgrad.arange(shape[0], dtype=allgrad.float64)).square().sum().backward()
        optimizer.step()
    weight = layer.weight.detach()
    product = weight.T @ weight if shape[1] >= shape[0] else weight @ weight.T
    np.testing.assert_allclose(product.numpy(), np.eye(min(shape)), atol=1e-10)
    assert not allgrad.allclose(weight, before, atol=1e-4)


@pytest.mark.parametrize("shape", [(3, 3), (3, 5), (5, 3)])
def test_an_orthogonal_matrix_can_be_assigned(shape: tuple[int, int]) -> None:
    layer = parametrizations.orthogonal(nn.Linear(*shape))
    wanted = nn.init.orthogonal_(allgrad.empty(shape[1], shape[0]))
    layer.weight = wanted
    np.testing.assert_allclose(layer.weight.detach().numpy(), wanted.numpy(), atol=1e-5)
    plain = parametrizations.orthogonal(nn.Linear(*shape), orthogonal_map="householder", use_trivialization=False)
    plain.weight = wanted
    np.testing.assert_allclose(plain.weight.detach().numpy(), wanted.numpy(), atol=1e-5)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: parametrizations.orthogonal(nn.Linear(2, 2), "bias"), ValueError, "Expected a matrix or batch of"),
        (lambda: parametrizations.orthogonal(nn.Linear(2, 2), "x"), ValueError, "has no parameter or buffer"),
        (lambda: parametrizations.orthogonal(nn.Linear(2, 2), orthogonal_map="qr"), ValueError, "has to be one of"),
        (lambda: parametrizations.spectral_norm(nn.Linear(2, 2), dim=2), IndexError, "Dimension out of range"),
        (
            lambda: parametrizations.spectral_norm(nn.Linear(2, 2), n_power_iterations=0),
            ValueError,
            "Expected n_power_iterations to be positive",
        ),
        (lambda: nn.utils.remove_spectral_norm(nn.Linear(2, 2)), ValueError, "spectral_norm of 'weight' not found"),
        (lambda: nn.utils.remove_weight_norm(nn.Linear(2, 2)), ValueError, "weight_norm of 'weight' not found"),
        (
            lambda: nn.utils.spectral_norm(nn.utils.spectral_norm(nn.Linear(2, 2))),
            RuntimeError,
            "Cannot register two spectral_norm hooks",
        ),
    ],
)
def test_impossible_arguments_raise_pytorchs_errors(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()


@pytest.mark.filterwarnings("ignore:.*weight_norm. is deprecated:FutureWarning")
@pytest.mark.parametrize("kind", ["weight_norm", "spectral_norm"])
def test_a_hook_can_be_taken_away_again(kind: str) -> None:
    layer = getattr(nn.utils, kind)(nn.Linear(2, 3)).eval()
    computed = layer(allgrad.ones(2)).detach()
    getattr(nn.utils, f"remove_{kind}")(layer)
    assert sorted(layer.state_dict()) == ["bias", "weight"]
    assert isinstance(layer.weight, nn.Parameter)
    assert allgrad.allclose(layer(allgrad.ones(2)), computed, atol=1e-6)


@pytest.mark.filterwarnings("ignore:.*weight_norm. is deprecated:FutureWarning")
@pytest.mark.parametrize("place", ["utils", "utils.parametrizations"])
@pytest.mark.parametrize("kind", ["weight_norm", "spectral_norm"])
def test_training_equals_pytorchs(place: str, kind: str) -> None:
    torch: Any = pytest.importorskip("torch")
    layers = []
    for library in (torch, allgrad):
        utils = library.nn.utils if place == "utils" else library.nn.utils.parametrizations
        layers.append(getattr(utils, kind)(library.nn.Linear(3, 4)))
    state = {name: allgrad.tensor(value.numpy().copy()) for name, value in layers[0].state_dict().items()}
    layers[1].load_state_dict(state)
    for layer, library in zip(layers, (torch, allgrad), strict=True):
        optimizer = library.optim.SGD(layer.parameters(), lr=0.1)
        for _ in range(4):
            optimizer.zero_grad()
            layer(library.arange(3.0)).square().sum().backward()
            optimizer.step()
    for name, value in layers[0].state_dict().items():
        np.testing.assert_allclose(layers[1].state_dict()[name].numpy(), value.numpy(), rtol=1e-4, atol=1e-6)
