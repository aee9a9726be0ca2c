"""Sums by segments against a loop."""

from __future__ import annotations

import numpy as np
import pytest

from allgrad.kernels.segments import segment_sums


@pytest.mark.parametrize("counts", [[2, 0, 3, 1], [40, 1, 17], [0, 0], []])
def test_segment_sums_equal_those_of_a_loop(counts: list[int]) -> None:
    rng = np.random.default_rng(0)
    rows, order = rng.normal(size=(60, 3)), rng.permutation(60)
    starts = np.cumsum([0, *counts])[:-1].astype(np.int64)
    for source, given in ((rows, None), (rows[order], order)):
        found = segment_sums(rows, starts, np.asarray(counts, dtype=np.int64), given)
        expected = [source[start : start + count].sum(0) for start, count in zip(starts, counts, strict=True)]
        np.testing.assert_allclose(found, np.reshape(expected, (-1, 3)), rtol=1e-12, atol=1e-14)
