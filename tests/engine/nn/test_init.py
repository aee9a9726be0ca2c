"""Initialisers fill with the distributions they are named after."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import allgrad as torch
from allgrad.nn import init

FAN_IN, FAN_OUT = 300 * 4, 200 * 4


def filled(initialise: Any, *args: Any, **kwargs: Any) -> Any:
    torch.manual_seed(0)
    weight = torch.empty(200, 300, 2, 2, requires_grad=True)
    assert initialise(weight, *args, **kwargs) is weight
    assert weight.is_leaf
    return weight.detach().numpy()


@pytest.mark.parametrize(
    ("initialise", "kwargs", "bound"),
    [
        (init.uniform_, {"a": -3, "b": 3}, 3.0),
        (init.xavier_uniform_, {}, math.sqrt(6 / (FAN_IN + FAN_OUT))),
        (init.xavier_uniform_, {"gain": 2.0}, 2 * math.sqrt(6 / (FAN_IN + FAN_OUT))),
        (init.kaiming_uniform_, {"a": math.sqrt(5)}, 1 / math.sqrt(FAN_IN)),
        (init.kaiming_uniform_, {"mode": "fan_out", "nonlinearity": "relu"}, math.sqrt(6 / FAN_OUT)),
    ],
)
def test_uniform_values_fill_their_range_evenly(initialise: Any, kwargs: dict[str, Any], bound: float) -> None:
    values = filled(initialise, **kwargs) / bound
    assert -1 <= values.min() < -0.999
    assert 0.999 < values.max() <= 1
    assert abs(values.mean()) < 0.01
    assert abs(values.std() - 1 / math.sqrt(3)) < 0.01


@pytest.mark.parametrize(
    ("initialise", "kwargs", "deviation"),
    [
        (init.normal_, {"std": 2.0}, 2.0),
        (init.xavier_normal_, {}, math.sqrt(2 / (FAN_IN + FAN_OUT))),
        (init.kaiming_normal_, {"nonlinearity": "relu"}, math.sqrt(2 / FAN_IN)),
    ],
)
def test_normal_values_have_their_deviation(initialise: Any, kwargs: dict[str, Any], deviation: float) -> None:
    values = filled(initialise, **kwargs) / deviation
    assert abs(values.mean()) < 0.01
    assert abs(values.std() - 1) < 0.01
    assert abs(np.mean(np.abs(values) < 1) - 0.6827) < 0.01


def test_truncated_normal_values_stay_inside() -> None:
    values = filled(init.trunc_normal_, std=1.0, a=-1.0, b=0.5)
    assert values.min() >= -1
    assert values.max() <= 0.5
    assert abs(values.mean() + 0.2) < 0.02


def test_constants_and_the_identity() -> None:
    assert (filled(init.constant_, 0.3) == np.float32(0.3)).all()
    assert (filled(init.ones_) == 1).all()
    assert not filled(init.zeros_).any()
    assert init.eye_(torch.empty(2, 3)).tolist() == [[1, 0, 0], [0, 1, 0]]


@pytest.mark.parametrize("shape", [(4, 7), (7, 4), (3, 2, 2)])
def test_orthogonal_rows_or_columns(shape: tuple[int, ...]) -> None:
    values = init.orthogonal_(torch.empty(*shape, dtype=torch.float64), gain=2).numpy().reshape(shape[0], -1)
    product = values @ values.T if values.shape[0] <= values.shape[1] else values.T @ values
    np.testing.assert_allclose(product, 4 * np.eye(len(product)), atol=1e-12)


@pytest.mark.parametrize(
    ("name", "param", "gain"),
    [("relu", None, math.sqrt(2)), ("tanh", None, 5 / 3), ("leaky_relu", 0.5, math.sqrt(1.6)), ("linear", None, 1)],
)
def test_gains(name: str, param: Any, gain: float) -> None:
    assert init.calculate_gain(name, param) == pytest.approx(gain)


def test_impossible_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="Fan in and fan out can not be computed for tensor with fewer than 2 dim"):
        init.kaiming_uniform_(torch.empty(3))
    with pytest.raises(ValueError, match="Mode fan not supported"):
        init.kaiming_normal_(torch.empty(3, 3), mode="fan")
    with pytest.raises(ValueError, match="Unsupported nonlinearity swish: choose one of linear"):
        init.calculate_gain("swish")
    with pytest.raises(ValueError, match="negative_slope True not a valid number"):
        init.calculate_gain("leaky_relu", True)
    with pytest.warns(UserWarning, match="Initializing zero-element tensors is a no-op"):
        init.kaiming_uniform_(torch.empty(0, 3))


@pytest.mark.parametrize(
    ("mean", "a", "b"), [(0.0, 3.0, math.inf), (0.0, 50.0, 60.0), (5.0, -2.0, 0.0), (0.0, 0.1, 0.2), (0.0, -9.0, 9.0)]
)
@pytest.mark.filterwarnings("ignore:mean is more than 2 std")
def test_truncated_normal_values_are_right_far_from_the_mean_too(mean: float, a: float, b: float) -> None:
    torch.manual_seed(0)
    values = init.trunc_normal_(torch.empty(20_000, dtype=torch.float64), mean, 1.0, a, b).numpy()
    assert a <= values.min()
    assert values.max() <= b
    grid = np.linspace(a, min(b, max(a, mean) + 12), 100_001)
    weights = np.exp(-((grid - mean) ** 2) / 2 + ((np.clip(mean, a, b) - mean) ** 2) / 2)
    expected = np.average(grid, weights=weights)
    assert abs(values.mean() - expected) < 0.02


def test_a_mean_far_outside_warns_as_in_pytorch() -> None:
    with pytest.warns(UserWarning, match=r"mean is more than 2 std from \[a, b\]"):
        init.trunc_normal_(torch.empty(3), mean=5.0)


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("shape", [(4, 2, 3), (2, 4, 3, 3), (4, 4, 1, 2, 3)])
def test_dirac_weights_hand_channels_on(shape: tuple[int, ...], groups: int) -> None:
    weight = init.dirac_(torch.empty(shape), groups)
    reference: Any = pytest.importorskip("torch")
    assert weight.tolist() == reference.nn.init.dirac_(reference.empty(shape), groups).tolist()


def test_a_dirac_convolution_is_the_identity() -> None:
    weight = init.dirac_(torch.empty(2, 2, 3))
    x = torch.randn(1, 2, 5)
    assert torch.equal(torch.nn.functional.conv1d(x, weight, padding=1), x)
    with pytest.raises(ValueError, match="Only tensors with 3, 4, or 5 dimensions"):
        init.dirac_(torch.empty(2, 2))
    with pytest.raises(ValueError, match="dim 0 must be divisible by groups"):
        init.dirac_(torch.empty(3, 2, 3), 2)


def test_sparse_columns_have_so_many_zeros() -> None:
    torch.manual_seed(0)
    weight = init.sparse_(torch.empty(10, 50), sparsity=0.25, std=2.0)
    assert (weight == 0).sum(0).tolist() == [3] * 50
    assert abs(weight[weight != 0].std().item() - 2) < 0.2
    with pytest.raises(ValueError, match="Only tensors with 2 dimensions"):
        init.sparse_(torch.empty(2), 0.1)


@pytest.mark.parametrize("name", ["xavier_uniform", "kaiming_normal", "normal", "constant", "orthogonal"])
def test_the_older_names_warn_and_fill(name: str) -> None:
    weight = torch.full((3, 4), math.nan)
    with pytest.warns(FutureWarning, match=rf"`nn\.init\.{name}` is now deprecated in favor of `nn\.init\.{name}_`"):
        assert getattr(init, name)(weight, *([2.0] if name == "constant" else [])) is weight
    assert not weight.isnan().any()
