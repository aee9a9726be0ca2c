"""Padding modules and the errors of padding."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import allgrad as torch
from allgrad import nn
from allgrad.nn import functional as F


@pytest.mark.parametrize(
    ("module", "mode"), [("Reflection", "reflect"), ("Replication", "edge"), ("Circular", "wrap"), ("Zero", "constant")]
)
@pytest.mark.parametrize("dimensions", [1, 2, 3])
def test_a_padding_module_does_what_numpy_does(module: str, mode: Any, dimensions: int) -> None:
    images = np.arange(2.0 * 4**dimensions).reshape(1, 2, *(4,) * dimensions)
    found = getattr(nn, f"{module}Pad{dimensions}d")(2)(torch.from_numpy(images))
    expected = np.pad(images, ((0, 0), (0, 0), *((2, 2),) * dimensions), mode=mode)
    np.testing.assert_array_equal(found.numpy(), expected)


def test_padding_modules_print_as_in_pytorch() -> None:
    assert repr(nn.ConstantPad1d(1, 2.5)) == "ConstantPad1d(padding=(1, 1), value=2.5)"
    assert repr(nn.ZeroPad2d((1, 2, 3, 4))) == "ZeroPad2d((1, 2, 3, 4))"
    assert repr(nn.ReflectionPad3d(1)) == "ReflectionPad3d((1, 1, 1, 1, 1, 1))"


def test_negative_padding_crops_and_undoes_a_positive_one() -> None:
    x = torch.arange(6.0).reshape(1, 2, 3)
    for mode in ("constant", "reflect", "replicate"):
        assert torch.equal(F.pad(F.pad(x, (1, 2), mode), (-1, -2), mode), x)


def test_the_gradient_of_a_repeated_element_is_the_sum_over_its_places() -> None:
    x = torch.arange(3.0).reshape(1, 3).requires_grad_()
    F.pad(x, (2, 5), "replicate").sum().backward()
    assert x.grad.tolist() == [[3.0, 1.0, 6.0]]


@pytest.mark.parametrize(
    ("shape", "pad", "mode", "error", "words"),
    [
        ((3,), (1,), "constant", RuntimeError, "divisible by 2, found 1"),
        ((3,), (1, 1, 1, 1), "constant", RuntimeError, "padding length 4 and input of dimension 1"),
        ((3,), (-2, -2), "constant", RuntimeError, "Check dimension 0"),
        ((1, 3), (3, 0), "reflect", RuntimeError, r"\(3, 0\) at dimension 1"),
        ((1, 3), (4, 0), "circular", RuntimeError, "wrapping around more than once"),
        ((1, 0), (1, 1), "replicate", RuntimeError, "not empty"),
        ((3,), (1, 1), "reflect", NotImplementedError, "found 1"),
        ((1, 3), (1, 1), "mirror", NotImplementedError, "mirror"),
    ],
)
def test_padding_that_does_not_fit_is_refused(shape: Any, pad: Any, mode: str, error: type, words: str) -> None:
    with pytest.raises(error, match=words):
        F.pad(torch.zeros(shape), pad, mode)
