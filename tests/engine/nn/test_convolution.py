"""Modules that convolve, pool and fold: their parameters, their printed form, and what they refuse."""

from __future__ import annotations

from typing import Any

import pytest

import allgrad as torch
from allgrad import nn
from allgrad.nn import functional as F

PRINTED = [
    (lambda nn: nn.Conv1d(2, 4, 3), "Conv1d(2, 4, kernel_size=(3,), stride=(1,))"),
    (
        lambda nn: nn.Conv2d(2, 4, (3, 2), 2, 1, 2, 2, False, "reflect"),
        "Conv2d(2, 4, kernel_size=(3, 2), stride=(2, 2), padding=(1, 1), dilation=(2, 2), groups=2, bias=False, "
        "padding_mode=reflect)",
    ),
    (
        lambda nn: nn.Conv3d(1, 1, 1, padding="same"),
        "Conv3d(1, 1, kernel_size=(1, 1, 1), stride=(1, 1, 1), padding=same)",
    ),
    (
        lambda nn: nn.ConvTranspose2d(4, 2, 3, 2, 1, 1),
        "ConvTranspose2d(4, 2, kernel_size=(3, 3), stride=(2, 2), padding=(1, 1), output_padding=(1, 1))",
    ),
    (
        lambda nn: nn.MaxPool1d(2, return_indices=True),
        "MaxPool1d(kernel_size=2, stride=2, padding=0, dilation=1, ceil_mode=False)",
    ),
    (lambda nn: nn.MaxUnpool2d(2, (1, 2)), "MaxUnpool2d(kernel_size=(2, 2), stride=(1, 2), padding=(0, 0))"),
    (lambda nn: nn.AvgPool1d(3, 2), "AvgPool1d(kernel_size=(3,), stride=(2,), padding=(0,))"),
    (lambda nn: nn.AvgPool3d((3, 2, 1)), "AvgPool3d(kernel_size=(3, 2, 1), stride=(3, 2, 1), padding=0)"),
    (lambda nn: nn.LPPool2d(2, 3), "LPPool2d(norm_type=2, kernel_size=3, stride=None, ceil_mode=False)"),
    (lambda nn: nn.AdaptiveAvgPool2d((None, 3)), "AdaptiveAvgPool2d(output_size=(None, 3))"),
    (lambda nn: nn.AdaptiveMaxPool3d(2), "AdaptiveMaxPool3d(output_size=2)"),
    (lambda nn: nn.FractionalMaxPool2d(2, output_size=3), "FractionalMaxPool2d()"),
    (
        lambda nn: nn.Fold((4, 5), 2, padding=1),
        "Fold(output_size=(4, 5), kernel_size=2, dilation=1, padding=1, stride=1)",
    ),
    (lambda nn: nn.Unfold(3, stride=(2, 1)), "Unfold(kernel_size=3, dilation=1, padding=0, stride=(2, 1))"),
]


@pytest.mark.parametrize(("make", "printed"), PRINTED)
def test_modules_are_printed_as_pytorch_prints_them(make: Any, printed: str) -> None:
    assert repr(make(nn)) == printed


@pytest.mark.parametrize("make", [make for make, _ in PRINTED])
def test_modules_print_and_hold_what_those_of_pytorch_do(make: Any) -> None:
    reference = pytest.importorskip("torch")
    ours, theirs = make(nn), make(reference.nn)
    assert repr(ours) == repr(theirs)
    assert {k: tuple(v.shape) for k, v in ours.state_dict().items()} == {
        k: tuple(v.shape) for k, v in theirs.state_dict().items()
    }


@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
@pytest.mark.parametrize("dims", [1, 2, 3])
def test_a_padding_mode_pads_before_it_convolves(mode: str, dims: int) -> None:
    x = torch.randn(2, 3, *(5, 4, 6)[:dims])
    module = getattr(nn, f"Conv{dims}d")(3, 2, 3, padding=tuple(range(1, dims + 1)), padding_mode=mode)
    sides = [n for p in reversed(range(1, dims + 1)) for n in (p, p)]
    plain = getattr(F, f"conv{dims}d")(F.pad(x, sides, mode), module.weight, module.bias)
    assert module(x).tolist() == plain.tolist()


def test_same_padding_by_a_mode_puts_the_odd_element_at_the_end() -> None:
    module = nn.Conv1d(1, 1, 2, padding="same", padding_mode="circular", bias=False)
    x = torch.randn(1, 1, 5)
    assert module(x).tolist() == F.conv1d(F.pad(x, (0, 1), "circular"), module.weight).tolist()


def test_a_transposed_convolution_makes_the_size_that_is_asked_for() -> None:
    module = nn.ConvTranspose2d(2, 3, 3, stride=2, padding=1)
    x = torch.randn(1, 2, 4, 5)
    assert module(x).shape == (1, 3, 7, 9)
    assert module(x, output_size=(8, 9)).shape == (1, 3, 8, 9)
    assert module(x, output_size=(1, 3, 7, 10)).shape == (1, 3, 7, 10)
    with pytest.raises(ValueError, match=r"valid sizes range from \[7, 9\] to \[8, 10\]"):
        module(x, output_size=(9, 9))
    with pytest.raises(ValueError, match=r"must have 2 or 4 elements \(got 3\)"):
        module(x, output_size=(1, 8, 9))


def test_pooling_modules_give_what_the_functions_give() -> None:
    x = torch.randn(2, 3, 6, 6)
    values, indices = nn.MaxPool2d(2, return_indices=True)(x)
    assert values.tolist() == F.max_pool2d(x, 2).tolist()
    unpooled = nn.MaxUnpool2d(2)(values, indices, output_size=x.shape)
    assert unpooled.sum().item() == pytest.approx(values.sum().item(), rel=1e-5)
    assert nn.AvgPool2d(3, 2, 1)(x).tolist() == F.avg_pool2d(x, 3, 2, 1).tolist()
    assert nn.LPPool2d(2, 2)(x).tolist() == F.lp_pool2d(x, 2.0, 2).tolist()
    assert nn.AdaptiveAvgPool2d((5, None))(x).shape == (2, 3, 5, 6)
    assert nn.AdaptiveMaxPool2d(4, return_indices=True)(x)[1].dtype is torch.int64
    assert nn.FractionalMaxPool2d((2, 3), output_ratio=0.5)(x).shape == (2, 3, 3, 3)
    assert nn.Fold((6, 6), 2)(nn.Unfold(2)(x)).shape == x.shape


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nn.Conv2d(3, 4, 2, groups=2), "in_channels must be divisible by groups, found 3 and 2"),
        (lambda: nn.Conv2d(4, 3, 2, groups=2), "out_channels must be divisible by groups"),
        (lambda: nn.Conv2d(4, 4, 2, groups=0), "groups must be a positive integer"),
        (lambda: nn.Conv1d(1, 1, 2, padding="half"), "Invalid padding string 'half'"),
        (lambda: nn.Conv1d(1, 1, 2, 2, padding="same"), "not supported for strided"),
        (lambda: nn.Conv1d(1, 1, 2, padding_mode="mirror"), "padding_mode must be one of"),
        (lambda: nn.ConvTranspose1d(1, 1, 2, padding_mode="reflect"), 'Only "zeros" padding mode'),
        (lambda: nn.FractionalMaxPool2d(2), "either an output_size or an output_ratio"),
        (lambda: nn.FractionalMaxPool2d(2, output_ratio=1.5), "between 0 and 1"),
    ],
)
def test_a_module_that_cannot_be_is_refused_when_it_is_made(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
