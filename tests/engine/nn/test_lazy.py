"""Lazy modules: shapes from the first input or a loaded state, then ordinary modules."""

from __future__ import annotations

import copy
from typing import Any

import pytest

import allgrad as torch
from allgrad import Tensor, nn, optim

CASES: list[tuple[str, tuple[Any, ...], dict[str, Any], tuple[int, ...]]] = [
    ("Linear", (4,), {}, (2, 3)),
    ("Linear", (4,), {"bias": False, "dtype": torch.float64}, (2, 3)),
    *((f"Conv{n}d", (4, 2), {"groups": 2}, (2, 6) + (5,) * n) for n in (1, 2, 3)),
    *((f"ConvTranspose{n}d", (4, 2), {"bias": False}, (6,) + (5,) * n) for n in (1, 2, 3)),
    *((f"BatchNorm{n}d", (), {}, (2, 3) + (4,) * n) for n in (1, 2, 3)),
    *((f"InstanceNorm{n}d", (), {"affine": True}, (2, 3) + (4,) * n) for n in (1, 2, 3)),
    ("InstanceNorm1d", (), {"track_running_stats": True}, (3, 4)),
]
every_case = pytest.mark.parametrize(("name", "args", "options", "shape"), CASES)


def example(options: dict[str, Any], shape: tuple[int, ...]) -> Tensor:
    return torch.ones(shape, dtype=options.get("dtype", torch.float32))


@every_case
def test_the_first_input_makes_it_the_ordinary_module(
    name: str, args: tuple[Any, ...], options: dict[str, Any], shape: tuple[int, ...]
) -> None:
    lazy = getattr(nn, f"Lazy{name}")(*args, **options)
    assert lazy.has_uninitialized_params() or not list(lazy.parameters())
    x = example(options, shape)
    result = lazy(x)
    assert type(lazy) is getattr(nn, name)
    dims = int(name[-2]) if name.endswith("d") else 0
    size = shape[1] if len(shape) == dims + 2 else shape[0]
    ordinary = getattr(nn, name)(shape[-1] if name == "Linear" else size, *args, **options)
    assert repr(lazy) == repr(ordinary)
    ordinary.load_state_dict(lazy.state_dict())
    assert result.shape == ordinary.eval()(x).shape
    assert torch.equal(lazy.eval()(x), ordinary(x))


@every_case
def test_a_loaded_state_tells_the_shapes_too(
    name: str, args: tuple[Any, ...], options: dict[str, Any], shape: tuple[int, ...]
) -> None:
    x = example(options, shape)
    trained = getattr(nn, f"Lazy{name}")(*args, **options)
    trained(x)
    lazy = getattr(nn, f"Lazy{name}")(*args, **options)
    lazy.load_state_dict(trained.state_dict())
    assert torch.equal(lazy.eval()(x), trained.eval()(x))
    assert repr(lazy) == repr(trained)


def test_an_optimizer_made_before_trains_the_parameters_made_after() -> None:
    model = nn.Sequential(nn.LazyLinear(3), nn.ReLU(), nn.LazyLinear(1))
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    x = torch.ones(2, 5)
    model(x).sum().backward()
    before = model[0].weight.detach().clone()
    optimizer.step()
    assert model[2].weight.shape == (1, 3)
    assert torch.equal(model[0].weight, before - 0.1 * model[0].weight.grad)


def test_a_copy_waits_on_its_own() -> None:
    lazy = nn.LazyLinear(2)
    other = copy.deepcopy(lazy)
    other(torch.zeros(1, 3))
    assert isinstance(lazy.weight, nn.UninitializedParameter)
    assert lazy.double()(torch.zeros(1, 4, dtype=torch.float64)).shape == (1, 2)


def test_a_shape_asked_for_too_early_raises() -> None:
    with pytest.raises(RuntimeError, match="Can't access the shape of an uninitialized parameter"):
        nn.LazyLinear(2).weight.shape  # noqa: B018 -- asking is the test


def test_channels_that_groups_do_not_divide_are_refused() -> None:
    with pytest.raises(ValueError, match="divisible by groups"):
        nn.LazyConv1d(4, 2, groups=2)(torch.zeros(1, 3, 5))
    with pytest.raises(RuntimeError, match="input to LazyConv1d"):
        nn.LazyConv1d(4, 2)(torch.zeros(3))
