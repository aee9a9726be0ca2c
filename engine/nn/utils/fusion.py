"""Folding a batch norm, while in use a fixed scale and shift, into the layer before it."""

from __future__ import annotations

from copy import deepcopy
from typing import TypeVar

from ...operations.creation import ones_like, zeros_like
from ...operations.elementwise import rsqrt
from ...tensors.parameter import Parameter
from ...tensors.tensor import Tensor
from ..convolution import _Convolution
from ..linear import Linear
from ..normalization import _BatchNorm

C = TypeVar("C", bound=_Convolution)
L = TypeVar("L", bound=Linear)


def _check_in_use(layer: _Convolution | Linear, bn: _BatchNorm) -> None:
    if layer.training or bn.training:
        raise AssertionError("Fusion only for eval!")
    if bn.running_mean is None or bn.running_var is None:
        raise AssertionError("bn.running_mean and bn.running_var must not be None")


def fuse_conv_bn_eval(conv: C, bn: _BatchNorm, transpose: bool = False) -> C:
    """Return a convolution that computes what *conv* and then *bn* do; both must be in eval mode.

    *transpose* for a transposed convolution.

    Example:
        >>> import allgrad as torch
        >>> conv, norm = torch.nn.Conv2d(1, 2, 3).eval(), torch.nn.BatchNorm2d(2).eval()
        >>> fused = torch.nn.utils.fuse_conv_bn_eval(conv, norm)
        >>> x = torch.randn(1, 1, 5, 5)
        >>> torch.allclose(fused(x), norm(conv(x)), atol=1e-6)
        True
    """
    _check_in_use(conv, bn)
    fused = deepcopy(conv)
    fused.weight, fused.bias = fuse_conv_bn_weights(
        conv.weight, conv.bias, bn.running_mean, bn.running_var, bn.eps, bn.weight, bn.bias, transpose
    )
    return fused


def fuse_conv_bn_weights(
    conv_w: Tensor,
    conv_b: Tensor | None,
    bn_rm: Tensor,
    bn_rv: Tensor,
    bn_eps: float,
    bn_w: Tensor | None,
    bn_b: Tensor | None,
    transpose: bool = False,
) -> tuple[Parameter, Parameter]:
    """Return weight and bias of a convolution with the batch norm of these statistics, weight and bias folded in."""
    shape = [1, -1] if transpose else [-1, 1]
    return _fuse(conv_w, conv_b, bn_rm, bn_rv, bn_eps, bn_w, bn_b, shape + [1] * (conv_w.ndim - 2))


def fuse_linear_bn_eval(linear: L, bn: _BatchNorm) -> L:
    """Return a linear layer that computes what *linear* and then *bn* do; both must be in eval mode.

    AssertionError unless *bn* has as many features as *linear* has outputs, or one.
    """
    _check_in_use(linear, bn)
    if bn.num_features not in (linear.out_features, 1):
        raise AssertionError(
            "To fuse, linear.out_features == bn.num_features or bn.num_features == 1, got "
            f"linear.out_features={linear.out_features} and bn.num_features={bn.num_features}"
        )
    fused = deepcopy(linear)
    fused.weight, fused.bias = fuse_linear_bn_weights(
        linear.weight, linear.bias, bn.running_mean, bn.running_var, bn.eps, bn.weight, bn.bias
    )
    return fused


def fuse_linear_bn_weights(
    linear_w: Tensor,
    linear_b: Tensor | None,
    bn_rm: Tensor,
    bn_rv: Tensor,
    bn_eps: float,
    bn_w: Tensor | None,
    bn_b: Tensor | None,
) -> tuple[Parameter, Parameter]:
    """Return weight and bias of a linear layer with the batch norm of these statistics, weight and bias folded in."""
    return _fuse(linear_w, linear_b, bn_rm, bn_rv, bn_eps, bn_w, bn_b, [-1, 1])


def _fuse(
    weight: Tensor,
    bias: Tensor | None,
    mean: Tensor,
    variance: Tensor,
    eps: float,
    scale: Tensor | None,
    shift: Tensor | None,
    shape: list[int],
) -> tuple[Parameter, Parameter]:
    scale = ones_like(mean) if scale is None else scale
    shift = zeros_like(mean) if shift is None else shift
    bias = zeros_like(mean) if bias is None else bias
    factor = scale * rsqrt(variance + eps)
    fused = (weight * factor.reshape(shape)).to(weight.dtype), ((bias - mean) * factor + shift).to(weight.dtype)
    return Parameter(fused[0].detach(), weight.requires_grad), Parameter(fused[1].detach(), bias.requires_grad)
