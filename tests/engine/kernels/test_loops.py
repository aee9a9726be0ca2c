"""Every loop that Numba compiles computes what its twin in NumPy does."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import allgrad as torch
from allgrad.kernels import activation, convolution, normalization, pointwise, pooling, recurrent, sampling, winograd
from allgrad.kernels.loops import WORTHWHILE, load, loops
from allgrad.kernels.windows import Geometry
from allgrad.nn import functional

pytest.importorskip("numba")

Array = np.ndarray[Any, Any]


def normal(*shape: int, seed: int = 0, dtype: Any = np.float32) -> Array:
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def close(found: Array, expected: Array, ulps: float) -> None:
    assert found.dtype == expected.dtype
    np.testing.assert_allclose(
        found, expected, rtol=ulps * np.finfo(found.dtype).eps, atol=ulps * np.finfo(found.dtype).eps
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("size", "padding"), [((33, 40), (0, 1)), ((30, 31), (2, 0)), ((7, 9), (1, 1))])
def test_winograds_filtering_is_the_convolution(size: tuple[int, int], padding: tuple[int, int], dtype: Any) -> None:
    images, filters = normal(9, 8, *size, dtype=dtype), normal(10, 8, 3, 3, seed=1, dtype=dtype)
    counts = (size[0] + 2 * padding[0] - 2, size[1] + 2 * padding[1] - 2)
    geometry = Geometry((3, 3), (1, 1), padding, (1, 1), counts)
    grad = normal(9, 10, *counts, seed=2, dtype=dtype)
    by = load("winograd")
    found = (
        winograd.correlate(by, images, filters, np.zeros(10, dtype), geometry),
        winograd.correlate_images(by, grad, filters, geometry, images.shape),
        winograd.correlate_filters(by, grad, images, geometry),
    )
    expected = by_columns(images.astype(float), filters.astype(float), grad.astype(float), geometry)
    for f, e in zip(found, expected, strict=True):
        assert f.dtype == dtype
        np.testing.assert_allclose(f, e, rtol=0, atol=16 * np.finfo(dtype).eps * np.abs(e).max())


@pytest.mark.parametrize("odd", [np.inf, -np.inf, np.nan])
def test_an_odd_number_stays_within_the_windows_that_hold_it(odd: float) -> None:
    images = np.ones((2, 16, 24, 24), np.float32)
    images[1, 3, 10, 10] = odd
    geometry = Geometry((3, 3), (1, 1), (1, 1), (1, 1), (24, 24))
    result = convolution.correlate(images, np.ones((16, 16, 3, 3), np.float32), geometry, 1)
    touched = np.zeros((2, 16, 24, 24), bool)
    touched[1, :, 9:12, 9:12] = True
    np.testing.assert_array_equal(np.isfinite(result), ~touched)
    np.testing.assert_array_equal(result[touched], odd)


def by_columns(images: Array, filters: Array, grad: Array, geometry: Geometry) -> tuple[Array, Array, Array]:
    """The convolution and its gradients by the ways that use no loop: with filters too few for one."""
    few = winograd._FEWEST_CHANNELS
    winograd._FEWEST_CHANNELS = 1 << 30
    try:
        return (
            convolution.correlate(images, filters, geometry, 1),
            convolution.correlate_images(grad, filters, images.shape, geometry, 1),
            convolution.correlate_filters(grad, images, filters.shape, geometry, 1),
        )
    finally:
        winograd._FEWEST_CHANNELS = few


@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "dilation", "counts"),
    [((2, 2), (2, 2), (0, 0), (1, 1), (16, 15)), ((3, 2), (1, 2), (1, 1), (2, 1), (30, 16))],
)
def test_pooling_finds_the_same_places_also_of_nan(
    kernel: Any, stride: Any, padding: Any, dilation: Any, counts: Any
) -> None:
    images = np.round(normal(4, 5, 32, 31), 1)  # equal elements: the first counts
    images[0, 0, 3, 3] = np.nan
    geometry = Geometry(kernel, stride, padding, dilation, counts)
    (values, places), (expected, expected_places) = (
        f(images, geometry) for f in (pooling.max_windows, pooling.max_windows_by_passes)
    )
    np.testing.assert_array_equal(values, expected)
    np.testing.assert_array_equal(places, expected_places)
    grad = normal(40, 40, 4, 4)
    spread = np.random.default_rng(3).integers(0, 36, grad.shape)
    close(pooling.add_at(grad, spread, (40, 40, 6, 6)), pooling.add_at_by_counting(grad, spread, (40, 40, 6, 6)), 8)


NORMALIZED = [
    ((128, 130), (130,), (1,)),
    ((40, 6, 9, 10), (1, 6, 1, 1), (0, 2, 3)),
    ((30, 8, 9, 10), (9, 10), (2, 3)),
    ((30, 4, 3, 90), (1, 4, 3, 1), (2, 3)),
]


@pytest.mark.parametrize(("shape", "weights", "dims"), NORMALIZED)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_standardisation_and_its_gradients(shape: Any, weights: Any, dims: Any, dtype: Any) -> None:
    x, g = normal(*shape, dtype=dtype) + dtype(3), normal(*shape, seed=1, dtype=dtype)
    weight, bias = normal(*weights, seed=2, dtype=dtype), normal(*weights, seed=3, dtype=dtype)
    assert loops("normalization", x) is not None
    close(
        normalization.standardize(x, weight, bias, dims, 1e-5),
        normalization.standardize_by_passes(x, weight, bias, dims, 1e-5),
        64,
    )
    close(
        normalization.standardize_input(g, x, weight, dims, 1e-5),
        normalization.standardize_input_by_passes(g, x, weight, dims, 1e-5),
        64,
    )
    close(
        normalization.standardize_weight(g, x, weights, dims, 1e-5),
        normalization.standardize_weight_by_passes(g, x, weights, dims, 1e-5),
        1024,
    )
    if dims[0] == 0:
        for found, expected in zip(
            normalization.channel_moments(x), normalization.channel_moments_by_passes(x), strict=True
        ):
            close(found, expected, 16)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_weighted_sums_of_columns(dtype: Any) -> None:
    images, weight, g = (normal(*s, seed=i, dtype=dtype) for i, s in enumerate([(5, 9, 400), (4, 5, 400), (5, 9, 400)]))
    index = np.random.default_rng(3).integers(-1, 400, weight.shape)
    assert loops("sampling", images) is not None
    close(sampling.mixed(images, weight, index), sampling.mixed_by_passes(images, weight, index), 8)
    close(sampling.spread(g, weight, index, 400), sampling.spread_by_passes(g, weight, index, 400), 32)
    close(sampling.matched(g, images, index), sampling.matched_by_passes(g, images, index), 32)


def test_gelu_and_its_gradient() -> None:
    x, g = normal(WORTHWHILE) * 3, normal(WORTHWHILE, seed=1)
    close(activation.gelu(x), activation.gelu_by_passes(x), 8)
    close(activation.gelu_backward(g, x), activation.gelu_backward_by_passes(g, x), 16)


POINTWISE: dict[str, tuple[Callable[..., Any], float]] = {
    "elu": (lambda x: functional.elu(x, 0.7), 4),
    "celu": (lambda x: functional.celu(x, 1.3), 4),
    "erf": (torch.erf, 16),
    "exp": (torch.exp, 4),
    "hardswish": (functional.hardswish, 2),
    "leaky_relu": (lambda x: functional.leaky_relu(x, 0.2), 1),
    "logsigmoid": (functional.logsigmoid, 8),
    "relu": (functional.relu, 0),
    "relu6": (functional.relu6, 0),
    "sigmoid": (torch.sigmoid, 4),
    "silu": (functional.silu, 8),
    "softplus": (lambda x: functional.softplus(x, 2.0, 5.0), 8),
}


@pytest.mark.parametrize("name", POINTWISE)
def test_a_function_of_each_element_is_that_of_small_arrays(name: str) -> None:
    function, ulps = POINTWISE[name]
    count = WORTHWHILE + 7
    numbers = normal(count) * 6
    numbers[:8] = 0, -0.0, np.inf, -np.inf, np.nan, -3, 3, 6
    whole, pieces = (torch.tensor(numbers, requires_grad=True) for _ in range(2))
    weight = torch.from_numpy(normal(count, seed=1))
    found = function(whole)
    expected = torch.cat([function(part) for part in pieces.split(count // 2)])
    close(found.detach().numpy(), expected.detach().numpy(), ulps)
    found.backward(weight)
    expected.backward(weight)
    close(whole.grad.numpy(), pieces.grad.numpy(), 2 * ulps + 1)


@pytest.mark.parametrize("function", [torch.exp, functional.elu, functional.softplus, torch.sigmoid])
def test_a_gradient_through_a_loop_has_a_gradient(function: Callable[..., Any]) -> None:
    x = torch.tensor(normal(WORTHWHILE), requires_grad=True)
    (once,) = torch.autograd.grad(function(x).sum(), x, create_graph=True)
    (twice,) = torch.autograd.grad(once.sum(), x)
    part = x.detach()[:100].requires_grad_()
    (expected,) = torch.autograd.grad(torch.autograd.grad(function(part).sum(), part, create_graph=True)[0].sum(), part)
    close(twice.numpy()[:100], expected.numpy(), 16)


def test_exp_is_right_to_the_last_digit_from_end_to_end() -> None:
    x = np.linspace(-103.9, 88.7, 100_003, dtype=np.float32)
    found, exactly = pointwise.exp(x), np.exp(x.astype(np.float64))
    assert (np.abs(found - exactly) <= 1.3 * np.spacing(exactly.astype(np.float32))).all()
    odd = np.tile(np.array([np.nan, np.inf, -np.inf, 88.8, -110.0], np.float32), WORTHWHILE)
    np.testing.assert_array_equal(pointwise.exp(odd), np.tile([np.nan, np.inf, 0.0, np.inf, 0.0], WORTHWHILE))


def test_exp_of_a_number_does_not_depend_on_where_it_stands() -> None:
    x = normal(WORTHWHILE)
    alone = pointwise.exp(x)
    mixed = np.where(np.arange(x.size) % 70 == 3, np.float32(100), x)  # what is near goes another way
    kept = mixed == x
    np.testing.assert_array_equal(pointwise.exp(mixed)[kept], alone[kept])
    np.testing.assert_array_equal(pointwise.exp(x[::-1].copy()), alone[::-1])


@pytest.mark.parametrize("columns", [64, 37, 5])
def test_softmax_and_its_gradient(columns: int) -> None:
    x, g = normal(4000, columns) * 5, normal(4000, columns, seed=1)
    x[3, 1] = -np.inf
    y = activation.softmax(x, 1, 0.7)
    close(y, activation.softmax_by_passes(x, 1, 0.7), 8)
    close(activation.softmax_backward(g, y, 1, 0.7), activation.softmax_backward_by_passes(g, y, 1, 0.7), 8)
    x[7, 2] = np.nan
    assert np.isnan(activation.softmax(x, 1)[7]).all()


def test_an_lstm_and_its_gradients() -> None:
    projected, weight = normal(9, 16, 4 * 30), normal(4 * 30, 30, seed=1) * np.float32(0.1)
    hidden, cell = normal(16, 30, seed=2), normal(16, 30, seed=3)
    grads = normal(9, 16, 30, seed=4), normal(9, 16, 30, seed=5)

    def both() -> list[Array]:
        states = recurrent.lstm(projected, hidden, cell, weight)
        return [*states, *recurrent.lstm_backward(grads, (hidden, cell), weight, states)]

    found = both()
    steps = recurrent._loops
    recurrent._loops = lambda *_: None
    try:
        expected = both()
    finally:
        recurrent._loops = steps
    for f, e in zip(found, expected, strict=True):
        close(f, e, 256)


@pytest.mark.parametrize(
    ("name", "reference", "low", "high", "ulps"),
    [("exp", np.exp, -104.0, 88.7, 2), ("tanh", np.tanh, -10.0, 10.0, 6), ("sigmoid", None, -80.0, 80.0, 4)],
)
def test_functions_of_one_number_are_as_precise_as_they_say(
    name: str, reference: Callable[[Array], Array] | None, low: float, high: float, ulps: float
) -> None:
    function = getattr(load("functions"), name)
    points = np.linspace(low, high, 4001, dtype=np.float32)
    found = np.array([function(x) for x in points], np.float32)
    exactly = points.astype(np.float64)
    expected = 1 / (1 + np.exp(-exactly)) if reference is None else reference(exactly)
    assert (np.abs(found - expected) <= ulps * np.spacing(np.abs(expected).astype(np.float32))).all()
    assert np.isnan(function(np.float32(np.nan)))


def test_without_numba_or_when_told_so_numpy_does_all() -> None:
    program = (
        "import sys, allgrad as torch;"
        "y = torch.nn.functional.gelu(torch.ones(100_000)); assert 'numba' not in sys.modules; print(y[0].item())"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"ALLGRAD_JIT": "0"},
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parent,
    )
    assert float(ran.stdout) == pytest.approx(0.8413447)


def test_small_and_strange_arrays_do_not_load_a_loop() -> None:
    assert loops("activation", np.ones(10, np.float32)) is None
    assert loops("activation", np.ones((200, 200), np.float32)[:, ::2]) is None
    assert loops("activation", np.ones(WORTHWHILE, np.float16)) is None
    assert loops("activation", np.ones(WORTHWHILE, np.float32), np.ones(3)) is None


def test_relus_gradient_is_zero_at_zero_and_passes_nan() -> None:
    x, g = np.round(normal(WORTHWHILE), 1), normal(WORTHWHILE, seed=1)
    x[5] = np.nan
    np.testing.assert_array_equal(activation.relu_backward(g, x), activation.relu_backward_by_passes(g, x))
    assert activation.relu_backward(g, x)[5] == g[5]


def test_tanhs_gradient() -> None:
    y, g = np.tanh(normal(WORTHWHILE)), normal(WORTHWHILE, seed=1)
    close(activation.tanh_backward(g, y), activation.tanh_backward_by_passes(g, y), 2)
    broadcast = np.broadcast_to(np.float32(2), y.shape)
    close(activation.tanh_backward(broadcast, y), activation.tanh_backward_by_passes(broadcast, y), 2)
