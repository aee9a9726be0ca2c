"""Rectifiers: the activations made of pieces, each with PyTorch's derivative where the pieces meet."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..batching import as_array
from ..kernels.pointwise import in_one_pass
from ..random import numpy_generator
from ..registry import Array, composite, operation
from ..registry.inplace import apply
from ..registry.samples import Samples, each, on, real
from ..tensors.tensor import Tensor
from .elementwise import relu as _relu

SELU_ALPHA, SELU_SCALE = 1.6732632423543772, 1.0507009873554805  # Klambauer et al. 2017


def applied(way: Callable[..., Any], name: str, input: Tensor, inplace: bool, *args: Any) -> Tensor:
    """``way(input, *args)``, written over *input* if *inplace*."""
    return apply(way, name + "_", input, args, {}, True) if inplace else way(input, *args)


def check_floating(name: str, input: Array) -> None:
    """NotImplementedError for whole numbers and bools, which PyTorch's activations do not take."""
    if input.dtype.kind not in "fc":
        raise NotImplementedError(f'"{name}" not implemented for {input.dtype}: convert it with .float() first')


def _wide(*args: Any) -> Samples:
    """Matrices with elements on every piece, and a 0-d operand."""
    return each(on(real(3, 5, low=-8.0, high=8.0), *args), on(real(3, 4), *args), on(real(), *args))


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """input where it is positive, else 0, over input itself if *inplace*. Its derivative at 0 is 0.

    >>> import allgrad as torch
    >>> torch.nn.functional.relu(torch.tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """
    return input.relu_() if inplace else _relu(input)


def relu_(input: Tensor) -> Tensor:
    """In-place version of :func:`relu`."""
    return relu(input, inplace=True)


@operation(
    lambda g, input, threshold: np.where(input <= threshold, 0.0, g),
    public=False,
    node_name="ThresholdBackward0",
    samples=_wide(0.5, -1.5),
    refuses="c",
)
def threshold_values(input: Array, threshold: float, value: float) -> Array:
    """input where it exceeds *threshold*, else *value*."""
    return np.where(input <= threshold, np.asarray(value, dtype=input.dtype), input)


@composite(method=False, samples=_wide(0.5, -1.5))
def threshold(input: Tensor, threshold: float, value: float, inplace: bool = False) -> Tensor:
    """input where it exceeds *threshold*, else *value*; the derivative at *threshold* is 0.

    >>> import allgrad as torch
    >>> torch.nn.functional.threshold(torch.tensor([0.5, 2.0]), 1.0, -7.0)
    tensor([-7.,  2.])
    """
    return applied(threshold_values, "threshold", input, inplace, threshold, value)


def threshold_(input: Tensor, threshold: float, value: float) -> Tensor:
    """In-place version of :func:`threshold`."""
    return applied(threshold_values, "threshold", input, True, threshold, value)


def _hardtanh_rule(g: Any, input: Any, min_val: float, max_val: float) -> Any:
    fused = in_one_pass("hardtanh_backward", g, input, float(min_val), float(max_val))
    return np.where((input <= min_val) | (input >= max_val), 0.0, g) if fused is None else fused


@operation(
    _hardtanh_rule,
    public=False,
    node_name="HardtanhBackward0",
    samples=_wide(-1.0, 1.5),
    refuses="c",
)
def hardtanh_values(input: Array, min_val: float, max_val: float) -> Array:
    """input held between *min_val* and *max_val*."""
    return np.clip(input, np.asarray(min_val, dtype=input.dtype), np.asarray(max_val, dtype=input.dtype))


@composite(method=False, samples=_wide())
def hardtanh(input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Tensor:
    """input held between *min_val* and *max_val*; its derivative is 0 at both. ValueError where they cross."""
    if min_val > max_val:
        raise ValueError(f"min_val cannot be greater than max_val, found {min_val} and {max_val}")
    return applied(hardtanh_values, "hardtanh", input, inplace, min_val, max_val)


def hardtanh_(input: Tensor, min_val: float = -1.0, max_val: float = 1.0) -> Tensor:
    """In-place version of :func:`hardtanh`."""
    return hardtanh(input, min_val, max_val, inplace=True)


@composite(method=False, samples=_wide())
def relu6(input: Tensor, inplace: bool = False) -> Tensor:
    """input held between 0 and 6; its derivative is 0 at both."""
    return hardtanh(input, 0.0, 6.0, inplace)


@operation(
    lambda g, input: np.where((input > -3.0) & (input < 3.0), g / 6.0, 0.0),
    public=False,
    node_name="HardsigmoidBackward0",
    samples=_wide(),
    refuses="c",
)
def hardsigmoid_values(input: Array) -> Array:
    """(input + 3) / 6, held between 0 and 1."""
    check_floating("hardsigmoid", input)
    return np.clip(input + 3.0, 0.0, 6.0) / 6.0


@composite(method=False, samples=_wide())
def hardsigmoid(input: Tensor, inplace: bool = False) -> Tensor:
    """(input + 3) / 6, held between 0 and 1; its derivative is 0 at -3 and 3."""
    return applied(hardsigmoid_values, "hardsigmoid", input, inplace)


def _hardswish_rule(g: Any, input: Any) -> Any:
    fused = in_one_pass("hardswish_backward", g, input)
    if fused is not None:
        return fused
    return np.where(input <= -3.0, 0.0, np.where(input < 3.0, g * (input / 3.0 + 0.5), g))


@operation(_hardswish_rule, public=False, node_name="HardswishBackward0", samples=_wide(), refuses="c")
def hardswish_values(input: Array) -> Array:
    """input · hardsigmoid(input)."""
    check_floating("hardswish", input)
    fused = in_one_pass("hardswish", input)
    return input * np.clip(input + 3.0, 0.0, 6.0) / 6.0 if fused is None else fused


@composite(method=False, samples=_wide())
def hardswish(input: Tensor, inplace: bool = False) -> Tensor:
    """input · hardsigmoid(input) (Howard et al. 2019); its derivative is 0 at -3 and 1 at 3.

    >>> import allgrad as torch
    >>> torch.nn.functional.hardswish(torch.tensor([-4.0, 1.5, 4.0]))
    tensor([-0.0000,  1.1250,  4.0000])
    """
    return applied(hardswish_values, "hardswish", input, inplace)


@operation(
    lambda g, input, lambd: np.where((input >= -lambd) & (input <= lambd), 0.0, g),
    samples=each(_wide(), on(real(3, 4), 1.2)),
    refuses="c",
)
def hardshrink(input: Array, lambd: float = 0.5) -> Array:
    """input where its absolute value exceeds *lambd*, else 0.

    >>> import allgrad as torch
    >>> torch.nn.functional.hardshrink(torch.tensor([-0.5, 0.75]))
    tensor([0.0000, 0.7500])
    """
    check_floating("hardshrink", input)
    return np.where((input >= -lambd) & (input <= lambd), np.zeros((), dtype=input.dtype), input)


@operation(
    lambda g, input, lambd: np.where((input >= -lambd) & (input <= lambd), 0.0, g),
    method=False,
    samples=each(_wide(), on(real(3, 4), 1.2)),
    refuses="c",
)
def softshrink(input: Array, lambd: float = 0.5) -> Array:
    """input moved by *lambd* towards 0, and 0 where it would cross it. RuntimeError for a negative *lambd*."""
    check_floating("softshrink", input)
    if lambd < 0:
        raise RuntimeError(f"lambda must be greater or equal to 0, but found to be {lambd}")
    return np.where(input > lambd, input - lambd, np.where(input < -lambd, input + lambd, input * 0.0))


def _leaky_relu_rule(g: Any, input: Any, negative_slope: float) -> Any:
    fused = in_one_pass("leaky_relu_backward", g, input, float(negative_slope))
    return np.where(input > 0, g, g * negative_slope) if fused is None else fused


@operation(
    _leaky_relu_rule,
    public=False,
    node_name="LeakyReluBackward0",
    samples=_wide(0.2),
    refuses="c",
)
def leaky_relu_values(input: Array, negative_slope: float) -> Array:
    """input where it is positive, else *negative_slope* · input."""
    check_floating("leaky_relu", input)
    fused = in_one_pass("leaky_relu", input, float(negative_slope))
    if fused is not None:
        return fused
    scaled = input * float(negative_slope)
    return np.maximum(input, scaled) if 0 < negative_slope <= 1 else np.where(input > 0, input, scaled)


@composite(method=False, samples=_wide())
def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """input where it is positive, else *negative_slope* · input; the latter's derivative at 0."""
    return applied(leaky_relu_values, "leaky_relu", input, inplace, negative_slope)


def leaky_relu_(input: Tensor, negative_slope: float = 0.01) -> Tensor:
    """In-place version of :func:`leaky_relu`."""
    return leaky_relu(input, negative_slope, inplace=True)


def _elu_rule(g: Any, input: Any, alpha: float, scale: float, input_scale: float) -> Any:
    fused = in_one_pass("elu_backward", g, input, alpha * scale * input_scale, scale, input_scale)
    if fused is not None:
        return fused
    held = np.where(input < 0, input * input_scale, 0.0)  # or exp overflows on the other piece
    return np.where(input <= 0, g * (np.exp(held) * (alpha * scale * input_scale)), g * scale)


@operation(_elu_rule, public=False, node_name="EluBackward0", samples=_wide(1.2, 1.1, 0.7), refuses="c")
def elu_values(input: Array, alpha: float, scale: float, input_scale: float) -> Array:
    """scale · input where that is positive, else scale · alpha · (exp(input_scale · input) - 1)."""
    check_floating("elu", input)
    fused = in_one_pass("elu", input, alpha * scale, scale, input_scale) if input_scale > 0 else None
    if fused is not None:
        return fused
    return np.where(input <= 0, np.expm1(np.minimum(input, 0.0) * input_scale) * (alpha * scale), input * scale)


@composite(method=False, samples=each(_wide(), _wide(0.4)))
def elu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """input where it is positive, else *alpha* · (exp(input) - 1) (Clevert et al. 2016)."""
    return applied(elu_values, "elu", input, inplace, float(alpha), 1.0, 1.0)


def elu_(input: Tensor, alpha: float = 1.0) -> Tensor:
    """In-place version of :func:`elu`."""
    return elu(input, alpha, inplace=True)


@composite(method=False, samples=each(_wide(), _wide(0.4)))
def celu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """input where it is positive, else *alpha* · (exp(input / alpha) - 1) (Barron 2017). RuntimeError if alpha is 0."""
    if alpha == 0:
        raise RuntimeError("ZeroDivisionError: alpha cannot be 0 for CELU")
    return applied(elu_values, "celu", input, inplace, float(alpha), 1.0, 1.0 / alpha)


def celu_(input: Tensor, alpha: float = 1.0) -> Tensor:
    """In-place version of :func:`celu`."""
    return celu(input, alpha, inplace=True)


@composite(method=False, samples=_wide())
def selu(input: Tensor, inplace: bool = False) -> Tensor:
    """A scaled elu that keeps mean 0 and variance 1 from layer to layer (Klambauer et al. 2017).

    >>> import allgrad as torch
    >>> torch.selu(torch.tensor([-1.0, 1.0]))
    tensor([-1.1113,  1.0507])
    """
    return applied(elu_values, "selu", input, inplace, SELU_ALPHA, SELU_SCALE, 1.0)


def selu_(input: Tensor) -> Tensor:
    """In-place version of :func:`selu`."""
    return selu(input, inplace=True)


@operation(
    lambda g, input, weight: np.where(input > 0, g, weight * g),
    lambda g, input: np.where(input > 0, 0.0, input * g),
    broadcasts=True,
    public=False,
    node_name="PreluKernelBackward0",
    samples=on(real(2, 3, 2), real(3, 1)),
    refuses="c",
)
def prelu_values(input: Array, weight: Array) -> Array:
    """input where it is positive, else *weight* · input."""
    return np.where(input > 0, input, weight * input)


@composite(samples=each(on(real(2, 3, 2), real(3)), on(real(4), real(1)), on(real(), real()), on(real(4, 2), real(2))))
def prelu(input: Tensor, weight: Tensor) -> Tensor:
    """input where it is positive, else *weight* · input, with one weight, or one for each channel (dimension 1).

    RuntimeError where the number of weights is neither 1 nor that of the channels, or the types differ.

    >>> import allgrad as torch
    >>> torch.prelu(torch.tensor([[-1.0, -1.0]]), torch.tensor([0.25, 0.5]))
    tensor([[-0.2500, -0.5000]])
    """
    if weight._array.ndim > 1:
        raise RuntimeError(f"prelu: Expected `weight` to be a scalar or 1D tensor, but got: ndim = {weight.ndim}")
    if weight._array.dtype != input._array.dtype:
        raise RuntimeError(f"prelu: Type promoting not supported. Got {input.dtype} and {weight.dtype}")
    count, ndim = weight._array.size, input._array.ndim
    channels = input._array.shape[1] if ndim > 1 else 1
    if count != 1 and count != channels:
        raise RuntimeError(
            "Mismatch of parameter numbers and input channel size. Found parameter numbers = "
            f"{count} and channel size = {channels}."
        )
    return prelu_values(input, weight.reshape((-1,) + (1,) * (ndim - 2) if ndim > 1 else (1,) * ndim))


@composite(method=False, samples=_wide())
def rrelu(
    input: Tensor, lower: float = 1.0 / 8, upper: float = 1.0 / 3, training: bool = False, inplace: bool = False
) -> Tensor:
    """input where it is positive, else input times a slope: random between *lower* and *upper* while *training*, else their mean.

    RuntimeError where the bounds cross.
    """
    if lower > upper:
        raise RuntimeError(f"Lower bound should be less than or equal to the upper bound, found {lower} and {upper}")
    if not training:
        return applied(leaky_relu_values, "rrelu", input, inplace, (lower + upper) / 2)
    check_floating("rrelu", input._array)
    slopes = numpy_generator(None).uniform(lower, upper, input._array.shape)
    return applied(prelu_values, "rrelu", input, inplace, Tensor._wrap(as_array(slopes, dtype=input._array.dtype)))


def rrelu_(input: Tensor, lower: float = 1.0 / 8, upper: float = 1.0 / 3, training: bool = False) -> Tensor:
    """In-place version of :func:`rrelu`."""
    return rrelu(input, lower, upper, training, inplace=True)
