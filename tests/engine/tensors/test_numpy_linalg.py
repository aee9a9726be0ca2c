"""``np.linalg`` and ``np.fft`` called with Tensors give Tensors, with NumPy's values and with gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import allgrad
from allgrad import Tensor

L, F = np.linalg, np.fft
SQUARE = np.random.default_rng(4).normal(size=(3, 3)) + 3 * np.eye(3)
TALL = np.random.default_rng(5).normal(size=(4, 3))

CALLS: dict[str, tuple[Any, Callable[[Any], Any]]] = {
    "inv": (SQUARE, L.inv),
    "det": (SQUARE, L.det),
    "slogdet": (SQUARE, L.slogdet),
    "solve": (SQUARE, lambda a: L.solve(a, a[:, 0])),
    "solve batches": (np.stack([SQUARE, SQUARE + 1, SQUARE + 2]), lambda a: L.solve(a, a[0])),
    "cholesky": (SQUARE @ SQUARE.T, L.cholesky),
    "qr": (TALL, L.qr),
    "r": (TALL, lambda a: L.qr(a, mode="r")),
    "svd": (TALL, lambda a: L.svd(a, full_matrices=False)),
    "svdvals": (TALL, lambda a: L.svd(a, compute_uv=False)),
    "eigh": (SQUARE + SQUARE.T, L.eigh),
    "eig": (np.array([[2.0, 1.0], [1.0, 3.0]]), L.eig),
    "eigvals": (np.array([[0.0, 1.0], [-1.0, 0.0]]), L.eigvals),
    "real eigvals": (np.array([[2.0, 1.0], [1.0, 3.0]]), L.eigvals),
    "pinv": (TALL, L.pinv),
    "lstsq": (TALL, lambda a: L.lstsq(a, a[:, 0] + 1)),
    "norm": (TALL, L.norm),
    "matrix norm": (TALL, lambda a: L.norm(a, "nuc", axis=(0, 1))),
    "norm of rows": (TALL, lambda a: L.norm(a, 1, axis=1, keepdims=True)),
    "cond": (SQUARE, L.cond),
    "matrix_power": (SQUARE, lambda a: L.matrix_power(a, 3)),
    "matrix_rank": (TALL, L.matrix_rank),
    "multi_dot": (SQUARE, lambda a: L.multi_dot([a, a, a])),
    "cross": (SQUARE, lambda a: L.cross(a, a[::-1])),
    "trace": (SQUARE, L.trace),
    "fft": (TALL, lambda a: F.fft(a, 5, axis=0)),
    "rfft": (TALL, lambda a: F.rfft(a, norm="ortho")),
    "irfft2": (TALL, F.irfft2),
    "hfft": (TALL, F.hfft),
    "fftn": (TALL, lambda a: F.fftn(a, axes=(0,))),
    "fftshift": (TALL, F.fftshift),
}


def listed(result: Any) -> list[Any]:
    return list(result) if isinstance(result, tuple) else [result]


@pytest.mark.parametrize("name", CALLS)
def test_the_values_are_numpys_and_the_results_tensors(name: str) -> None:
    array, call = CALLS[name]
    tensor = allgrad.from_numpy(array.copy()).requires_grad_()
    for ours, numpys in zip(listed(call(tensor)), listed(call(array)), strict=True):
        if isinstance(ours, Tensor):
            assert ours.numpy(force=True).dtype == np.asarray(numpys).dtype
            np.testing.assert_allclose(ours.numpy(force=True), numpys, rtol=1e-9, atol=1e-9)
        else:
            assert ours == numpys


@pytest.mark.parametrize("name", [n for n in CALLS if n not in ("matrix_rank", "r")])
def test_a_gradient_comes_back(name: str) -> None:
    array, call = CALLS[name]
    tensor = allgrad.from_numpy(array.copy()).requires_grad_()
    results = [r for r in listed(call(tensor)) if isinstance(r, Tensor) and r.requires_grad]
    allgrad.real(results[0].sum()).backward()
    assert tensor.grad is not None
    assert tensor.grad.shape == tensor.shape
    assert tensor.grad.dtype is tensor.dtype
