"""The printed form of tensors: golden strings, and thousands of arrays held against PyTorch if installed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from allgrad.tensors.printing import format_array, get_printoptions, printoptions, set_printoptions

Array = npt.NDArray[Any]

FLOATS = [np.float16, np.float32, np.float64]
COMPLEX = [np.complex64, np.complex128]
INTEGERS = [np.int8, np.int16, np.int32, np.int64, np.uint8]
SHAPES: list[tuple[int, ...]] = [
    (),
    (1,),
    (7,),
    (40,),
    (3, 4),
    (2, 3, 4),
    (1, 1, 5),
    (2, 2, 2, 3),
    (0,),
    (0, 3),
    (2, 0),
    (1001,),
    (40, 30),
    (2, 9, 80),
    (8, 8, 4, 5),
]


@pytest.fixture(autouse=True)
def _default_options() -> Iterator[None]:
    yield
    set_printoptions(profile="default")


@pytest.mark.parametrize(
    ("array", "suffixes", "expected"),
    [
        (np.array([11.0], np.float32), ["grad_fn=<AddBackward0>"], "tensor([11.], grad_fn=<AddBackward0>)"),
        (np.array([8.0], np.float32), [], "tensor([8.])"),
        (np.array(3.25, np.float32), ["requires_grad=True"], "tensor(3.2500, requires_grad=True)"),
        (np.array([1.5], np.float64), [], "tensor([1.5000], dtype=torch.float64)"),
        (np.array([np.nan, -np.inf, 2.0], np.float32), [], "tensor([nan, -inf, 2.])"),
        (np.array([1e-5, 1.0], np.float32), [], "tensor([1.0000e-05, 1.0000e+00])"),
        (np.array([True, False]), [], "tensor([ True, False])"),
        (np.array([1, -20, 3]), [], "tensor([  1, -20,   3])"),
        (np.zeros((0, 3), np.float32), [], "tensor([], size=(0, 3))"),
        (np.zeros(0, np.int64), [], "tensor([], dtype=torch.int64)"),
        (np.array([1 + 2j, -0.5j], np.complex64), [], "tensor([1.+2.0000j, -0.-0.5000j])"),
        (np.arange(1001), [], "tensor([   0,    1,    2,  ...,  998,  999, 1000])"),
        (
            np.arange(6, dtype=np.float32).reshape(2, 3),
            [],
            "tensor([[0., 1., 2.],\n        [3., 4., 5.]])",
        ),
    ],
)
def test_golden_forms(array: Array, suffixes: list[str], expected: str) -> None:
    assert format_array(array, suffixes) == expected


def test_a_suffix_that_does_not_fit_goes_to_a_line_of_its_own() -> None:
    text = format_array(np.linspace(0, 1, 8, dtype=np.float32), ["grad_fn=<SoftmaxBackward0>"])
    assert text == (
        "tensor([0.0000, 0.1429, 0.2857, 0.4286, 0.5714, 0.7143, 0.8571, 1.0000],\n       grad_fn=<SoftmaxBackward0>)"
    )


def test_a_dtype_that_is_the_default_goes_without_saying() -> None:
    array = np.array([0.5], np.float64)
    assert format_array(array, default_dtype=np.float64) == "tensor([0.5000])"
    assert format_array(np.array([1j], np.complex128), default_dtype=np.float64) == "tensor([0.+1.j])"


def test_a_prefix_of_another_length_moves_the_following_lines() -> None:
    assert format_array(np.eye(2, dtype=np.float32), prefix="Weight(") == "Weight([[1., 0.],\n        [0., 1.]])"


def test_options_are_set_for_a_block_and_restored_after_it() -> None:
    before = get_printoptions()
    with printoptions(precision=2, sci_mode=False):
        assert format_array(np.array([1.23456, 1e-6], np.float32)) == "tensor([1.23, 0.00])"
    assert get_printoptions() == before


def test_an_unknown_profile_names_the_known_ones() -> None:
    with pytest.raises(ValueError, match="unknown profile 'long'; choose one of default, short, full"):
        set_printoptions(profile="long")


def samples(seed: int) -> Iterator[Array]:
    """Yield arrays of every dtype and shape, of many magnitudes, some with special values."""
    rng = np.random.default_rng(seed)
    for shape in SHAPES:
        for dtype in INTEGERS:
            yield np.asarray(rng.integers(0, 100, shape), dtype)
        yield np.asarray(rng.integers(-(2**60), 2**60, shape))
        yield np.asarray(rng.random(shape) < 0.5)
        for float_type in FLOATS:
            for kind in range(7):
                yield np.asarray(floating(rng, shape, kind), float_type)
        for complex_type in COMPLEX:
            first, second = rng.integers(0, 7, 2)
            parts = floating(rng, shape, first), floating(rng, shape, second)
            pairs = np.stack(parts, -1).astype(complex_type().real.dtype)
            yield np.asarray(pairs.view(complex_type)[..., 0])


def floating(rng: np.random.Generator, shape: tuple[int, ...], kind: int) -> Array:
    """Return values that call for another notation for every kind, within float16's range."""
    values = rng.normal(size=shape)
    if kind == 1:
        values = np.round(values * 100)
    elif kind == 2:
        values = values * 10.0 ** rng.integers(-7, 5, shape)
    elif kind == 3:
        special = rng.choice([np.nan, np.inf, -np.inf, 0.0, -0.0], shape)
        values = np.where(rng.random(shape) < 0.3, special, values)
    elif kind == 4:
        values = rng.choice([np.nan, np.inf, -0.0, 0.0, 1.0, -3.0], shape)
    elif kind == 5:
        values = np.zeros(shape)
    elif kind == 6:
        values = values * 1e-5
    return np.clip(values, -6e4, 6e4) if kind in (0, 1, 2) else np.asarray(values)


OPTIONS: list[dict[str, Any]] = [
    {"profile": "default"},
    {"profile": "short"},
    {"profile": "full"},
    {"precision": 0},
    {"precision": 7, "linewidth": 40},
    {"threshold": 5, "edgeitems": 1},
    {"threshold": 5, "edgeitems": 0},
    {"sci_mode": True},
    {"sci_mode": False},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_every_form_equals_pytorch(options: dict[str, Any]) -> None:
    torch: Any = pytest.importorskip("torch")
    torch.set_printoptions(**({"profile": "default"} | options))
    set_printoptions(**({"profile": "default"} | options))
    try:
        for array in samples(seed=len(str(options))):
            assert format_array(array) == repr(torch.from_numpy(array))
    finally:
        torch.set_printoptions(profile="default")


def test_large_integral_floats_equal_pytorch() -> None:
    torch: Any = pytest.importorskip("torch")
    for array in (
        np.array([1e8, 2.0], np.float64),
        np.array([1.1e8, 1.2e8], np.float64),
        np.array([5e-324, 1e308], np.float64),
    ):
        assert format_array(array) == repr(torch.from_numpy(array))


@pytest.mark.parametrize("length", range(1, 30))
def test_suffixes_break_lines_where_pytorch_breaks_them(length: int) -> None:
    torch: Any = pytest.importorskip("torch")
    tensor = torch.linspace(0, 1, length, dtype=torch.float64, requires_grad=True)
    for result in (tensor, tensor * 2, tensor.softmax(0)):
        name = None if result.grad_fn is None else type(result.grad_fn).__name__
        suffix = "requires_grad=True" if name is None else f"grad_fn=<{name}>"
        assert format_array(result.detach().numpy(), [suffix]) == repr(result)
