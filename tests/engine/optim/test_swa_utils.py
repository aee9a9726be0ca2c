"""Averages of weights: their values, statistics and schedule, and PyTorch's numbers where it is installed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import allgrad
from allgrad import nn, optim
from allgrad.optim import swa_utils


def averaged_weights(library: Any, values: list[float], **options: Any) -> Any:
    model = library.nn.Linear(1, 1, bias=False)
    averaged = library.optim.swa_utils.AveragedModel(model, **options)
    for value in values:
        library.nn.init.constant_(model.weight, value)
        averaged.update_parameters(model)
    return averaged


def test_the_default_is_the_equal_average() -> None:
    averaged = averaged_weights(allgrad, [1.0, 2.0, 6.0])
    assert averaged.module.weight.item() == pytest.approx(3.0)
    assert averaged.n_averaged.item() == 3
    assert averaged(allgrad.ones(1)).item() == pytest.approx(3.0)
    assert sorted(averaged.state_dict()) == ["module.weight", "n_averaged"]


@pytest.mark.parametrize("option", ["avg_fn", "multi_avg_fn"])
def test_an_exponential_average_forgets(option: str) -> None:
    rule = (swa_utils.get_ema_avg_fn if option == "avg_fn" else swa_utils.get_ema_multi_avg_fn)(0.5)
    averaged = averaged_weights(allgrad, [1.0, 2.0, 6.0], **{option: rule})
    assert averaged.module.weight.item() == pytest.approx(3.75)


@pytest.mark.parametrize("use_buffers", [False, True])
def test_buffers_are_copied_or_averaged(use_buffers: bool) -> None:
    model = nn.BatchNorm1d(1)
    averaged = swa_utils.AveragedModel(model, use_buffers=use_buffers)
    for value in (1.0, 3.0):
        model.running_mean.fill_(value)
        averaged.update_parameters(model)
    assert averaged.module.running_mean.item() == (2.0 if use_buffers else 3.0)


def test_statistics_are_computed_anew_as_an_average_of_the_batches() -> None:
    model = nn.Sequential(nn.BatchNorm1d(1, momentum=0.3)).eval()
    model[0].running_mean.fill_(100.0)
    batches = [(allgrad.tensor([[1.0], [3.0]]), "label"), (allgrad.tensor([[5.0], [7.0]]), "label")]
    swa_utils.update_bn(batches, model)
    assert model[0].running_mean.item() == pytest.approx(4.0)
    assert model[0].running_var.item() == pytest.approx(2.0)
    assert (model[0].momentum, model.training) == (0.3, False)


def test_a_model_without_batch_norm_is_left_alone() -> None:
    swa_utils.update_bn([object()], nn.Linear(1, 1))


@pytest.mark.parametrize(
    "options",
    [
        {"swa_lr": 0.05},
        {"swa_lr": [0.5, 0.01], "anneal_epochs": 4, "anneal_strategy": "linear"},
        {"swa_lr": 0.3, "anneal_epochs": 0},
    ],
    ids=str,
)
def test_rates_equal_pytorchs(options: dict[str, Any]) -> None:
    torch: Any = pytest.importorskip("torch")
    found = []
    for library in (torch, allgrad):
        weights = [library.nn.Parameter(library.zeros(1)) for _ in range(2)]
        optimizer = library.optim.SGD([{"params": weights[0]}, {"params": weights[1], "lr": 0.2}], lr=0.1)
        scheduler = library.optim.swa_utils.SWALR(optimizer, **options)
        seen = [scheduler.get_last_lr()]
        for _ in range(15):
            optimizer.step()
            scheduler.step()
            seen.append([group["lr"] for group in optimizer.param_groups])
        found.append(seen)
    np.testing.assert_allclose(found[1], found[0], rtol=1e-12)


def test_the_rate_goes_along_a_line_and_stays() -> None:
    optimizer = optim.SGD([allgrad.zeros(1, requires_grad=True)], lr=1.0)
    scheduler = swa_utils.SWALR(optimizer, 0.5, anneal_epochs=2, anneal_strategy="linear")
    seen = []
    for _ in range(4):
        seen.append(scheduler.get_last_lr()[0])
        optimizer.step()
        scheduler.step()
    assert seen == pytest.approx([1.0, 0.75, 0.5, 0.5])


def test_impossible_arguments_raise_pytorchs_errors() -> None:
    optimizer = optim.SGD([allgrad.zeros(1, requires_grad=True)], lr=1.0)
    with pytest.raises(ValueError, match="Invalid decay value 2"):
        swa_utils.get_ema_avg_fn(2)
    with pytest.raises(ValueError, match="anneal_strategy must be one of"):
        swa_utils.SWALR(optimizer, 0.1, anneal_strategy="step")
    with pytest.raises(ValueError, match="anneal_epochs must be equal or greater than 0, got -1"):
        swa_utils.SWALR(optimizer, 0.1, anneal_epochs=-1)
    with pytest.raises(AssertionError, match="Only one of avg_fn and multi_avg_fn"):
        averaged_weights(allgrad, [], avg_fn=swa_utils.get_swa_avg_fn(), multi_avg_fn=swa_utils.get_swa_multi_avg_fn())
