"""Batch norms folded into the layer before them, and modules made without first weights."""

from __future__ import annotations

from typing import Any

import pytest

import allgrad
from allgrad import nn
from allgrad.nn.utils import fuse_conv_bn_eval, fuse_linear_bn_eval, skip_init


def trained(norm: Any) -> Any:
    norm.running_mean.uniform_(-1, 1)
    norm.running_var.uniform_(0.5, 2)
    if norm.weight is not None:
        nn.init.uniform_(norm.weight)
        nn.init.uniform_(norm.bias)
    return norm.eval()


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("affine", [True, False])
def test_a_fused_convolution_computes_the_same(bias: bool, affine: bool) -> None:
    conv, norm = nn.Conv2d(2, 4, 3, bias=bias, groups=2).eval(), trained(nn.BatchNorm2d(4, affine=affine))
    x = allgrad.randn(2, 2, 5, 5)
    assert allgrad.allclose(fuse_conv_bn_eval(conv, norm)(x), norm(conv(x)), atol=1e-5)
    transposed = nn.ConvTranspose1d(2, 4, 3, bias=bias).eval()
    norm = trained(nn.BatchNorm1d(4, affine=affine))
    fused = fuse_conv_bn_eval(transposed, norm, transpose=True)
    assert allgrad.allclose(fused(x[..., 0]), norm(transposed(x[..., 0])), atol=1e-5)


@pytest.mark.parametrize("bias", [True, False])
def test_a_fused_linear_layer_computes_the_same(bias: bool) -> None:
    linear, norm = nn.Linear(3, 4, bias=bias).eval(), trained(nn.BatchNorm1d(4))
    x = allgrad.randn(5, 3)
    fused = fuse_linear_bn_eval(linear, norm)
    assert allgrad.allclose(fused(x), norm(linear(x)), atol=1e-5)
    assert isinstance(fused.bias, nn.Parameter)


def test_only_layers_in_use_are_fused() -> None:
    with pytest.raises(AssertionError, match="Fusion only for eval!"):
        fuse_conv_bn_eval(nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1).eval())
    with pytest.raises(AssertionError, match="must not be None"):
        fuse_conv_bn_eval(nn.Conv2d(1, 1, 1).eval(), nn.BatchNorm2d(1, track_running_stats=False).eval())
    with pytest.raises(AssertionError, match=r"got linear\.out_features=4 and bn\.num_features=3"):
        fuse_linear_bn_eval(nn.Linear(2, 4).eval(), nn.BatchNorm1d(3).eval())


def test_a_module_made_without_first_weights_draws_no_random_numbers() -> None:
    allgrad.manual_seed(0)
    expected = allgrad.rand(1)
    allgrad.manual_seed(0)
    layer = skip_init(nn.Linear, 3, 4, dtype=allgrad.float64)
    assert (layer.weight.shape, layer.weight.dtype) == ((4, 3), allgrad.float64)
    assert allgrad.equal(allgrad.rand(1), expected)
    with pytest.raises(RuntimeError, match="must support a 'device' arg"):
        skip_init(nn.ReLU)
    with pytest.raises(RuntimeError, match="Expected a Module"):
        skip_init(dict)  # type: ignore[type-var]
