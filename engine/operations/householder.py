"""Products of Householder reflectors, as LAPACK's QR leaves them: the matrix below the diagonal, and tau."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from ..registry import Array, composite, operation
from ..registry.samples import each, on, real
from ..tensors.tensor import Tensor
from .matrices import conjugate, expect_floating, expect_matrices, expect_same_type, mH, mT


class Reflectors(NamedTuple):
    """What ``geqrf`` returns."""

    a: Any
    tau: Any


@operation(outputs=Reflectors, public=False)
def reflectors(A: Array) -> tuple[Array, Array]:
    """R above the diagonal and the reflectors below it, and tau."""
    packed, tau = np.linalg.qr(A, mode="raw")
    return mT(packed).copy(), tau


@composite(out=True)
def geqrf(input: Tensor) -> Reflectors:
    """R in the upper triangle and reflectors below it, (…, m, n), and *tau* (…, k): what ``ormqr`` takes. No gradient."""
    expect_matrices("geqrf", input, "input")
    expect_floating("geqrf", input)
    return reflectors(input)


def _vectors(input: Tensor) -> Any:
    """The reflectors' vectors as columns: what stands below the diagonal, under a one."""
    m, n = tuple(input.shape)[-2:]
    return np.where(np.eye(m, n, dtype=bool), 1.0, np.tril(input, -1))


def _reflected(x: Any, vectors: Any, tau: Any, order: Iterable[int]) -> Any:
    """(1 - tau_i v_i v_iᴴ) x for each i in *order*, one after the other."""
    for i in order:
        v = vectors[..., i : i + 1]
        x = x - tau[..., i : i + 1, None] * v * np.matmul(mH(v), x)
    return x


def _check_reflectors(name: str, input: Tensor, tau: Tensor) -> None:
    expect_matrices(name, input, "input")
    expect_floating(name, input)
    m, n = tuple(input.shape)[-2:]
    if m < n:
        raise RuntimeError(
            f"{name}: input.shape[-2] must be greater than or equal to input.shape[-1], found {m} and {n}"
        )
    _check_tau(name, input, tau)


def _check_tau(name: str, input: Tensor, tau: Tensor) -> None:
    expect_same_type(name, input, tau, ("input", "tau"))
    if not tau.ndim or tau.shape[-1] > input.shape[-1] or tuple(tau.shape[:-1]) != tuple(input.shape[:-2]):
        raise RuntimeError(
            f"{name}: Expected batch dimensions of tau to equal those of input and at most {input.shape[-1]} numbers each, "
            f"found tau {list(tau.shape)} and input {list(input.shape)}"
        )


@composite(
    out=True,
    namespace="linalg",
    method=False,
    aliases=("orgqr",),
    samples=each(on(real(4, 3), real(3)), on(real(2, 3, 3), real(2, 2)), on(real(4, 2), real(2))),
)
def householder_product(A: Tensor, tau: Tensor) -> Tensor:
    """The first n columns of the product of (1 - tau_i v_i v_iᴴ), v_i below the diagonal of A (…, m, n) under a one."""
    _check_reflectors("torch.linalg.householder_product", A, tau)
    one = np.eye(*A.shape[-2:], dtype=A._array.dtype)
    start = Tensor._wrap(np.broadcast_to(one, tuple(A.shape)))
    product = _reflected(start, _vectors(A), tau, range(tau.shape[-1] - 1, -1, -1))
    return product.clone() if product is start else product


@composite(out=True,
    samples=each(
        on(real(4, 3), real(3), real(4, 2)), on(real(4, 3), real(3), real(2, 4), left=False),
        on(real(4, 3), real(3), real(4, 2), transpose=True), on(real(2, 3, 2), real(2, 2), real(2, 3, 3)),
    )
)  # fmt: skip
def ormqr(input: Tensor, tau: Tensor, other: Tensor, left: bool = True, transpose: bool = False) -> Tensor:
    """Q @ *other* (*other* @ Q if not *left*; Qᴴ for Q if *transpose*), Q being the product of reflectors in full."""
    expect_matrices("torch.ormqr", input, "input")
    expect_matrices("torch.ormqr", other, "other")
    expect_floating("torch.ormqr", input)
    _check_tau("torch.ormqr", input, tau)
    expect_same_type("torch.ormqr", input, other, ("input", "other"))
    if other.shape[-2 if left else -1] != input.shape[-2]:
        raise RuntimeError(
            f"torch.ormqr: other.shape[{-2 if left else -1}] must be equal to input.shape[-2], found {list(other.shape)} and "
            f"{list(input.shape)}"
        )
    if not left:
        return mH(ormqr(input, tau, mH(other), True, not transpose))
    steps = range(tau.shape[-1])
    vectors = _vectors(input)
    if transpose:
        return _reflected(other, vectors, conjugate(tau), steps)
    return _reflected(other, vectors, tau, reversed(steps))
