"""Gradients of linear algebra on complex matrices, against finite differences in their real and imaginary parts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import allgrad as torch
from allgrad import Tensor

from .derivatives import numeric_gradient, weighted_sum

L = torch.linalg


def hermitian(a: Tensor) -> Tensor:
    return a + a.transpose(-1, -2).conj()


def positive_definite(a: Tensor) -> Tensor:
    return a @ a.transpose(-1, -2).conj() + torch.eye(3, dtype=torch.complex128)


def sizes(z: Tensor) -> Tensor:
    return torch.real(z * z.conj())


FUNCTIONS: dict[str, Callable[[Tensor], Any]] = {
    "inv": L.inv,
    "det": L.det,
    "slogdet": lambda a: tuple(L.slogdet(a)),
    "matrix_exp": L.matrix_exp,
    "matrix_power": lambda a: L.matrix_power(a, -2),
    "pinv": lambda a: L.pinv(a[:, :2]),
    "solve": lambda a: L.solve(a, a[:, :2] * 2 + 1),
    "solve_triangular": lambda a: L.solve_triangular(a, a[:2] * 2 + 1, upper=True, left=False),
    "lu_factor": lambda a: L.lu_factor(a)[0],
    "lu_solve": lambda a: L.lu_solve(*L.lu_factor(a), a[:, :2] * 2, adjoint=True),
    "cholesky": lambda a: L.cholesky(positive_definite(a)),
    "qr": lambda a: tuple(L.qr(a[:, :2])),
    "wide qr": lambda a: tuple(L.qr(a[:2])),
    "svdvals": L.svdvals,
    "svd": lambda a: tuple(sizes(x) for x in (L.svd(a[:2])[0], L.svd(a[:2], full_matrices=False)[2])),
    "eigvalsh": lambda a: L.eigvalsh(hermitian(a)),
    "eigh": lambda a: sizes(L.eigh(hermitian(a)).eigenvectors),
    "eigvals": lambda a: sizes(L.eigvals(a)),
    "eig": lambda a: sizes(L.eig(a).eigenvectors),
    "vector_norm": lambda a: L.vector_norm(a, 3, 0),
    "nuclear norm": lambda a: L.matrix_norm(a, "nuc"),
    "householder_product": lambda a: L.householder_product(a, a[0]),
    "ormqr": lambda a: torch.ormqr(a, a[0], a * 2, transpose=True),
    "lstsq": lambda a: L.lstsq(a[:, :2], a[:, 2:]).solution,
    "vander": lambda a: L.vander(a[0], N=4),
    "cross": lambda a: L.cross(a[0], a[1]),
    "vecdot": lambda a: L.vecdot(a[0], a[1]),
}


def parts(result: Any) -> list[Tensor]:
    """The real tensors that *result* is made of."""
    listed = result if isinstance(result, tuple) else (result,)
    return [p for z in listed for p in ((torch.real(z), torch.real(z * -1j)) if z.is_complex() else (z,))]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_gradient_equals_finite_differences(name: str) -> None:
    pairs = np.random.default_rng(11).normal(size=(3, 3, 2))
    tensor = torch.from_numpy(pairs)

    def loss(x: Tensor) -> Tensor:
        return weighted_sum(parts(FUNCTIONS[name](x[..., 0] + x[..., 1] * 1j)))

    expected = numeric_gradient(lambda: float(loss(tensor).item()), pairs)
    leaf = torch.from_numpy(pairs.copy()).requires_grad_()
    (found,) = torch.autograd.grad(loss(leaf), leaf)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["svd", "eigh", "eig"])
def test_a_function_of_the_phase_of_vectors_is_refused(name: str) -> None:
    z = np.random.default_rng(2).normal(size=(3, 3)) + 1j * np.random.default_rng(3).normal(size=(3, 3))
    a = torch.from_numpy(z).requires_grad_()
    vectors = getattr(L, name)(hermitian(a) if name == "eigh" else a)[0 if name == "svd" else 1]
    with pytest.raises(RuntimeError, match="ill-defined"):
        torch.real(vectors.sum()).backward()
