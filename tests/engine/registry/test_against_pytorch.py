"""Every public operation on its own samples beside PyTorch's of the same name: equal values, equal gradients."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import allgrad
from allgrad import Tensor
from allgrad.registry import OPERATIONS

from ..derivatives import samples_of


def theirs(torch: Any, name: str) -> Callable[..., Any] | None:
    """PyTorch's function called *name*: of its module, of nn.functional (users call that), or a Tensor method."""
    if name == "unfold":  # nn.functional has another one
        return torch.Tensor.unfold  # type: ignore[no-any-return]
    if "." in name:
        return functools.reduce(lambda found, part: getattr(found, part, None), name.split("."), torch)
    for place in (torch.nn.functional, torch, torch.Tensor):
        found = getattr(place, name, None)
        if callable(found):
            return found  # type: ignore[no-any-return]
    return None


def converted(library: Any, value: Any, tensors: list[Any]) -> Any:
    """*value*, an argument of a sample, for *library*: arrays as tensors, types by their names."""
    if isinstance(value, np.ndarray):
        made = library.from_numpy(value.copy())
        if value.dtype.kind in "fc":
            tensors.append(made.requires_grad_())
        return made
    if isinstance(value, (list, tuple)):
        return type(value)(converted(library, v, tensors) for v in value)
    return getattr(library, value.name) if isinstance(value, allgrad.dtypes.dtype) else value


def outputs(library: Any, result: Any) -> list[Any]:
    listed = result if isinstance(result, (tuple, list)) else [result]
    return [t for t in listed if isinstance(t, library.Tensor)]


def ran(library: Any, function: Callable[..., Any], sample: Any, differentiate: bool) -> tuple[list[Any], list[Any]]:
    """The outputs of *function* on *sample* and, if *differentiate*, the gradients of a weighted sum of them."""
    tensors: list[Any] = []
    args = [converted(library, value, tensors) for value in sample.args]
    kwargs = {key: converted(library, value, tensors) for key, value in sample.kwargs.items()}
    if not differentiate:
        for t in tensors:
            t.requires_grad_(False)
    found = outputs(library, function(*args, **kwargs))
    differentiable = [t for t in found if t.requires_grad]
    weights = [library.from_numpy(weights_of(tuple(t.shape))).to(t.dtype) for t in differentiable]
    gradients: list[Any] = []
    if differentiable and tensors:
        gradients = library.autograd.grad(differentiable, tensors, weights, allow_unused=True, materialize_grads=True)
    return [t.detach().numpy() for t in found], [g.numpy(force=True) for g in gradients]


def weights_of(shape: tuple[int, ...]) -> Any:
    count = int(np.prod(shape))
    return np.asarray(np.cos(np.arange(count, dtype=np.float64)).reshape(shape) + 0.3)


def comparable() -> list[tuple[str, int]]:
    return [
        (name, i)
        for name, op in OPERATIONS.items()
        if op.samples is not None and op.public
        for i, sample in enumerate(samples_of(name))
        if sample.around is None
    ]


SAMPLES = comparable()


@pytest.mark.parametrize(("name", "number"), SAMPLES, ids=[f"{n}-{i}" for n, i in SAMPLES])
def test_values_and_gradients_are_pytorchs(name: str, number: int) -> None:
    torch = pytest.importorskip("torch")
    function = theirs(torch, name)
    if function is None:
        pytest.skip("PyTorch has no such name")
    sample = samples_of(name)[number]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch warns of its own deprecations
        try:
            expected, expected_gradients = ran(torch, function, sample, True)
        except TypeError:
            pytest.skip("PyTorch does not take these arguments")
        except RuntimeError:  # it has no derivative, or not for these shapes: its value alone
            expected, expected_gradients = ran(torch, function, sample, False)
    found, gradients = ran(allgrad, OPERATIONS[name].call, sample, bool(expected_gradients))
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
        np.testing.assert_allclose(a, b, rtol=1e-7, atol=1e-9)
    for a, b in zip(gradients, expected_gradients, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-8)


def test_most_operations_have_a_namesake() -> None:
    torch = pytest.importorskip("torch")
    names = {name for name, _ in SAMPLES}
    assert sum(theirs(torch, name) is not None for name in names) / len(names) > 0.9
    assert all(isinstance(t, Tensor) for t in outputs(allgrad, allgrad.ones(1)))
