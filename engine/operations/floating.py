"""What floating-point numbers are made of: sign, fraction, exponent, neighbours and the values that are not finite."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..registry import Array, Index, composite, operation
from ..registry.operation import Promotion
from ..registry.samples import binary, on, real, unary
from ..tensors.tensor import Tensor
from .arithmetic import mul, pow_tensor
from .elementwise import signs

ARITHMETIC = Promotion.ARITHMETIC


@operation(lambda g: g, inplace=True, samples=unary())
def frac(input: Array) -> Array:
    """What follows the decimal point, with the sign of input."""
    return input - np.trunc(input)


class MantissaAndExponent(NamedTuple):
    """What ``frexp`` returns."""

    mantissa: Any
    exponent: Any


@operation(lambda g, exponent: scaled_down(g, exponent), public=False, samples=on(real(3), np.array([1, 2, -1])))
def scaled_down(g: Array, exponent: Index) -> Array:
    """*g* divided by 2 to the power of *exponent*: what ``frexp`` sends back."""
    return np.ldexp(g, -exponent)


@operation(
    lambda g, y1: scaled_down(g[0], y1), node_name="FrexpBackward0", outputs=MantissaAndExponent, samples=unary()
)
def frexp(input: Array) -> tuple[Array, Array]:
    """The pair (mantissa, exponent), with input = mantissa · 2^exponent and 0.5 <= |mantissa| < 1; exponent is int32.

    >>> import allgrad as torch
    >>> torch.frexp(torch.tensor([8., 3.])).exponent
    tensor([4, 2], dtype=torch.int32)
    """
    if input.dtype.kind != "f":
        raise RuntimeError(f"torch.frexp() only supports floating-point dtypes, found {input.dtype}")
    return np.frexp(input)


@composite(out=True, inplace=True, samples=binary())
def ldexp(input: Tensor, other: Tensor) -> Tensor:
    """input · 2^other, element by element."""
    return mul(input, pow_tensor(2.0, other))


@operation(
    lambda g, input, y: g * (np.sign(input) * np.sign(y)),
    lambda g: np.zeros_like(g),
    ufunc=np.copysign,
    promotion=Promotion.FLOATING,
    broadcasts=True,
    inplace=True,
    samples=binary(),
)
def copysign(input: Array, other: Array) -> Array:
    """The absolute value of input with the sign of *other*, that of -0.0 and nan included.

    >>> import allgrad as torch
    >>> torch.copysign(torch.tensor([1., 2.]), torch.tensor([-0., 3.]))
    tensor([-1.,  2.])
    """
    return np.copysign(input, other)


@operation(
    lambda g, input, other: g * (input != other),
    lambda g: np.zeros_like(g),
    ufunc=np.nextafter,
    promotion=ARITHMETIC,
    broadcasts=True,
    inplace=True,
    samples=on(real(3), real(3, low=-1.7)),
)
def nextafter(input: Array, other: Array) -> Array:
    """The next floating-point number after input in the direction of *other*.

    >>> import allgrad as torch
    >>> torch.nextafter(torch.tensor(1.), torch.tensor(2.)) > 1
    tensor(True)
    """
    return np.nextafter(input, other)


@operation()
def signbit(input: Array) -> Array:
    """Whether the sign is minus, that of -0.0 included.

    >>> import allgrad as torch
    >>> torch.signbit(torch.tensor([-0., 0., -1.]))
    tensor([ True, False,  True])
    """
    if input.dtype.kind == "c":
        raise NotImplementedError(f"signbit is not implemented for complex tensors, found {input.dtype}")
    return np.signbit(input) if input.dtype.kind == "f" else np.less(input, 0)


@operation(promotion=ARITHMETIC, inplace=True, refuses="c")
def heaviside(input: Array, values: Array) -> Array:
    """0 where input is negative, 1 where it is positive, and *values* where it is 0.

    >>> import allgrad as torch
    >>> torch.heaviside(torch.tensor([-1., 0., 2.]), torch.tensor([0.5]))
    tensor([0.0000, 0.5000, 1.0000])
    """
    step = np.where(input == 0, values, (input > 0).astype(input.dtype))
    return np.where(input != input, input, step)


def _sgn_rule(g: Any, input: Any, y: Any) -> Any:
    if not np.iscomplexobj(input):
        return np.zeros_like(g)
    modulus = np.absolute(input)
    zero = modulus == 0
    turned = g - np.real(g * y) * np.conjugate(y)
    return np.where(zero, 0.0, turned / np.where(zero, 1.0, modulus))


@operation(_sgn_rule, inplace=True, samples=unary())
def sgn(input: Array) -> Array:
    """input divided by its absolute value, and 0 at 0: the sign, for complex numbers a number of modulus 1."""
    return signs(input)


@operation(
    lambda g, input: g * np.isfinite(input),
    inplace=True,
    samples=unary(),
)
def nan_to_num(input: Array, nan: Any = None, posinf: Any = None, neginf: Any = None) -> Array:
    """input with nan replaced by *nan* (0), inf by *posinf* and -inf by *neginf* (the type's extremes).

    >>> import allgrad as torch
    >>> torch.nan_to_num(torch.tensor([1., float("nan"), float("inf")]), posinf=9.)
    tensor([1., 0., 9.])
    """
    if input.dtype.kind not in "fc":
        return input.copy()
    return np.nan_to_num(input, nan=0.0 if nan is None else nan, posinf=posinf, neginf=neginf)


@operation()
def isposinf(input: Array) -> Array:
    """Whether each element is plus infinity.

    >>> import allgrad as torch
    >>> torch.isposinf(torch.tensor([1., float("inf"), -float("inf")]))
    tensor([False,  True, False])
    """
    return _is_infinity(input, "isposinf", np.inf)


@operation()
def isneginf(input: Array) -> Array:
    """Whether each element is minus infinity.

    >>> import allgrad as torch
    >>> torch.isneginf(torch.tensor([1., float("inf"), -float("inf")]))
    tensor([False, False,  True])
    """
    return _is_infinity(input, "isneginf", -np.inf)


def _is_infinity(input: Array, name: str, infinity: float) -> Array:
    if input.dtype.kind == "c":
        raise RuntimeError(f"{name} does not support complex inputs: look at .real and .imag")
    return np.equal(input, infinity) if input.dtype.kind == "f" else np.zeros(input.shape, bool)


@operation()
def isreal(input: Array) -> Array:
    """Whether the imaginary part of each element is 0.

    >>> import allgrad as torch
    >>> torch.isreal(torch.tensor([1+0j, 1j]))
    tensor([ True, False])
    """
    return np.isreal(input)
