"""Clipping gradients, and parameters as one vector."""

from __future__ import annotations

import math

import numpy as np
import pytest

import allgrad as torch
from allgrad import nn
from allgrad.nn.utils import (
    clip_grad_norm_,
    clip_grad_value_,
    clip_grads_with_norm_,
    get_total_norm,
    parameters_to_vector,
    vector_to_parameters,
)


def with_gradients(*gradients: list[float]) -> list[nn.Parameter]:
    parameters = []
    for gradient in gradients:
        parameter = nn.Parameter(torch.zeros(len(gradient)))
        parameter.grad = torch.tensor(gradient)
        parameters.append(parameter)
    return [*parameters, nn.Parameter(torch.zeros(1))]


@pytest.mark.parametrize(("norm_type", "total"), [(2.0, 5.0), (math.inf, 4.0), (1.0, 7.0)])
def test_gradients_are_scaled_to_the_common_norm(norm_type: float, total: float) -> None:
    parameters = with_gradients([3.0], [0.0, -4.0])
    assert clip_grad_norm_(parameters, 1.0, norm_type).item() == pytest.approx(total)
    assert parameters[0].grad is not None
    assert parameters[0].grad.item() == pytest.approx(3 / total, rel=1e-5)
    assert get_total_norm([p.grad for p in parameters if p.grad is not None], norm_type).item() == pytest.approx(
        1, rel=1e-5
    )


def test_small_gradients_stay_as_they_are() -> None:
    parameters = with_gradients([0.3], [0.4])
    assert clip_grad_norm_(iter(parameters), 1.0).item() == pytest.approx(0.5)
    assert parameters[0].grad is not None
    assert parameters[0].grad.item() == np.float32(0.3)
    assert clip_grad_norm_([], 1.0).item() == 0


def test_a_norm_that_is_not_finite_can_be_an_error() -> None:
    with pytest.raises(RuntimeError, match=r"The total norm of order 2\.0 for gradients .* is non-finite"):
        clip_grad_norm_(with_gradients([math.nan]), 1.0, error_if_nonfinite=True)


def test_values_are_held_between_bounds() -> None:
    parameters = with_gradients([3.0, -0.5, -7.0])
    clip_grad_value_(parameters, 1.0)
    assert parameters[0].grad is not None
    assert parameters[0].grad.tolist() == [1.0, -0.5, -1.0]


def test_parameters_go_into_a_vector_and_back() -> None:
    net = nn.Linear(2, 3)
    vector = parameters_to_vector(net.parameters())
    assert vector.shape == (9,)
    vector_to_parameters(torch.arange(9.0), net.parameters())
    assert net.weight.tolist() == [[0, 1], [2, 3], [4, 5]]
    assert net.bias.tolist() == [6, 7, 8]
    assert net.weight.requires_grad
    with pytest.raises(TypeError, match=r"expected torch\.Tensor, but got: list"):
        vector_to_parameters([1], net.parameters())  # type: ignore[arg-type]


def test_gradients_are_scaled_by_a_norm_that_takes_in_others() -> None:
    parameters = with_gradients([3.0], [0.0, -4.0])
    clip_grads_with_norm_(parameters, 1.0, torch.tensor(50.0))
    assert parameters[0].grad is not None
    assert parameters[0].grad.item() == pytest.approx(3 / 50, rel=1e-5)
    clip_grads_with_norm_(parameters, 1.0, torch.tensor(0.5))
    assert parameters[0].grad.item() == pytest.approx(3 / 50, rel=1e-5)


def test_an_exhausted_generator_of_parameters_warns() -> None:
    with pytest.warns(UserWarning, match="`parameters` is an empty generator, no gradient clipping will occur"):
        clip_grad_norm_((p for p in list[nn.Parameter]()), 1.0)
    with pytest.warns(FutureWarning, match=r"in favor of `torch\.nn\.utils\.clip_grad_norm_`"):
        nn.utils.clip_grad_norm(with_gradients([3.0]), 1.0)
