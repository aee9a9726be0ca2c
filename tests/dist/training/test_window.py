"""Gradients in memory that ranks share; the checks are in programs/window.py."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from allgrad.dist.training.host_sum import add_scaled

if TYPE_CHECKING:
    from tests.dist.worlds import World


@pytest.mark.parametrize("ranks", [2, 3])
def test_ranks_share_what_they_bring_and_keep_what_they_change(world: World, ranks: int) -> None:
    outcome = world(ranks, "window")
    assert outcome.code == 0, outcome.output
    assert outcome.output.count("done") == ranks


@given(st.integers(2, 6), st.integers(0, 50), st.sampled_from(["float16", "float32", "float64", "complex64"]))
def test_rows_are_added_and_scaled(count: int, size: int, dtype: str) -> None:
    rows = [np.arange(size).astype(dtype) + number for number in range(count)]
    out = np.empty(size, dtype)
    add_scaled(rows, 0.5, out)
    np.testing.assert_allclose(out, 0.5 * np.sum([row.astype("complex128") for row in rows], axis=0), rtol=2e-3)


def test_halves_do_not_overflow_before_they_are_scaled() -> None:
    rows = [np.full(3, 60_000, "float16") for _ in range(4)]
    out = np.empty(3, "float16")
    add_scaled(rows, 0.25, out)
    assert out.tolist() == [60_000] * 3
