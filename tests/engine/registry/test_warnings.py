"""Results that are infinite or nan come without a word from NumPy, whatever it was told to do about them."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

SCRIPT = """
import warnings
{setup}
import allgrad as torch
x = torch.tensor([0.0, -1.0, 1e30, 200.0], requires_grad=True)
zero = torch.zeros(4)
operations = [
    lambda: x / zero, lambda: zero / zero, lambda: 1 / x, lambda: x / 0, lambda: x.log(), lambda: x.sqrt(),
    lambda: x * x * x, lambda: x ** 9, lambda: x ** -1, lambda: x ** 0.5, lambda: x.exp(), lambda: x % zero,
    lambda: x // 0, lambda: x - x / 0, lambda: x.rsqrt(), lambda: x.reciprocal(), lambda: x.log1p(), lambda: 2 ** x,
    lambda: (x / 0).sum(), lambda: (x / zero).mean(), lambda: x.softmax(0), lambda: (x / 0).softmax(0),
    lambda: x.double().mul(1e300).float(), lambda: (x / 0).max(), lambda: (x / 0).int(), lambda: x.std(),
    lambda: torch.tensor([]).mean(), lambda: (x * 1e30).add_(1e38), lambda: (x / 0) @ x, lambda: torch.tensor([1e300]),
]
for i, operation in enumerate(operations):
    for _ in range(2):
        y = operation()
        if y.requires_grad:
            y.sum().backward()
            (g,) = torch.autograd.grad(operation().sum(), x, create_graph=True, materialize_grads=True)
print("quiet", x.grad.isnan().any().item())
"""


@pytest.mark.parametrize(
    ("options", "setup"),
    [
        ((), ""),
        (("-W", "error"), ""),
        (("-W", "always"), ""),
        ((), "warnings.simplefilter('error')"),
        ((), "import numpy; numpy.seterr(all='raise')"),
        (("-W", "error"), "import numpy; numpy.seterr(all='warn')"),
    ],
    ids=["as it is", "-W error", "-W always", "simplefilter", "seterr raise", "seterr warn"],
)
def test_no_operation_warns_or_raises(options: tuple[str, ...], setup: str) -> None:
    done = subprocess.run(
        [sys.executable, *options, "-c", SCRIPT.format(setup=setup)], capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("quiet True\n", "")


def test_numpys_own_settings_are_left_as_they_were() -> None:
    import allgrad as torch

    before = np.geterr()
    (torch.tensor([0.0], requires_grad=True) / 0).backward()
    assert np.geterr() == before
    with pytest.warns(RuntimeWarning, match="divide by zero"):
        np.log(np.zeros(1))
