"""The exponential of matrices by scaling and squaring (N. J. Higham, SIAM J. Matrix Anal. Appl. 26, 2005)."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

# The numerator of the diagonal Padé approximant of degree 13, and the 1-norm up to which it is exact to 53 bits.
_PADE_13 = (
    64764752532480000.0, 32382376266240000.0, 7771770303897600.0, 1187353796428800.0, 129060195264000.0,
    10559470521600.0, 670442572800.0, 33522128640.0, 1323241920.0, 40840800.0, 960960.0, 16380.0, 182.0, 1.0,
)  # fmt: skip
_LARGEST_NORM = 5.371920351148152


def matrix_exponential(matrices: Array) -> Array:
    """exp(A) of each square matrix; worked out in double precision, returned in the type of *matrices*."""
    if not matrices.size:
        return matrices.copy()
    a = matrices.astype(np.complex128 if matrices.dtype.kind == "c" else np.float64)
    norms = np.max(np.sum(np.absolute(a), axis=-2), axis=-1)
    safe = np.where(np.isfinite(norms) & (norms > _LARGEST_NORM), norms, _LARGEST_NORM)
    halvings = np.ceil(np.log2(safe / _LARGEST_NORM)).astype(int)
    result = _pade(a * (0.5**halvings)[..., None, None])
    for done in range(int(halvings.max())):
        due = halvings > done
        result[due] = result[due] @ result[due]
    return result.astype(matrices.dtype, copy=False)


def _pade(a: Array) -> Array:
    b, one = _PADE_13, np.eye(a.shape[-1], dtype=a.dtype)
    a2 = a @ a
    a4 = a2 @ a2
    a6 = a4 @ a2
    odd = a @ (a6 @ (b[13] * a6 + b[11] * a4 + b[9] * a2) + b[7] * a6 + b[5] * a4 + b[3] * a2 + b[1] * one)
    even = a6 @ (b[12] * a6 + b[10] * a4 + b[8] * a2) + b[6] * a6 + b[4] * a4 + b[2] * a2 + b[0] * one
    quotient: Array = np.linalg.solve(even - odd, even + odd)
    return quotient
