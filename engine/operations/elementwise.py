"""Functions of one operand, element by element."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..kernels.activation import relu_backward as relu_gradient
from ..kernels.activation import tanh_backward as tanh_gradient
from ..kernels.loops import WORTHWHILE
from ..kernels.pointwise import exp as exp_values
from ..kernels.pointwise import in_one_pass
from ..registry import Array, composite, operation
from ..registry.operation import Promotion
from ..registry.samples import each, on, real, unary, unit
from ..registry.samples import positive as positives
from ..tensors.tensor import Tensor

FLOATING = Promotion.FLOATING
LN2, LN10 = math.log(2.0), math.log(10.0)  # Python floats: NumPy would widen float32 by its own scalars


@operation(lambda g: -g, ufunc=np.negative, aliases=("negative",), dunder="__neg__", inplace=True, samples=unary())
def neg(input: Array) -> Array:
    """Minus input."""
    return np.negative(input)


@composite(dunder="__pos__", samples=unary())
def positive(input: Tensor) -> Tensor:
    """input itself; RuntimeError for a bool tensor."""
    if input._array.dtype == bool:
        raise RuntimeError("The `+` operator, on a bool tensor is not supported.")
    return input


@operation(
    lambda g, input: g * np.conjugate(np.sign(input)) if np.iscomplexobj(input) else g * np.sign(input),
    ufunc=np.absolute,
    aliases=("absolute",),
    dunder="__abs__",
    inplace=True,
    samples=unary(),
)
def abs(input: Array) -> Array:
    """The absolute value; for complex numbers the modulus. Its derivative at 0 is 0."""
    return np.absolute(input)


def signs(input: Array) -> Array:
    """NumPy's sign, but 0 of nan, as in PyTorch."""
    found = np.sign(input)
    return np.where(found == found, found, 0) if input.dtype.kind == "f" else found


@operation(lambda g: np.zeros_like(g), inplace=True, samples=unary(), refuses="c")
def sign(input: Array) -> Array:
    """-1, 0 or 1, as input is less than, equal to or greater than 0; of nan 0."""
    return signs(input)


@operation(lambda g, y: g * y, promotion=FLOATING, inplace=True, samples=unary())
def exp(input: Array) -> Array:
    """e to the power of input."""
    return np.exp(input) if input.size < WORTHWHILE else exp_values(input)


@operation(lambda g, y: g * (LN2 * y), ufunc=np.exp2, promotion=FLOATING, inplace=True, samples=unary())
def exp2(input: Array) -> Array:
    """2 to the power of input."""
    return np.exp2(input)


@operation(lambda g, y: g * (y + 1), ufunc=np.expm1, promotion=FLOATING, inplace=True, samples=unary())
def expm1(input: Array) -> Array:
    """e to the power of input, less 1, precise near 0."""
    return np.expm1(input)


@operation(lambda g, input: g / input, ufunc=np.log, promotion=FLOATING, inplace=True, samples=unary(positives))
def log(input: Array) -> Array:
    """The natural logarithm; -inf at 0, nan below."""
    return np.log(input)


@operation(
    lambda g, input: g / (input * LN2),
    ufunc=np.log2,
    promotion=FLOATING,
    inplace=True,
    samples=unary(positives),
)
def log2(input: Array) -> Array:
    """The logarithm to base 2."""
    return np.log2(input)


@operation(
    lambda g, input: g / (input * LN10),
    ufunc=np.log10,
    promotion=FLOATING,
    inplace=True,
    samples=unary(positives),
)
def log10(input: Array) -> Array:
    """The logarithm to base 10."""
    return np.log10(input)


@operation(
    lambda g, input: g / (input + 1),
    ufunc=np.log1p,
    promotion=FLOATING,
    inplace=True,
    samples=unary(positives),
)
def log1p(input: Array) -> Array:
    """The natural logarithm of 1 + input, precise near 0."""
    return np.log1p(input)


@operation(lambda g, y: g / (2 * y), ufunc=np.sqrt, promotion=FLOATING, inplace=True, samples=unary(positives))
def sqrt(input: Array) -> Array:
    """The square root; nan below 0."""
    return np.sqrt(input)


@operation(lambda g, y: -0.5 * g * (y * y * y), promotion=FLOATING, inplace=True, samples=unary(positives))
def rsqrt(input: Array) -> Array:
    """1 divided by the square root."""
    return np.reciprocal(np.sqrt(input))


@operation(lambda g, input: g * (2.0 * input), ufunc=np.square, inplace=True, samples=unary())
def square(input: Array) -> Array:
    """input times itself."""
    return np.square(input)


@operation(lambda g, y: -g * (y * y), ufunc=np.reciprocal, promotion=FLOATING, inplace=True, samples=unary(positives))
def reciprocal(input: Array) -> Array:
    """1 divided by input."""
    return np.reciprocal(input)


@operation(lambda g, input: g * np.cos(input), ufunc=np.sin, promotion=FLOATING, inplace=True, samples=unary())
def sin(input: Array) -> Array:
    """The sine of an angle in radians."""
    return np.sin(input)


@operation(lambda g, input: -g * np.sin(input), ufunc=np.cos, promotion=FLOATING, inplace=True, samples=unary())
def cos(input: Array) -> Array:
    """The cosine of an angle in radians."""
    return np.cos(input)


@operation(lambda g, y: g * (y * y + 1), ufunc=np.tan, promotion=FLOATING, inplace=True, samples=unary(unit))
def tan(input: Array) -> Array:
    """The tangent of an angle in radians."""
    return np.tan(input)


@operation(
    lambda g, input: g / np.sqrt(1 - input * input),
    ufunc=np.arcsin,
    promotion=FLOATING,
    aliases=("arcsin",),
    inplace=True,
    samples=unary(unit),
)
def asin(input: Array) -> Array:
    """The angle in radians whose sine is input; nan outside [-1, 1]."""
    return np.arcsin(input)


@operation(
    lambda g, input: -g / np.sqrt(1 - input * input),
    ufunc=np.arccos,
    promotion=FLOATING,
    aliases=("arccos",),
    inplace=True,
    samples=unary(unit),
)
def acos(input: Array) -> Array:
    """The angle in radians whose cosine is input; nan outside [-1, 1]."""
    return np.arccos(input)


@operation(
    lambda g, input: g / (input * input + 1),
    ufunc=np.arctan,
    promotion=FLOATING,
    aliases=("arctan",),
    inplace=True,
    samples=unary(),
)
def atan(input: Array) -> Array:
    """The angle in radians whose tangent is input."""
    return np.arctan(input)


@operation(lambda g, input: g * np.cosh(input), ufunc=np.sinh, promotion=FLOATING, inplace=True, samples=unary())
def sinh(input: Array) -> Array:
    """The hyperbolic sine."""
    return np.sinh(input)


@operation(lambda g, input: g * np.sinh(input), ufunc=np.cosh, promotion=FLOATING, inplace=True, samples=unary())
def cosh(input: Array) -> Array:
    """The hyperbolic cosine."""
    return np.cosh(input)


@operation(
    lambda g, result: tanh_backward(g, result),
    lambda g, grad, result: -2.0 * g * grad * result,
    public=False,
    samples=on(real(3, 4), real(3, 4)),
)
def tanh_backward(grad: Array, result: Array) -> Array:
    """grad · (1 - result²): the gradient through tanh."""
    return tanh_gradient(grad, result)


@operation(lambda g, y: tanh_backward(g, y), ufunc=np.tanh, promotion=FLOATING, inplace=True, samples=unary())
def tanh(input: Array) -> Array:
    """The hyperbolic tangent."""
    return np.tanh(input)


def _sigmoid_rule(g: Any, y: Any) -> Any:
    fused = in_one_pass("sigmoid_backward", g, y)
    return g * (y * (1 - y)) if fused is None else fused


@operation(_sigmoid_rule, promotion=FLOATING, aliases=("expit",), inplace=True, samples=unary())
def sigmoid(input: Array) -> Array:
    """The logistic function 1 / (1 + exp(-input)), without overflow."""
    fused = in_one_pass("sigmoid", input)
    if fused is not None:
        return fused
    small = np.exp(-np.absolute(input)) if input.dtype.kind == "f" else np.exp(-input)
    if input.dtype.kind != "f":
        return np.reciprocal(1 + small)
    return np.where(input >= 0, 1, small) / (1 + small)


@operation(lambda g: np.zeros_like(g), ufunc=np.floor, inplace=True, samples=unary())
def floor(input: Array) -> Array:
    """The largest whole number not above input."""
    return np.floor(input)


@operation(lambda g: np.zeros_like(g), ufunc=np.ceil, inplace=True, samples=unary())
def ceil(input: Array) -> Array:
    """The smallest whole number not below input."""
    return np.ceil(input)


@operation(lambda g: np.zeros_like(g), ufunc=np.trunc, aliases=("fix",), inplace=True, samples=unary())
def trunc(input: Array) -> Array:
    """input without what follows the decimal point."""
    return np.trunc(input)


@operation(lambda g: np.zeros_like(g), inplace=True, samples=each(unary(), on(real(5), decimals=1)), refuses="c")
def round(input: Array, *, decimals: int = 0) -> Array:
    """input rounded to *decimals* places, halves to the even neighbour."""
    return np.round(input, decimals)


@operation(lambda g, input: relu_backward(g, input), None, public=False, samples=on(real(3, 4), real(3, 4)))
def relu_backward(grad: Array, input: Array) -> Array:
    """0 where input is not positive, else grad: the gradient through relu."""
    return relu_gradient(grad, input)


@operation(lambda g, input: relu_backward(g, input), inplace=True, samples=unary(), refuses="c")
def relu(input: Array) -> Array:
    """input where it is positive, else 0. Its derivative at 0 is 0.

    >>> import allgrad as torch
    >>> torch.relu(torch.tensor([-1., 2.]))
    tensor([0., 2.])
    """
    fused = in_one_pass("relu", input) if input.size >= WORTHWHILE else None
    return np.maximum(input, 0) if fused is None else fused


@operation(inplace=True, dunder="__invert__", samples=None)
def bitwise_not(input: Array) -> Array:
    """The complement of every bit; of bools, not. TypeError for floating types."""
    if input.dtype.kind not in "iub":
        raise TypeError("~ (operator.invert) is only implemented on integer and Boolean-type tensors")
    return np.invert(input)


@operation(ufunc=np.logical_not, inplace=True)
def logical_not(input: Array) -> Array:
    """Whether input is zero (or False)."""
    return np.logical_not(input)


@operation(ufunc=np.isnan)
def isnan(input: Array) -> Array:
    """Whether each element is not a number."""
    return np.isnan(input)


@operation(ufunc=np.isinf)
def isinf(input: Array) -> Array:
    """Whether each element is plus or minus infinity."""
    return np.isinf(input)


@operation(ufunc=np.isfinite)
def isfinite(input: Array) -> Array:
    """Whether each element is neither infinite nor nan."""
    return np.isfinite(input)
