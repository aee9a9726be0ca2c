"""Activations: the nonlinearities of networks beyond relu, sigmoid and tanh."""

from __future__ import annotations

import math
from typing import Any

from ..registry import composite
from ..registry.operation import Promotion
from ..registry.samples import each, on, real, unary
from ..tensors.tensor import Tensor
from .comparison import choose
from .elementwise import exp, log1p, sigmoid, tanh
from .special import erf

FLOATING = Promotion.FLOATING


@composite(method=False, samples=each(unary(), on(real(3, 4), approximate="tanh")))
def gelu(input: Tensor, approximate: str = "none") -> Tensor:
    """input times the normal distribution function of input (Hendrycks and Gimpel 2016); or "tanh"'s approximation.

    >>> import allgrad as torch
    >>> torch.nn.functional.gelu(torch.tensor([-1.0, 0.0, 1.0]))
    tensor([-0.1587,  0.0000,  0.8413])
    """
    if approximate == "none":
        return input * 0.5 * (erf(input * (1 / math.sqrt(2.0))) + 1.0)
    if approximate != "tanh":
        raise RuntimeError(f"approximate argument must be either none or tanh, but found {approximate!r}")
    cubic = (input + input * input * input * 0.044715) * math.sqrt(2.0 / math.pi)
    return input * 0.5 * (tanh(cubic) + 1.0)


def _finished(input: Tensor, result: Tensor, inplace: bool) -> Tensor:
    """*result*, written over *input* if *inplace*."""
    return input.copy_(result) if inplace else result


@composite(method=False, samples=unary())
def silu(input: Tensor, inplace: bool = False) -> Tensor:
    """input · sigmoid(input)."""
    return _finished(input, input * sigmoid(input), inplace)


@composite(method=False, samples=unary())
def mish(input: Tensor, inplace: bool = False) -> Tensor:
    """input · tanh(softplus(input))."""
    return _finished(input, input * tanh(softplus(input)), inplace)


@composite(method=False, samples=unary())
def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """input where it is positive, else *negative_slope* · input."""
    return _finished(input, choose(input > 0, input, input * negative_slope), inplace)


@composite(method=False, samples=unary())
def elu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """input where it is positive, else *alpha* · (exp(input) - 1)."""
    return _finished(input, choose(input > 0, input, input.clamp(max=0.0).expm1() * alpha), inplace)


@composite(method=False, samples=each(unary(), on(real(3, 4), 2.0, 1.5)))
def softplus(input: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """log(1 + exp(beta · input)) / beta, a smooth relu; input itself where beta · input exceeds *threshold*."""
    scaled = input * beta
    smooth = log1p(exp(scaled.clamp(max=threshold))) / beta
    return choose(scaled > threshold, input, smooth)


@composite(method=False, samples=unary())
def logsigmoid(input: Tensor) -> Tensor:
    """log(sigmoid(input)), without overflow."""
    return input.clamp(max=0.0) - log1p(exp(-input.abs()))


@composite(method=False, samples=unary())
def hardtanh(input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Tensor:
    """input held between *min_val* and *max_val*; its derivative is 0 at both."""
    inside = (input > min_val) & (input < max_val)
    return _finished(input, choose(inside, input, input.detach().clamp(min_val, max_val)), inplace)


@composite(method=False, samples=unary())
def relu6(input: Tensor, inplace: bool = False) -> Tensor:
    """input held between 0 and 6."""
    return hardtanh(input, 0.0, 6.0, inplace)


@composite(method=False, samples=unary())
def softsign(input: Tensor) -> Any:
    """input / (1 + |input|)."""
    return input / (input.abs() + 1)
