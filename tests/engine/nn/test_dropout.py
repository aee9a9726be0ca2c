"""Dropout of elements and of channels: what is left out, what stays, and how the rest is scaled."""

from __future__ import annotations

import warnings
from typing import Any

import pytest

import allgrad as torch
from allgrad import nn
from allgrad.nn import functional as F


@pytest.mark.parametrize(
    ("name", "shape"), [("dropout1d", (20, 30, 4)), ("dropout2d", (20, 30, 2, 2)), ("dropout3d", (20, 30, 2, 1, 2))]
)
def test_channels_are_left_out_whole_and_the_others_scaled(name: str, shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    channels = getattr(F, name)(torch.ones(*shape), 0.25).reshape(600, -1)
    assert torch.equal(channels.amin(1), channels.amax(1))
    assert sorted(set(channels[:, 0].tolist())) == pytest.approx([0.0, 1 / 0.75])
    assert 0.7 < float((channels[:, 0] > 0).float().mean()) < 0.8


def test_an_example_without_a_batch_dimension_has_channels_first() -> None:
    torch.manual_seed(0)
    dropped = F.dropout1d(torch.ones(50, 6), 0.5)
    assert torch.equal(dropped.amin(1), dropped.amax(1))
    assert 0 < int((dropped[:, 0] == 0).sum()) < 50


@pytest.mark.parametrize("function", [F.alpha_dropout, F.feature_alpha_dropout])
def test_alpha_dropout_keeps_mean_and_variance(function: Any) -> None:
    torch.manual_seed(0)
    x = torch.randn(400, 400)
    dropped = function(x, 0.3, training=True)
    assert abs(float(dropped.mean())) < 0.02
    assert abs(float(dropped.var()) - 1) < 0.02


def test_in_place_dropout_overwrites_its_input() -> None:
    for function in (F.dropout, F.dropout1d, F.alpha_dropout):
        x = torch.ones(3, 4)
        assert function(x, 0.5, training=True, inplace=True) is x


def test_nothing_is_left_out_in_evaluation() -> None:
    x = torch.ones(2, 3)
    for module in (nn.Dropout(), nn.Dropout1d(), nn.AlphaDropout(), nn.FeatureAlphaDropout()):
        assert module.eval()(x) is x


def test_everything_is_left_out_with_probability_one() -> None:
    for function in (F.dropout, F.dropout1d, F.alpha_dropout, F.feature_alpha_dropout):
        assert not function(torch.ones(2, 3), 1.0, training=True).any()


def test_dropout2d_warns_of_what_is_no_image() -> None:
    with pytest.warns(UserWarning, match="dropout2d: Received a 3-D input"):
        F.dropout2d(torch.ones(2, 3, 4))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        F.dropout2d(torch.ones(2, 3, 4, 4))


def test_a_probability_that_is_none_is_refused() -> None:
    for function in (F.dropout, F.dropout2d, F.alpha_dropout, F.feature_alpha_dropout):
        with pytest.raises(ValueError, match=r"between 0 and 1, but got 1\.5"):
            function(torch.ones(2, 3), 1.5)
    with pytest.raises(ValueError, match="between 0 and 1"):
        nn.AlphaDropout(-0.1)
    with pytest.raises(RuntimeError, match="at least 2 dimensions"):
        F.feature_alpha_dropout(torch.ones(3), 0.5, training=True)
