"""Resampling maps against the dense matrices they stand for."""

from __future__ import annotations

import numpy as np
import pytest

from allgrad.kernels import resampling
from allgrad.kernels.resampling import Taps

MAPS = {
    "nearest": resampling.nearest(3, 7, None, exact=False, by_size=True),
    "linear up": resampling.linear(3, 7, False, None, np.float64),
    "linear down": resampling.linear(7, 3, True, None, np.float64),
    "cubic": resampling.cubic(5, 8, False, 1.7, np.float64),
    "mean": resampling.mean(7, 3),
    "antialiased": resampling.antialiased(9, 4, False, None, 4),
}


def dense(taps: Taps) -> np.ndarray:
    matrix = np.zeros((taps.after, taps.before))
    for places, sources, weights in taps.layers:
        rows = np.arange(taps.after) if places is None else places
        np.add.at(matrix, (rows, sources), 1.0 if weights is None else weights)
    return matrix


@pytest.mark.parametrize("name", MAPS)
def test_resampling_is_the_product_with_the_dense_matrix(name: str) -> None:
    taps = MAPS[name]
    array = np.random.default_rng(0).normal(size=(2, taps.before, 3))
    expected = np.einsum("oi,aib->aob", dense(taps), array)
    np.testing.assert_allclose(resampling.resample(array, 1, taps), expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", MAPS)
def test_the_transposed_map_is_the_transposed_matrix(name: str) -> None:
    np.testing.assert_array_equal(dense(MAPS[name].transposed()), dense(MAPS[name]).T)


@pytest.mark.parametrize("name", MAPS)
def test_the_weights_of_each_new_element_sum_to_one(name: str) -> None:
    np.testing.assert_allclose(dense(MAPS[name]).sum(1), 1.0, rtol=1e-12)


@pytest.mark.parametrize("name", MAPS)
def test_bytes_are_resampled_as_numbers_and_rounded(name: str) -> None:
    array = np.random.default_rng(0).integers(0, 256, (2, MAPS[name].before, 3)).astype(np.uint8)
    found = resampling.resample_bytes(array, 1, MAPS[name])
    expected = np.clip(resampling.resample(array.astype(np.float64), 1, MAPS[name]), 0, 255)
    assert found.dtype == np.uint8
    np.testing.assert_allclose(found, expected, atol=0.51)
