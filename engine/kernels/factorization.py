"""Matrix factorizations NumPy has no function for, batched: LU with pivots, Cholesky that tells of failure, triangular solves."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..batching import Batched
from .scipy_functions import installed

Array = np.ndarray[Any, Any]


def cholesky(matrices: Array) -> tuple[Array, Array]:
    """L with L Lᴴ = A from the lower triangles of *matrices*, and per matrix 0 or the order of the first bad minor."""
    info = np.zeros(matrices.shape[:-2], np.int32)
    try:
        return np.linalg.cholesky(matrices), info
    except np.linalg.LinAlgError:
        factors = np.zeros_like(matrices)
        for where in np.ndindex(info.shape):
            factors[where], info[where] = _one_cholesky(matrices[where])
        return factors, info


def _one_cholesky(matrix: Array) -> tuple[Array, int]:
    try:
        return np.linalg.cholesky(matrix), 0
    except np.linalg.LinAlgError:
        return np.tril(matrix), _first_bad_minor(matrix)


def _first_bad_minor(matrix: Array) -> int:
    """The order of the first leading minor that is not positive definite, found by halving."""
    good, bad = 0, int(matrix.shape[-1])
    while bad - good > 1:
        middle = (good + bad) // 2
        try:
            np.linalg.cholesky(matrix[:middle, :middle])
            good = middle
        except np.linalg.LinAlgError:
            bad = middle
    return bad


def lu(matrices: Array) -> tuple[Array, Array, Array]:
    """L and U packed in one, the row exchanged with each row in turn (from 1), and the first zero pivot (from 1) or 0.

    By LAPACK where SciPy is installed, else by :func:`lu_by_columns`.
    """
    linalg = installed("linalg")
    if linalg is None or not matrices.size:
        return lu_by_columns(matrices)
    (factorize,) = linalg.get_lapack_funcs(("getrf",), (matrices,))
    packed, info = np.empty_like(matrices), np.zeros(matrices.shape[:-2], np.int32)
    pivots = np.empty((*matrices.shape[:-2], min(matrices.shape[-2:])), np.int32)
    for where in np.ndindex(info.shape):
        packed[where], exchanged, info[where] = factorize(matrices[where])
        pivots[where] = exchanged + 1
    return packed, pivots, info


def lu_by_columns(matrices: Array) -> tuple[Array, Array, Array]:
    """What ``lu`` does, one column of all matrices after the other."""
    packed = np.array(matrices)
    batch, (rows, columns) = packed.shape[:-2], packed.shape[-2:]
    steps = min(rows, columns)
    pivots = np.empty((*batch, steps), np.int32)
    info = np.zeros(batch, np.int32)
    index = np.ix_(*(np.arange(n) for n in batch))
    for k in range(steps):
        best = k + np.argmax(np.absolute(packed[..., k:, k]), axis=-1)
        pivots[..., k] = best + 1
        chosen = packed[(*index, best)].copy()
        packed[(*index, best)] = packed[..., k, :]
        packed[..., k, :] = chosen
        pivot = packed[..., k, k, None]
        info[(info == 0) & (pivot[..., 0] == 0)] = k + 1
        packed[..., k + 1 :, k] /= np.where(pivot == 0, 1, pivot)
        packed[..., k + 1 :, k + 1 :] -= packed[..., k + 1 :, k, None] * packed[..., k, None, k + 1 :]
    return packed, pivots, info


def row_order(pivots: Any, rows: int) -> Any:
    """The order of *rows* that the exchanges *pivots* lead to: A[order] = L U."""
    if isinstance(pivots, Batched):
        return Batched(row_order(pivots.values, rows), pivots.levels)
    order = np.broadcast_to(np.arange(rows), (*pivots.shape[:-1], rows)).copy()
    for where in np.ndindex(pivots.shape[:-1]):
        row = order[where]
        for k, other in enumerate(pivots[where].tolist()):
            row[k], row[other - 1] = row[other - 1], row[k]
    return order


_BLOCK = 32  # rows solved one by one between two matrix products


def solve_triangular(a: Array, b: Array, upper: bool, unit: bool) -> Array:
    """X with A X = B, from one triangle of each *a* alone; its diagonal is taken as ones if *unit*.

    By substitution, as LAPACK does it: a zero on the diagonal gives inf and nan, not an error.
    """
    n = a.shape[-1]
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    x = np.array(np.broadcast_to(b, (*batch, *b.shape[-2:])))
    with np.errstate(all="ignore"):
        for start, stop in _blocks(n, upper):
            solved = slice(stop, n) if upper else slice(0, start)
            x[..., start:stop, :] -= a[..., start:stop, solved] @ x[..., solved, :]
            _substitute(a, x, start, stop, upper, unit)
    return x


def _blocks(n: int, upper: bool) -> list[tuple[int, int]]:
    blocks = [(start, min(start + _BLOCK, n)) for start in range(0, n, _BLOCK)]
    return blocks[::-1] if upper else blocks


def _substitute(a: Array, x: Array, start: int, stop: int, upper: bool, unit: bool) -> None:
    """Solve the rows from *start* to *stop*, from whose right sides the others are already taken away."""
    for i in range(stop - 1, start - 1, -1) if upper else range(start, stop):
        solved = slice(i + 1, stop) if upper else slice(start, i)
        row = x[..., i : i + 1, :]
        if solved.start < solved.stop:
            row -= a[..., i : i + 1, solved] @ x[..., solved, :]
        if not unit:
            row /= a[..., i, i, None, None]
