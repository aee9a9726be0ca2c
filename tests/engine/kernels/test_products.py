"""Products with something added equal the plain ways to compute them."""

from __future__ import annotations

import numpy as np

from allgrad.kernels.products import add_rows, rows_times


def test_a_product_computed_in_blocks_of_rows_has_the_bias_everywhere() -> None:
    generator = np.random.default_rng(0)
    rows, matrix, bias = (generator.standard_normal(shape) for shape in ((2500, 3), (3, 300), (300,)))
    np.testing.assert_allclose(rows_times(rows, matrix, bias), rows @ matrix + bias, rtol=1e-12, atol=1e-12)


def test_rows_added_at_repeated_and_negative_places_are_summed() -> None:
    rows, index = np.arange(12.0).reshape(6, 2), np.array([1, -1, 1, 0, 3, 1])
    expected = np.zeros((4, 2))
    np.add.at(expected, index, rows)
    np.testing.assert_array_equal(add_rows(rows, index, (4, 2)), expected)
    assert not add_rows(rows[:0], index[:0], (4, 2)).any()
