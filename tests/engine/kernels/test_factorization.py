"""Factorizations that NumPy lacks do what LAPACK does, with and without SciPy."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from allgrad.kernels import factorization
from allgrad.kernels.matrix_exponential import matrix_exponential

RANDOM = np.random.default_rng(5)


@pytest.mark.parametrize("shape", [(4, 4), (2, 5, 3), (3, 2, 3, 5), (0, 3), (2, 0, 0), (3, 1)])
@pytest.mark.parametrize("dtype", [np.float64, np.complex128, np.float32])
def test_lu_by_columns_is_lapacks(shape: tuple[int, ...], dtype: type) -> None:
    pytest.importorskip("scipy")
    a: np.ndarray[Any, Any] = RANDOM.normal(size=shape).astype(dtype)
    for ours, lapacks in zip(factorization.lu_by_columns(a), factorization.lu(a), strict=True):
        np.testing.assert_allclose(ours, lapacks, rtol=1e-4 if dtype == np.float32 else 1e-10, atol=1e-6)
        assert ours.dtype == lapacks.dtype


def test_lu_puts_together_what_it_took_apart() -> None:
    a = RANDOM.normal(size=(2, 5, 5))
    packed, pivots, info = factorization.lu_by_columns(a)
    lower, upper = np.tril(packed, -1) + np.eye(5), np.triu(packed)
    order = factorization.row_order(pivots, 5)
    np.testing.assert_allclose(lower @ upper, np.take_along_axis(a, order[..., None], -2), atol=1e-12)
    assert not info.any()


def test_lu_names_the_first_zero_pivot() -> None:
    singular = np.array([[1.0, 2.0, 3.0], [2.0, 4.0, 6.0], [1.0, 2.0, 4.0]])
    assert factorization.lu_by_columns(singular)[2] == 2


@pytest.mark.parametrize("upper", [True, False])
@pytest.mark.parametrize("unit", [True, False])
@pytest.mark.parametrize("n", [1, 5, 32, 33, 70])
def test_a_triangular_system_is_solved_from_one_triangle_alone(n: int, unit: bool, upper: bool) -> None:
    a = RANDOM.normal(size=(2, n, n)) / n + np.eye(n)
    b = RANDOM.normal(size=(n, 3))
    triangle = np.triu(a, unit) if upper else np.tril(a, -int(unit))
    x = factorization.solve_triangular(a, b, upper, unit)
    np.testing.assert_allclose((triangle + unit * np.eye(n)) @ x, np.broadcast_to(b, x.shape), atol=1e-10)


def test_a_zero_on_the_diagonal_gives_infinities() -> None:
    assert not np.isfinite(factorization.solve_triangular(np.zeros((2, 2)), np.ones((2, 1)), True, False)).any()


@pytest.mark.parametrize("bad", [1, 2, 4])
def test_cholesky_names_the_first_minor_that_is_not_positive(bad: int) -> None:
    diagonal = np.ones(5)
    diagonal[bad - 1 :] = -1
    factors, info = factorization.cholesky(np.stack([np.eye(5), np.diag(diagonal)]))
    assert info.tolist() == [0, bad]
    np.testing.assert_array_equal(factors[0], np.eye(5))


def test_the_exponential_of_a_matrix_is_that_of_its_eigenvalues() -> None:
    for scale in (1e-6, 0.1, 3.0, 40.0):
        symmetric = RANDOM.normal(size=(2, 4, 4)) * scale
        symmetric = symmetric + symmetric.swapaxes(-1, -2)
        values, vectors = np.linalg.eigh(symmetric)
        expected = (vectors * np.exp(values)[..., None, :]) @ vectors.swapaxes(-1, -2)
        np.testing.assert_allclose(matrix_exponential(symmetric), expected, rtol=1e-10, atol=1e-12 * expected.max())
    nilpotent = np.array([[0.0, 1.0], [0.0, 0.0]])
    np.testing.assert_allclose(matrix_exponential(nilpotent), [[1, 1], [0, 1]], atol=1e-15)
    assert matrix_exponential(np.array([[1.0]]))[0, 0] == pytest.approx(math.e)
