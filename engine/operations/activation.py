"""Activations: the smooth nonlinearities of networks beyond sigmoid and tanh."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..batching import as_array
from ..dtypes import float64
from ..errors import normal_dim
from ..kernels.activation import gelu as gelu_values
from ..kernels.activation import gelu_backward as gelu_gradient
from ..kernels.pointwise import in_one_pass
from ..random import numpy_generator
from ..registry import Array, composite, operation
from ..registry.operation import Promotion
from ..registry.samples import each, on, real, unary
from ..tensors.tensor import Tensor
from .elementwise import sigmoid, tanh
from .loss import softmax
from .rectifiers import applied, check_floating
from .shape import narrow


@operation(
    lambda g, input: gelu_backward(g, input),
    lambda g, grad, input: (
        g * grad * (2.0 - input * input) * (np.exp(input * input * -0.5) * (1 / math.sqrt(2 * math.pi)))
    ),
    public=False,
    samples=on(real(3, 4), real(3, 4)),
)
def gelu_backward(grad: Array, input: Array) -> Array:
    """grad · (Φ(input) + input · φ(input)), the gradient through the exact GELU."""
    return gelu_gradient(grad, input)


@operation(
    lambda g, input: gelu_backward(g, input),
    promotion=Promotion.FLOATING,
    public=False,
    node_name="GeluBackward0",
    samples=unary(),
)
def gelu_exactly(input: Array) -> Array:
    """input times the normal distribution function of input."""
    return gelu_values(input)


@composite(out=True, method=False, samples=each(unary(), on(real(3, 4), approximate="tanh")))
def gelu(input: Tensor, approximate: str = "none") -> Tensor:
    """input times the normal distribution function of input (Hendrycks and Gimpel 2016); or "tanh"'s approximation.

    >>> import allgrad as torch
    >>> torch.nn.functional.gelu(torch.tensor([-1.0, 0.0, 1.0]))
    tensor([-0.1587,  0.0000,  0.8413])
    """
    check_floating("GeluKernelImpl", input._array)
    if approximate == "none":
        return gelu_exactly(input)
    if approximate != "tanh":
        raise RuntimeError(f"approximate argument must be either none or tanh, but found {approximate!r}")
    cubic = (input + input * input * input * 0.044715) * math.sqrt(2.0 / math.pi)
    return input * 0.5 * (tanh(cubic) + 1.0)


def _silu_rule(g: Any, input: Any) -> Any:
    fused = in_one_pass("silu_backward", g, input)
    if fused is not None:
        return fused
    s = 1.0 / (1.0 + np.exp(-input))
    return g * (s * (1.0 + input * (1.0 - s)))


@operation(_silu_rule, public=False, node_name="SiluBackward0", samples=unary())
def silu_values(input: Array) -> Array:
    """input · sigmoid(input)."""
    check_floating("silu", input)
    fused = in_one_pass("silu", input)
    return input / (1.0 + np.exp(-input)) if fused is None else fused


@composite(method=False, samples=unary())
def silu(input: Tensor, inplace: bool = False) -> Tensor:
    """input · sigmoid(input), also of complex numbers.

    >>> import allgrad as torch
    >>> torch.nn.functional.silu(torch.tensor([-1.0, 1.0]))
    tensor([-0.2689,  0.7311])
    """
    return applied(silu_values, "silu", input, inplace)


def _mish_rule(g: Any, input: Any) -> Any:
    t = np.tanh(softplus_values(input, 1.0, 20.0))
    return g * (t + input * sigmoid(input) * (1.0 - t * t))


@operation(_mish_rule, public=False, node_name="MishBackward0", samples=unary(), refuses="c")
def mish_values(input: Array) -> Array:
    """input · tanh(softplus(input))."""
    check_floating("mish", input)
    return input * np.tanh(np.log1p(np.exp(input)))


@composite(method=False, samples=unary())
def mish(input: Tensor, inplace: bool = False) -> Tensor:
    """input · tanh(softplus(input)) (Misra 2019)."""
    return applied(mish_values, "mish", input, inplace)


def _softplus_rule(g: Any, input: Any, beta: float, threshold: float) -> Any:
    fused = in_one_pass("softplus_backward", g, input, beta, threshold)
    if fused is not None:
        return fused
    scaled = input * beta
    held = np.where(scaled >= threshold, threshold, scaled)  # PyTorch's second derivative is 0 at the threshold
    return np.where(scaled > threshold, g, g * sigmoid(held))


@operation(_softplus_rule, public=False, node_name="SoftplusBackward0", samples=on(real(3, 4), 2.0, 1.5), refuses="c")
def softplus_values(input: Array, beta: float, threshold: float) -> Array:
    """log(1 + exp(beta · input)) / beta; input itself where beta · input exceeds *threshold*."""
    check_floating("softplus", input)
    fused = in_one_pass("softplus", input, beta, threshold)
    if fused is not None:
        return fused
    scaled = input * beta
    return np.where(scaled > threshold, input, np.log1p(np.exp(np.minimum(scaled, threshold))) / beta)


@composite(out=True, method=False, samples=each(unary(), on(real(3, 4), 2.0, 1.5)))
def softplus(input: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """log(1 + exp(beta · input)) / beta, a smooth relu; input itself where beta · input exceeds *threshold*."""
    return softplus_values(input, float(beta), float(threshold))


def _logsigmoid_rule(g: Any, input: Any) -> Any:
    fused = in_one_pass("logsigmoid_backward", g, input)
    return g * sigmoid(-input) if fused is None else fused


@operation(_logsigmoid_rule, method=False, node_name="LogSigmoidBackward0", samples=unary(), refuses="c")
def logsigmoid(input: Array) -> Array:
    """log(sigmoid(input)), without overflow."""
    check_floating("log_sigmoid", input)
    fused = in_one_pass("logsigmoid", input)
    if fused is not None:
        return fused
    return np.minimum(input, 0.0) - np.log1p(np.exp(-np.absolute(input)))


@composite(method=False, samples=unary())
def softsign(input: Tensor) -> Any:
    """input / (1 + |input|)."""
    return input / (input.abs() + 1)


@composite(method=False, samples=unary())
def tanhshrink(input: Tensor) -> Tensor:
    """input - tanh(input)."""
    return input - tanh(input)


@composite(method=False, samples=each(on(real(3, 4)), on(real(2, 4, 3), 1)))
def glu(input: Tensor, dim: int = -1) -> Tensor:
    """The first half of input along *dim*, times the sigmoid of the second (Dauphin et al. 2017).

    RuntimeError where *dim* does not have an even size.

    >>> import allgrad as torch
    >>> torch.nn.functional.glu(torch.tensor([2.0, 4.0, 0.0, 0.0]))
    tensor([1., 2.])
    """
    if not input._array.ndim:
        raise RuntimeError("glu does not support scalars because halving size must be even")
    d = normal_dim(dim, input._array.ndim)
    size = input._array.shape[d]
    if size % 2:
        raise RuntimeError(f"Halving dimension must be even, but dimension {d} is size {size}")
    check_floating("glu", input._array)
    return narrow(input, d, 0, size // 2) * sigmoid(narrow(input, d, size // 2, size // 2))


@composite(method=False, samples=each(on(real(3, 4), 1), on(real(3, 4), 0, 3, float64)))
def softmin(input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Tensor:
    """The softmax of -input along *dim*."""
    return softmax(-input, dim, _stacklevel, dtype)


@composite(method=False)
def gumbel_softmax(logits: Tensor, tau: float = 1, hard: bool = False, eps: float = 1e-10, dim: int = -1) -> Tensor:
    """A random sample, by *logits* along *dim*, with a gradient (Jang et al. 2017): near one-hot for a small *tau*.

    If *hard* it is one-hot, with the gradient of the soft one. *eps* has no effect.

    >>> import allgrad as torch
    >>> torch.nn.functional.gumbel_softmax(torch.tensor([0.0, 100.0]), hard=True)
    tensor([0., 1.])
    """
    check_floating("gumbel_softmax", logits._array)
    draws = numpy_generator(None).gumbel(size=logits._array.shape)
    soft = softmax((logits + Tensor._wrap(as_array(draws, dtype=logits._array.dtype))) / tau, dim)
    if not hard:
        return soft
    highest = np.argmax(soft._array, axis=dim, keepdims=True)
    one_hot = np.zeros_like(soft._array)
    np.put_along_axis(one_hot, highest, 1.0, dim)
    return Tensor._wrap(one_hot) - soft.detach() + soft
