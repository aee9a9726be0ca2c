"""The namespaces of linear algebra, Fourier transforms, special functions, windows and masks, and the extra behind some."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

import allgrad as torch
from allgrad.registry import OPERATIONS


def run(program: str) -> str:
    """What a fresh Python prints for *program*."""
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.parametrize("name", [n for n in sorted(OPERATIONS) if "." in n and OPERATIONS[n].public])
def test_a_name_with_a_dot_is_found_under_it(name: str) -> None:
    found = torch
    for part in name.split("."):
        found = getattr(found, part)
    assert found is OPERATIONS[name].call  # type: ignore[comparison-overlap] # the last part is a function


def test_the_namespaces_list_what_they_hold() -> None:
    for module in (torch.linalg, torch.fft, torch.special, torch.signal.windows, torch.masked):
        for name in module.__all__:
            assert callable(getattr(module, name))


def test_a_method_is_named_by_its_alias_and_not_by_its_namespace() -> None:
    a = torch.tensor([[2.0, 0.0], [0.0, 4.0]])
    assert a.det().item() == 8
    assert a.inverse()[0, 0].item() == 0.5
    assert not hasattr(a, "vector_norm")


def test_using_allgrad_loads_no_scipy() -> None:
    program = "import sys, allgrad; allgrad.linalg.inv(allgrad.eye(2)); print('scipy' in sys.modules)"
    assert run(program) == "False"


def test_without_scipy_the_error_names_the_extra() -> None:
    program = (
        "import sys; sys.modules['scipy'] = None\n"
        "import allgrad\n"
        "try: allgrad.lgamma(allgrad.ones(2))\n"
        "except ModuleNotFoundError as error: print(error)\n"
    )
    assert "lgamma() is computed by SciPy" in run(program)
    assert "pip install 'allgrad[scipy]'" in run(program)


def test_without_scipy_the_error_function_and_lu_work() -> None:
    program = (
        "import sys; sys.modules['scipy'] = None\n"
        "import allgrad\n"
        "print(allgrad.erf(allgrad.ones(1)).item(), allgrad.linalg.lu_factor(allgrad.eye(2)).pivots.tolist())\n"
    )
    value, pivots = run(program).split(" ", 1)
    assert float(value) == pytest.approx(0.8427008, rel=1e-6)
    assert pivots == "[1, 2]"


def test_a_singular_matrix_raises_linalgs_own_error_which_is_a_runtime_error() -> None:
    assert issubclass(torch.linalg.LinAlgError, RuntimeError)
    with pytest.raises(torch.linalg.LinAlgError, match=r"Batch element 1\): The diagonal element 2 is zero"):
        torch.linalg.inv(torch.tensor([[[1.0, 0.0], [0.0, 1.0]], [[1.0, 2.0], [2.0, 4.0]]]))
    with pytest.raises(torch.linalg.LinAlgError, match="leading minor of order 1"):
        torch.linalg.cholesky(-torch.eye(2))


def test_the_gradient_of_a_determinant_is_exact_where_the_matrix_is_singular() -> None:
    a = torch.tensor([[1.0, 2.0], [2.0, 4.0]], dtype=torch.float64, requires_grad=True)
    torch.linalg.det(a).backward()
    assert a.grad is not None
    np.testing.assert_allclose(a.grad.numpy(), [[4, -2], [-2, 1]], atol=1e-12)


def test_a_derivative_that_does_not_exist_is_refused() -> None:
    x = torch.ones(2, requires_grad=True)
    with pytest.raises(NotImplementedError, match="bessel_j0"):
        torch.special.bessel_j0(x).sum().backward()
