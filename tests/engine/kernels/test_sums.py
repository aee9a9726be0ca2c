"""Sums of rows, by passes of NumPy and by the loop, and what they say of numbers that are not finite."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from allgrad.kernels import sums
from allgrad.kernels.loops import load, loops
from allgrad.kernels.sums import scaled_sum

TYPES = ["float16", "float32", "float64", "complex64"]
LARGE = 70_001  # more than two pieces, and enough for the loop


@given(st.integers(2, 6), st.integers(0, 50), st.sampled_from(TYPES))
def test_rows_are_added_and_scaled(count: int, size: int, dtype: str) -> None:
    rows = [np.arange(size).astype(dtype) + number for number in range(count)]
    out = np.empty(size, dtype)
    assert scaled_sum(rows, 0.5, out)
    np.testing.assert_allclose(out, 0.5 * np.sum([row.astype("complex128") for row in rows], axis=0), rtol=2e-3)


@pytest.mark.parametrize("count", [2, 3, 5])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_loop_adds_to_the_same_bits_as_numpy(dtype: str, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("numba")
    rows = [np.random.default_rng(number).standard_normal(LARGE).astype(dtype) for number in range(count)]
    by_loop, by_passes = np.empty(LARGE, dtype), np.empty(LARGE, dtype)
    assert loops("sums", by_loop, *rows) is load("sums")
    assert scaled_sum(rows, 1 / count, by_loop)
    monkeypatch.setattr(sums, "loops", lambda *_: None)
    assert scaled_sum(rows, 1 / count, by_passes)
    np.testing.assert_array_equal(by_loop, by_passes)


@pytest.mark.parametrize("size", [5, LARGE])
@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", TYPES)
def test_a_number_that_is_not_finite_is_noticed_wherever_it_is(dtype: str, odd: float, size: int) -> None:
    for at in (0, size // 2, size - 1):
        rows = [np.ones(size, dtype) for _ in range(2)]
        rows[1][at] = odd
        assert not scaled_sum(rows, 0.5, np.empty(size, dtype))


def test_infinities_that_cancel_are_noticed() -> None:
    assert not scaled_sum([np.array([np.inf], "f"), np.array([-np.inf], "f")], 0.5, np.empty(1, "f"))


@pytest.mark.parametrize("size", [5, LARGE])
@pytest.mark.parametrize(("dtype", "large"), [("float16", 60_000), ("float32", 3e38), ("float64", 1.7e308)])
def test_a_sum_that_overflows_still_has_its_mean(dtype: str, large: float, size: int) -> None:
    rows = [np.full(size, large, dtype) for _ in range(4)]
    out: Any = np.empty(size, dtype)
    assert scaled_sum(rows, 0.25, out)
    assert (out == rows[0]).all()
