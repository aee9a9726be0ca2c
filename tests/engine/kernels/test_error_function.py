"""The error function is precise to the last digits everywhere."""

from __future__ import annotations

import math

import numpy as np
import pytest

from allgrad.kernels.error_function import erf, erfc

POINTS = np.concatenate([np.linspace(-7, 7, 4001), [0.46875, -0.46875, 4.0, -4.0, 26.0, 1e-300, -0.0]])


@pytest.mark.parametrize(("function", "reference"), [(erf, math.erf), (erfc, math.erfc)])
def test_values_equal_the_c_librarys(function: object, reference: object) -> None:
    expected = np.array([reference(x) for x in POINTS.tolist()])  # type: ignore[operator]
    np.testing.assert_allclose(function(POINTS), expected, rtol=1e-15, atol=0)  # type: ignore[operator]


def test_special_values_shapes_and_types_are_kept() -> None:
    special = np.array([[np.inf, -np.inf, np.nan]], np.float32)
    np.testing.assert_array_equal(erf(special), np.array([[1, -1, np.nan]], np.float32))
    np.testing.assert_array_equal(erfc(special), np.array([[0, 2, np.nan]], np.float32))
    assert erf(special).dtype == np.float32
    assert erf(np.float64(0.5) * np.ones(())).shape == ()
    assert np.signbit(erf(np.array([-0.0])))[0]
