"""Linear algebra by the array API standard."""

from __future__ import annotations

import numpy as np

from .lifting import lifted

cholesky = lifted(np.linalg.cholesky)
cross = lifted(np.linalg.cross)
det = lifted(np.linalg.det)
diagonal = lifted(np.linalg.diagonal)
eigh = lifted(np.linalg.eigh)
eigvalsh = lifted(np.linalg.eigvalsh)
inv = lifted(np.linalg.inv)
matmul = lifted(np.linalg.matmul)
matrix_norm = lifted(np.linalg.matrix_norm)
matrix_power = lifted(np.linalg.matrix_power)
matrix_rank = lifted(np.linalg.matrix_rank)
matrix_transpose = lifted(np.linalg.matrix_transpose)
outer = lifted(np.linalg.outer)
pinv = lifted(np.linalg.pinv)
qr = lifted(np.linalg.qr)
slogdet = lifted(np.linalg.slogdet)
solve = lifted(np.linalg.solve)
svd = lifted(np.linalg.svd)
svdvals = lifted(np.linalg.svdvals)
tensordot = lifted(np.linalg.tensordot)
trace = lifted(np.linalg.trace)
vecdot = lifted(np.linalg.vecdot)
vector_norm = lifted(np.linalg.vector_norm)

__all__ = [
    "cholesky",
    "cross",
    "det",
    "diagonal",
    "eigh",
    "eigvalsh",
    "inv",
    "matmul",
    "matrix_norm",
    "matrix_power",
    "matrix_rank",
    "matrix_transpose",
    "outer",
    "pinv",
    "qr",
    "slogdet",
    "solve",
    "svd",
    "svdvals",
    "tensordot",
    "trace",
    "vecdot",
    "vector_norm",
]
