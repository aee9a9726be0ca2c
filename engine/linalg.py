"""Linear algebra, under PyTorch's names: ``allgrad.linalg``."""

from .errors import LinAlgError
from .operations.decompositions import cholesky, cholesky_ex, qr, svd, svdvals
from .operations.determinants import det, slogdet
from .operations.eigenvalues import eig, eigh, eigvals, eigvalsh
from .operations.householder import householder_product
from .operations.linear import matmul
from .operations.lu_factors import ldl_factor, ldl_factor_ex, ldl_solve, lu, lu_factor, lu_factor_ex, lu_solve
from .operations.matrices import diagonal
from .operations.norms import cond, matrix_norm, norm, vector_norm
from .operations.products import cross, matrix_exp, matrix_power, multi_dot, vander, vecdot
from .operations.pseudo_inverse import lstsq, matrix_rank, pinv
from .operations.solving import inv, inv_ex, solve, solve_ex, solve_triangular, tensorinv, tensorsolve

__all__ = [
    "LinAlgError",
    "cholesky",
    "cholesky_ex",
    "cond",
    "cross",
    "det",
    "diagonal",
    "eig",
    "eigh",
    "eigvals",
    "eigvalsh",
    "householder_product",
    "inv",
    "inv_ex",
    "ldl_factor",
    "ldl_factor_ex",
    "ldl_solve",
    "lstsq",
    "lu",
    "lu_factor",
    "lu_factor_ex",
    "lu_solve",
    "matmul",
    "matrix_exp",
    "matrix_norm",
    "matrix_power",
    "matrix_rank",
    "multi_dot",
    "norm",
    "pinv",
    "qr",
    "slogdet",
    "solve",
    "solve_ex",
    "solve_triangular",
    "svd",
    "svdvals",
    "tensorinv",
    "tensorsolve",
    "vander",
    "vecdot",
    "vector_norm",
]
