"""Normalisation within an example: running statistics, unbatched input, printing, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import allgrad as torch
from allgrad import nn
from allgrad.nn import functional as F


def test_group_norm_gives_each_group_mean_zero_and_variance_one() -> None:
    x = torch.from_numpy(np.random.default_rng(0).normal(3, 5, (2, 6, 4, 4)))
    groups = nn.GroupNorm(3, 6, dtype=torch.float64)(x).reshape(6, -1)
    assert torch.allclose(groups.mean(1), torch.zeros(6, dtype=torch.float64), atol=1e-9)
    assert torch.allclose(groups.var(1, correction=0), torch.ones(6, dtype=torch.float64), atol=1e-4)


def test_instance_norm_keeps_running_statistics_and_uses_them_in_evaluation() -> None:
    module = nn.InstanceNorm1d(2, momentum=0.5, track_running_stats=True, dtype=torch.float64)
    x = torch.tensor([[[1.0, 3.0], [0.0, 8.0]], [[3.0, 5.0], [4.0, 4.0]]], dtype=torch.float64)
    module(x)
    assert module.running_mean.tolist() == [1.5, 2.0]  # half of the mean of the examples' means
    assert module.running_var.tolist() == [1.5, 8.5]  # half of 1, and half of the mean of their unbiased variances
    expected = (x[0, 0] - 1.5) / (1.5 + 1e-5) ** 0.5
    assert torch.allclose(module.eval()(x)[0, 0], expected)


def test_instance_norm_of_one_example_equals_that_of_a_batch_of_one() -> None:
    x = torch.from_numpy(np.random.default_rng(1).normal(size=(3, 4, 4)))
    module = nn.InstanceNorm2d(3)
    assert torch.equal(module(x), module(x[None])[0])


def test_rms_norm_uses_the_machine_epsilon_by_default() -> None:
    x = torch.zeros(2, 3, requires_grad=True)
    nn.RMSNorm(3)(x).sum().backward()
    assert torch.allclose(x.grad, torch.full((2, 3), torch.finfo(torch.float32).eps ** -0.5))


def test_local_response_norm_reaches_only_neighbouring_channels() -> None:
    x = torch.zeros(1, 5, 1)
    x[0, 2] = 3.0
    found = nn.LocalResponseNorm(3, alpha=3.0, beta=1.0, k=1.0)(x)
    assert found.flatten().tolist() == pytest.approx([0.0, 0.0, 3.0 / (1 + 9.0), 0.0, 0.0])


@pytest.mark.parametrize(
    ("module", "printed"),
    [
        (nn.GroupNorm(2, 6), "GroupNorm(2, 6, eps=1e-05, affine=True, bias=True)"),
        (nn.RMSNorm([3, 4]), "RMSNorm((3, 4), eps=None, elementwise_affine=True)"),
        (nn.LocalResponseNorm(2), "LocalResponseNorm(2, alpha=0.0001, beta=0.75, k=1.0)"),
        (
            nn.InstanceNorm3d(4),
            "InstanceNorm3d(4, eps=1e-05, momentum=0.1, affine=False, bias=False, track_running_stats=False)",
        ),
        (
            nn.BatchNorm3d(3),
            "BatchNorm3d(3, eps=1e-05, momentum=0.1, affine=True, bias=True, track_running_stats=True)",
        ),
    ],
)
def test_a_module_prints_as_in_pytorch(module: nn.Module, printed: str) -> None:
    assert repr(module) == printed


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda x: F.group_norm(x, 4), RuntimeError, r"\[2, 6, 4\] and num_groups=4"),
        (lambda x: F.group_norm(x, 3, torch.ones(5)), RuntimeError, r"weight of shape \[5\]"),
        (lambda x: F.group_norm(x[0, 0], 2), RuntimeError, "received 1"),
        (lambda x: F.group_norm(x[:1, :2, 0], 2), ValueError, "more than 1 value"),
        (lambda x: F.instance_norm(x[:, :, :1]), ValueError, "more than 1 spatial element"),
        (lambda x: F.instance_norm(x, use_input_stats=False), RuntimeError, "running_mean and running_var"),
        (lambda x: F.rms_norm(x, [3]), RuntimeError, r"normalized_shape=\[3\]"),
        (lambda x: F.rms_norm(x, []), RuntimeError, "at least one element"),
        (lambda x: F.rms_norm(x, [4], torch.ones(3)), RuntimeError, r"weight of shape \[3\]"),
        (lambda x: F.local_response_norm(x[0], 2), ValueError, "got 2 dimensions"),
        (lambda x: F.local_response_norm(x, 0), RuntimeError, "greater than zero"),
        (lambda x: nn.GroupNorm(4, 6), ValueError, "must be divisible by num_groups"),
        (lambda x: nn.InstanceNorm1d(3, affine=True)(x), ValueError, "but got: 6"),
    ],
)
def test_what_does_not_fit_is_refused(call: Any, error: type, words: str) -> None:
    with pytest.raises(error, match=words):
        call(torch.zeros(2, 6, 4))
