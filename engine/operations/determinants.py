"""Determinants and their logarithms."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..batching import anywhere, broadcasting
from ..registry import Array, operation
from ..registry.samples import around, each, on, real
from .decompositions import svd_factors
from .matrices import (
    SQUARES,
    conjugate,
    diagonal_matrix,
    diagonal_of,
    expect_square,
    mH,
    mT,
    off_diagonal,
    one_each,
    well_conditioned,
)
from .solving import inverse_and_info, solved_each


@operation(
    lambda g, A: one_each(g) * cofactors(A),
    namespace="linalg",
    aliases=("det",),
    node_name="LinalgDetBackward0",
    samples=each(
        SQUARES, well_conditioned(SQUARES), around(lambda det: lambda v: det(v.unsqueeze(1) * v), on(real(3)))
    ),
)
def det(A: Array) -> Array:
    """The determinant of each matrix of A, (…, n, n); its gradient is exact for singular matrices too.

    >>> import allgrad as torch
    >>> torch.linalg.det(torch.tensor([[1., 2.], [3., 4.]]))
    tensor(-2.)
    """
    expect_square("linalg.det", A)
    return np.linalg.det(A)


def _cofactors_rule(g: Any, A: Any, y: Any) -> Any:
    """By the inverse where there is one, else by singular values, in whose basis the cofactors are products of them.

    After G. W. Stewart, On the adjugate matrix (Linear Algebra Appl. 283, 1998).
    """
    inverse, info = inverse_and_info(A)
    if not anywhere(info):
        transposed = mT(inverse)
        inner = np.sum(g * y, axis=(-2, -1))
        return one_each(inner) * transposed - np.matmul(np.matmul(y, mT(g)), transposed)
    U, S, Vh = svd_factors(A, False)
    sign = one_each(det(U) * det(Vh))
    turned = np.matmul(np.matmul(mH(U), g * sign), mH(Vh))
    products = _products_without_two(S)
    straight = diagonal_matrix(np.sum(products * mT(one_each(diagonal_of(turned))[..., 0]), axis=-1))
    return np.matmul(np.matmul(conjugate(U), straight - products * mT(turned)), conjugate(Vh))


def _products_without_two(S: Any) -> Any:
    """At (i, j) the product of all of *S* but the i-th and j-th; 0 where i = j."""
    n = tuple(S.shape)[-1]
    own = np.eye(n, dtype=bool)
    left_out = own[:, None, :] | own[None, :, :]
    return off_diagonal(np.prod(np.where(left_out, 1.0, np.reshape(S, (*tuple(S.shape)[:-1], 1, 1, n))), axis=-1))


@operation(
    _cofactors_rule,
    public=False,
    node_name="LinalgDetBackward0",
    samples=each(SQUARES, well_conditioned(SQUARES)),
    batching=broadcasting,
)
def cofactors(A: Array) -> Array:
    """The derivative of the determinant of each matrix by its elements."""
    sized = np.linalg.det(A)
    if np.all(sized != 0):
        inverse, info = solved_each(A, np.broadcast_to(np.eye(A.shape[-1], dtype=A.dtype), A.shape))
        if not np.any(info):
            return sized[..., None, None] * mT(inverse)
    U, S, Vh = np.linalg.svd(A, full_matrices=False)
    others = np.where(np.eye(S.shape[-1], dtype=bool), 1, S[..., None, :]).prod(axis=-1)
    sign = np.linalg.det(U) * np.linalg.det(Vh)
    return np.matmul(conjugate(U) * (others * sign[..., None])[..., None, :], conjugate(Vh)).astype(A.dtype, copy=False)


class SignAndLogDeterminant(NamedTuple):
    """What ``linalg.slogdet`` returns."""

    sign: Any
    logabsdet: Any


def _slogdet_rule(g: Any, A: Any, y0: Any) -> Any:
    """d logabsdet = Re tr(A⁻¹ dA), and d sign = i · sign · Im tr(A⁻¹ dA)."""
    weight = g[1]
    if g[0] is not None and np.iscomplexobj(g[0]):
        turning = np.real(g[0] * y0 * 1j) * -1j
        weight = turning if weight is None else weight + turning
    if weight is None:
        return np.zeros_like(A)
    return one_each(weight) * mT(inverse_and_info(A)[0])


@operation(
    _slogdet_rule,
    outputs=SignAndLogDeterminant,
    namespace="linalg",
    aliases=("slogdet",),
    node_name="LinalgSlogdetBackward0",
    samples=well_conditioned(SQUARES),
)
def slogdet(A: Array) -> tuple[Array, Array]:
    """The sign of the determinant of each matrix (0 if singular; of complex ones a phase), and log |det A|."""
    expect_square("linalg.slogdet", A)
    sign, logarithm = np.linalg.slogdet(A)
    return sign, logarithm
