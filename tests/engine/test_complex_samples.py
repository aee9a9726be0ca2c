"""Every operation that takes complex numbers, on its own samples made complex: gradients by PyTorch's conjugate convention."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
import pytest

from allgrad.registry import OPERATIONS

from .coverage import Call, Function
from .derivatives import samples_of

REFUSALS = (RuntimeError, TypeError, ValueError, AttributeError)  # NotImplementedError is a RuntimeError
ORDERED = {  # of real numbers: PyTorch raises, NumPy compares real parts first
    "clamp", "clamp_max", "clamp_min", "hardtanh", "relu6", "median", "nanmedian", "nanmedian_along", "kthvalue", "mode",
    "nansum", "nanmean", "nll_loss", "masked.logaddexp", "masked.median",
}  # fmt: skip
MATRICES = {  # their samples are made symmetric, not Hermitian: test_complex_matrices.py has better ones
    "cholesky", "linalg.cholesky", "linalg.cholesky_ex", "linalg.eig", "linalg.eigh", "linalg.eigvalsh", "linalg.svd", "svd",
}  # fmt: skip


def complexified(value: Any, generator: np.random.Generator) -> Any:
    """*value* with its arrays of real numbers made complex."""
    if isinstance(value, np.ndarray) and value.dtype.kind == "f":
        return np.asarray(value + 0.7j * generator.permutation(value.reshape(-1)).reshape(value.shape) + 0.1j)
    return type(value)(complexified(v, generator) for v in value) if type(value) in (list, tuple) else value


def complex_call(name: str) -> Call | None:
    """The first sample of *name* with elements, made complex; None if there is none."""
    generator = np.random.default_rng(zlib.crc32(name.encode()))
    for sample in samples_of(name):
        call = Call(
            OPERATIONS[name].call,
            sample.around or (lambda called: called),
            complexified(sample.args, generator),
            {key: complexified(value, generator) for key, value in sample.kwargs.items()},
        )
        if any(t.is_complex() and t.numel() for t in Function(call).inputs):
            return call
    return None


def function_of(name: str) -> Function:
    """The operation *name* of complex numbers; skipped where it does not take them, or gives no number."""
    call = complex_call(name)
    if call is None:
        pytest.skip("no sample of real numbers")
    f = Function(call)
    try:
        outputs = f.outputs(*(t.detach().requires_grad_() for t in f.inputs))
    except REFUSALS:
        pytest.skip("it does not take complex numbers")
    if not any(o.requires_grad for o in outputs):
        pytest.skip("it has no derivative")
    return f


NAMES = sorted(name for name, op in OPERATIONS.items() if op.samples and op.public and name not in ORDERED | MATRICES)


@pytest.mark.parametrize("name", NAMES)
def test_derivatives_by_complex_numbers_equal_finite_differences(name: str) -> None:
    f = function_of(name)
    np.testing.assert_allclose(f.slope(*f.inputs).item(), f.numerically(f, 1e-6), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(f.curvature(), f.numerically(f.slope, 1e-5), rtol=1e-3, atol=1e-4)
