"""Where operations have no derivative of their own (ties, kinks, nan): PyTorch 2.13's values and gradients, recorded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import allgrad as torch

NAN, INF = float("nan"), float("inf")
TWICE = torch.tensor([0, 0, 1, 1])

# The operation, its inputs, its value, and the gradient of the sum of that by each input.
KINKS: list[tuple[Callable[..., Any], list[Any], Any, list[Any]]] = [
    (torch.fmax, [[1, 2, NAN, 1], [1, 3, 1, NAN]], [1, 3, 1, 1], [[1, 0, 0, 1], [0, 1, 1, 0]]),
    (torch.fmin, [[1, 2, NAN, 1], [1, 3, 1, NAN]], [1, 2, 1, 1], [[1, 1, 0, 1], [0, 0, 1, 0]]),
    (torch.maximum, [[1, 2, NAN], [1, 3, 1]], [1, 3, NAN], [[0.5, 0, 1], [0.5, 1, 1]]),
    (
        torch.clamp,
        [[1, 0, 2, 3], [1, 1, 1, 5], [1.5, 2, 2, 4]],
        [1, 1, 2, 4],
        [[1, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 1]],
    ),
    (torch.clamp_min, [[1, 0, 2], [1, 1, 1]], [1, 1, 2], [[1, 0, 1], [0, 1, 0]]),
    (torch.copysign, [[1, 0, -2, 3], [1, -1, -0.0, 0]], [1, 0, -2, 3], [[1, 0, 1, 1], [0, 0, 0, 0]]),
    (torch.hypot, [[3, 1], [4, 0]], [5, 1], [[0.6, 1], [0.8, 0]]),
    (torch.atan2, [[0, 1, 0], [0, 2, -1]], [0, 0.463647609, 3.14159265], [[0, 0.4, -1], [0, -0.2, 0]]),
    (
        torch.xlogy,
        [[0, 0, 1, 2], [1, NAN, 2, 3]],
        [0, NAN, 0.693147181, 2.19722458],
        [[0, NAN, 0.693147181, 1.09861229], [0, NAN, 0.5, 2 / 3]],
    ),
    (torch.logaddexp, [[0, INF], [0, 1]], [0.693147181, INF], [[0.5, 1], [0.5, 0]]),
    (torch.sinc, [[0, 1, 0.5]], [1, 0, 0.636619772], [[0, -1, -1.27323954]]),
    (torch.nan_to_num, [[1, NAN, INF]], [1, 0, 1.79769313e308], [[1, 0, 0]]),
    (torch.angle, [[0, -2, 3]], [0, 3.14159265, 0], [[0, 0, 0]]),
    (torch.abs, [[0, -2, 3]], [0, 2, 3], [[0, -1, 1]]),
    (torch.sign, [[0, NAN, -3]], [0, 0, -1], [[0, 0, 0]]),
    (torch.float_power, [[1, 0, 2], [2, 2, 3]], [1, 0, 8], [[2, 0, 12], [0, 0, 5.54517744]]),
    (torch.std, [[1, 1]], 0, [[0, 0]]),
    (torch.amax, [[1, 2, 2]], 2, [[0, 0.5, 0.5]]),
    (torch.median, [[1, 1, 2, 2]], 1, [[0.5, 0.5, 0, 0]]),
    (torch.nanmedian, [[1, NAN, 2, 2]], 2, [[0, 0, 0.5, 0.5]]),
    (torch.nansum, [[1, NAN]], 1, [[1, 0]]),
    (torch.nanmean, [[1, NAN]], 1, [[1, 0]]),
    (torch.prod, [[0, 2, 3]], 0, [[6, 0, 0]]),
    (torch.Tensor.dist, [[1, 2], [1, 2]], 0, [[0, 0], [0, 0]]),
    (
        lambda x: torch.logit(x, 0.1),
        [[0.05, 0.1, 0.5, 0.95]],
        [-2.19722458, -2.19722458, 0, 2.19722458],
        [[0, 11.1111111, 4, 0]],
    ),
    (lambda x: torch.cummax(x, 0).values, [[1, 1, 0, 2]], [1, 1, 1, 2], [[1, 2, 0, 1]]),
    (lambda x: torch.stack(torch.aminmax(x)), [[1, 1, 2, 2]], [1, 2], [[0.5, 0.5, 0.5, 0.5]]),
    (lambda x: torch.quantile(x, 0.5), [[1, 1, 3, 2]], 1.5, [[0, 0.5, 0, 0.5]]),
    (lambda x: torch.renorm(x.reshape(2, 2), 2, 0, 5), [[0.1, 0.1, 3, 4]], [[0.1, 0.1], [3, 4]], [[1, 1, 1, 1]]),
    (lambda a, b: a.dist(b, INF), [[1, 2], [2, 3]], 1, [[-0.5, -0.5], [0.5, 0.5]]),
    (lambda a, b: torch.cdist(a[None], b[None], INF), [[1, 2], [2, 3]], [[1]], [[-1, -1], [1, 1]]),
    (lambda a, b: torch.cdist(a[None], b[None]), [[1, 2], [1, 2]], [[0]], [[0, 0], [0, 0]]),
    (lambda a, b: torch.cdist(a[None], b[None], 0.5), [[1, 2], [1, 3]], [[1]], [[0, -1], [0, 1]]),
    (
        lambda x, s: x.scatter_reduce(0, TWICE, s, "amax"),
        [[1, 1], [1, 1, 1, 0]],
        [1, 1],
        [[1 / 3, 0.5], [1 / 3, 1 / 3, 0.5, 0]],
    ),
    (
        lambda x, s: x.scatter_reduce(0, TWICE, s, "amin", include_self=False),
        [[2, 3], [1, 4, 0, 0]],
        [1, 0],
        [[0, 0], [1, 0, 0.5, 0.5]],
    ),
    (lambda x, s: x.scatter_reduce(0, TWICE, s, "prod"), [[2, 3], [1, 4, 0, 5]], [8, 0], [[4, 0], [8, 2, 15, 0]]),
    (
        lambda x, s: x.scatter_reduce(0, TWICE, s, "mean", include_self=False),
        [[1, 1, 7], [1, 1, 1, 0]],
        [1, 0.5, 7],
        [[0, 0, 1], [0.5, 0.5, 0.5, 0.5]],
    ),
]


@pytest.mark.parametrize("number", range(len(KINKS)))
def test_values_and_gradients_at_kinks_are_pytorchs(number: int) -> None:
    function, inputs, value, gradients = KINKS[number]
    tensors = [torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in inputs]
    result = function(*tensors)
    result.sum().backward()
    np.testing.assert_allclose(result.detach().numpy(), value, rtol=1e-8, atol=1e-15)
    for tensor, expected in zip(tensors, gradients, strict=True):
        assert tensor.grad is not None
        np.testing.assert_allclose(tensor.grad.numpy(), expected, rtol=1e-8, atol=1e-15)


WRONG: list[tuple[type[Exception], Callable[[], Any]]] = [
    (RuntimeError, lambda: torch.lerp(torch.ones(2), torch.ones(2).double(), 0.5)),
    (RuntimeError, lambda: torch.addcdiv(torch.tensor([1]), torch.tensor([1]), torch.tensor([2]))),
    (NotImplementedError, lambda: torch.gcd(torch.ones(2), torch.ones(2))),
    (RuntimeError, lambda: torch.diff(torch.tensor(1.0))),
    (RuntimeError, lambda: torch.quantile(torch.ones(3), 2.0)),
    (RuntimeError, lambda: torch.quantile(torch.tensor([1, 2]), 0.5)),
    (RuntimeError, lambda: torch.kthvalue(torch.ones(3), 4)),
    (IndexError, lambda: torch.mode(torch.ones(0))),
    (RuntimeError, lambda: torch.aminmax(torch.ones(0))),
    (RuntimeError, lambda: torch.diagonal(torch.ones(2, 2), 0, 1, 1)),
    (RuntimeError, lambda: torch.diag(torch.ones(2, 2, 2))),
    (RuntimeError, lambda: torch.as_strided(torch.ones(4), (8,), (1,))),
    (RuntimeError, lambda: torch.ones(4).unfold(0, 5, 1)),
    (RuntimeError, lambda: torch.hsplit(torch.ones(5), 2)),
    (RuntimeError, lambda: torch.meshgrid(torch.ones(2, 2))),
    (RuntimeError, lambda: torch.tensordot(torch.ones(2, 3), torch.ones(3, 2))),
    (RuntimeError, lambda: torch.cross(torch.ones(2), torch.ones(2))),
    (RuntimeError, lambda: torch.cdist(torch.ones(2, 3), torch.ones(2, 4))),
    (RuntimeError, lambda: torch.ones(3).index_add(0, torch.tensor([5]), torch.ones(1))),
    (IndexError, lambda: torch.ones(3).index_copy(0, torch.tensor([5]), torch.ones(1))),
    (RuntimeError, lambda: torch.ones(2).scatter_reduce(0, torch.tensor([0]), torch.ones(1), "most")),
    (RuntimeError, lambda: torch.ones(3).masked_scatter(torch.ones(3).bool(), torch.ones(2))),
    (IndexError, lambda: torch.take(torch.ones(3), torch.tensor([7]))),
    (RuntimeError, lambda: torch.imag(torch.ones(2))),
    (RuntimeError, lambda: torch.view_as_complex(torch.ones(3))),
]


@pytest.mark.parametrize("number", range(len(WRONG)))
def test_wrong_calls_raise_pytorchs_class_of_error(number: int) -> None:
    expected, call = WRONG[number]
    with pytest.raises(expected) as caught:
        call()
    assert caught.type is expected
