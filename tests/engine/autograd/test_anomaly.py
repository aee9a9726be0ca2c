"""Anomaly detection: the stack of the forward call behind a backward that fails, and NaN among gradients."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import pytest

import allgrad as torch
from allgrad import Tensor


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Anomaly Detection has been enabled")
        yield


def root_of(x: Tensor) -> Tensor:
    return x.sqrt()  # the line of interest


def test_a_nan_in_backward_raises_and_shows_the_whole_stack_of_the_forward() -> None:
    x = torch.zeros(1, requires_grad=True)
    with torch.autograd.detect_anomaly():
        y = root_of(x) * 0
        with (
            pytest.raises(RuntimeError, match="Function 'SqrtBackward0' returned nan values in its 0th output"),
            pytest.warns(UserWarning, match="Error detected") as caught,
        ):
            y.backward()
    text = str(caught[0].message)
    assert text.startswith("Error detected in SqrtBackward0. Traceback of forward call that caused the error:")
    assert "return x.sqrt()  # the line of interest" in text
    assert "y = root_of(x) * 0" in text
    assert "backward.py" not in text


def test_any_error_in_backward_shows_the_forward() -> None:
    x = torch.ones(1, requires_grad=True)
    with torch.autograd.detect_anomaly():
        y = x.exp()
        y += 1
        with pytest.raises(RuntimeError, match="inplace"), pytest.warns(UserWarning, match="ExpBackward0"):
            y.backward()


def test_an_operation_recorded_outside_has_no_stack() -> None:
    y = torch.zeros(1, requires_grad=True).sqrt() * 0
    with (
        torch.autograd.detect_anomaly(),
        pytest.raises(RuntimeError, match="nan values"),
        pytest.warns(UserWarning, match="No forward pass information available"),
    ):
        y.backward()


def test_nan_passes_where_it_is_not_checked_for() -> None:
    x = torch.zeros(1, requires_grad=True)
    with torch.autograd.detect_anomaly(check_nan=False):
        (x.sqrt() * 0).backward()
    assert x.grad is not None
    assert x.grad.isnan().all()


def test_it_can_be_switched_and_asked_for() -> None:
    assert not torch.is_anomaly_enabled()
    with torch.autograd.set_detect_anomaly(True, check_nan=False):
        assert torch.is_anomaly_enabled()
        assert not torch.is_anomaly_check_nan_enabled()
        with torch.autograd.set_detect_anomaly(False):
            assert not torch.is_anomaly_enabled()
        assert torch.is_anomaly_enabled()
    assert not torch.is_anomaly_enabled()
    torch.set_anomaly_enabled(True)
    assert torch.is_anomaly_check_nan_enabled()
    torch.set_anomaly_enabled(False)
    assert not torch.is_anomaly_enabled()
