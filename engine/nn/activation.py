"""Modules that apply a nonlinearity to every element, or a softmax along a dimension."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from ..operations import activation, elementwise, loss
from ..tensors.tensor import Tensor
from .module import Module


class _Elementwise(Module):
    """A function without options."""

    function: ClassVar[Callable[..., Any]]

    def forward(self, input: Tensor) -> Tensor:
        """Apply the function to every element."""
        return type(self).function(input)  # type: ignore[no-any-return]


class Sigmoid(_Elementwise):
    """1 / (1 + exp(-x))."""

    function = staticmethod(elementwise.sigmoid)


class Tanh(_Elementwise):
    """The hyperbolic tangent."""

    function = staticmethod(elementwise.tanh)


class LogSigmoid(_Elementwise):
    """log(1 / (1 + exp(-x)))."""

    function = staticmethod(activation.logsigmoid)


class Softsign(_Elementwise):
    """x / (1 + abs(x))."""

    function = staticmethod(activation.softsign)


class _InPlace(Module):
    """A function that can overwrite its input."""

    function: ClassVar[Callable[..., Any]]

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        """Apply the function to every element, in place if so made."""
        return type(self).function(input, inplace=self.inplace)  # type: ignore[no-any-return]

    def extra_repr(self) -> str:
        return "inplace=True" if self.inplace else ""


class ReLU(_InPlace):
    """max(x, 0); its derivative at 0 is 0.

    Example:
        >>> import allgrad as torch
        >>> torch.nn.ReLU()(torch.tensor([-1.0, 2.0]))
        tensor([0., 2.])
    """

    def forward(self, input: Tensor) -> Tensor:
        """Return max(input, 0)."""
        return input.relu_() if self.inplace else elementwise.relu(input)  # type: ignore[no-any-return]


class ReLU6(_InPlace):
    """x held between 0 and 6."""

    function = staticmethod(activation.relu6)


class SiLU(_InPlace):
    """x · sigmoid(x)."""

    function = staticmethod(activation.silu)


class Mish(_InPlace):
    """x · tanh(softplus(x))."""

    function = staticmethod(activation.mish)


class LeakyReLU(Module):
    """x where it is positive, else *negative_slope* · x."""

    def __init__(self, negative_slope: float = 1e-2, inplace: bool = False) -> None:
        super().__init__()
        self.negative_slope = negative_slope
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        """Apply the function to every element."""
        return activation.leaky_relu(input, self.negative_slope, self.inplace)

    def extra_repr(self) -> str:
        return f"negative_slope={self.negative_slope}" + (", inplace=True" if self.inplace else "")


class ELU(Module):
    """x where it is positive, else *alpha* · (exp(x) - 1)."""

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__()
        self.alpha = alpha
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        """Apply the function to every element."""
        return activation.elu(input, self.alpha, self.inplace)

    def extra_repr(self) -> str:
        return f"alpha={self.alpha}" + (", inplace=True" if self.inplace else "")


class Hardtanh(Module):
    """x held between *min_val* and *max_val*."""

    def __init__(self, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> None:
        super().__init__()
        if max_val <= min_val:
            raise AssertionError(f"max_val must be larger than min_val, found {max_val} and {min_val}")
        self.min_val = min_val
        self.max_val = max_val
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        """Apply the function to every element."""
        return activation.hardtanh(input, self.min_val, self.max_val, self.inplace)

    def extra_repr(self) -> str:
        return f"min_val={self.min_val}, max_val={self.max_val}" + (", inplace=True" if self.inplace else "")


class GELU(Module):
    """x times the normal distribution function of x; *approximate* "none" or "tanh"."""

    def __init__(self, approximate: str = "none") -> None:
        super().__init__()
        self.approximate = approximate

    def forward(self, input: Tensor) -> Tensor:
        """Apply the function to every element."""
        return activation.gelu(input, self.approximate)

    def extra_repr(self) -> str:
        return f"approximate={self.approximate!r}"


class Softplus(Module):
    """log(1 + exp(beta · x)) / beta, and x itself where beta · x exceeds *threshold*."""

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        super().__init__()
        self.beta = beta
        self.threshold = threshold

    def forward(self, input: Tensor) -> Tensor:
        """Apply the function to every element."""
        return activation.softplus(input, self.beta, self.threshold)

    def extra_repr(self) -> str:
        return f"beta={self.beta}, threshold={self.threshold}"


class Softmax(Module):
    """exp(x), normalised to a sum of 1 along *dim*."""

    def __init__(self, dim: int | None = None) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, input: Tensor) -> Tensor:
        """Return the softmax along the dimension."""
        activated: Tensor = loss.softmax(input, self.dim)
        return activated

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class LogSoftmax(Module):
    """The logarithm of the softmax along *dim*."""

    def __init__(self, dim: int | None = None) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, input: Tensor) -> Tensor:
        """Return the logarithm of the softmax along the dimension."""
        activated: Tensor = loss.log_softmax(input, self.dim)
        return activated

    def extra_repr(self) -> str:
        return f"dim={self.dim}"
