"""Modules that apply a nonlinearity to every element."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from ..operations import activation, elementwise, rectifiers
from ..operations.creation import full
from ..tensors.parameter import Parameter
from ..tensors.tensor import Tensor
from . import init
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


class Tanhshrink(_Elementwise):
    """x - tanh(x)."""

    function = staticmethod(activation.tanhshrink)


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

    function = staticmethod(rectifiers.relu)


class ReLU6(_InPlace):
    """x held between 0 and 6."""

    function = staticmethod(rectifiers.relu6)


class SiLU(_InPlace):
    """x · sigmoid(x)."""

    function = staticmethod(activation.silu)


class Mish(_InPlace):
    """x · tanh(softplus(x))."""

    function = staticmethod(activation.mish)


class Hardsigmoid(_InPlace):
    """(x + 3) / 6, held between 0 and 1."""

    function = staticmethod(rectifiers.hardsigmoid)


class Hardswish(_InPlace):
    """x · hardsigmoid(x) (Howard et al. 2019)."""

    function = staticmethod(rectifiers.hardswish)


class SELU(_InPlace):
    """A scaled ELU that keeps mean 0 and variance 1 from layer to layer (Klambauer et al. 2017)."""

    function = staticmethod(rectifiers.selu)


class LeakyReLU(Module):
    """x where it is positive, else *negative_slope* · x."""

    def __init__(self, negative_slope: float = 1e-2, inplace: bool = False) -> None:
        super().__init__()
        self.negative_slope = negative_slope
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        """Apply the function to every element."""
        return rectifiers.leaky_relu(input, self.negative_slope, self.inplace)

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
        return rectifiers.elu(input, self.alpha, self.inplace)

    def extra_repr(self) -> str:
        return f"alpha={self.alpha}" + (", inplace=True" if self.inplace else "")


class CELU(Module):
    """x where it is positive, else *alpha* · (exp(x / alpha) - 1) (Barron 2017)."""

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__()
        self.alpha = alpha
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        """Apply the function to every element."""
        return rectifiers.celu(input, self.alpha, self.inplace)

    def extra_repr(self) -> str:
        return f"alpha={self.alpha}" + (", inplace=True" if self.inplace else "")


class Threshold(Module):
    """x where it exceeds *threshold*, else *value*."""

    def __init__(self, threshold: float, value: float, inplace: bool = False) -> None:
        super().__init__()
        self.threshold = threshold
        self.value = value
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        """Apply the function to every element."""
        return rectifiers.threshold(input, self.threshold, self.value, self.inplace)

    def extra_repr(self) -> str:
        return f"threshold={self.threshold}, value={self.value}" + (", inplace=True" if self.inplace else "")


class RReLU(Module):
    """x where it is positive, else x times a slope: random between *lower* and *upper* in training, else their mean."""

    def __init__(self, lower: float = 1.0 / 8, upper: float = 1.0 / 3, inplace: bool = False) -> None:
        super().__init__()
        self.lower = lower
        self.upper = upper
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        """Apply the function to every element."""
        return rectifiers.rrelu(input, self.lower, self.upper, self.training, self.inplace)

    def extra_repr(self) -> str:
        return f"lower={self.lower}, upper={self.upper}" + (", inplace=True" if self.inplace else "")


class PReLU(Module):
    """x where it is positive, else x times a learned slope: one, or one for each channel (dimension 1).

    Args:
        num_parameters: 1, or the number of channels.
        init: what the slopes begin as.
    """

    def __init__(self, num_parameters: int = 1, init: float = 0.25, device: Any = None, dtype: Any = None) -> None:
        super().__init__()
        self.num_parameters = num_parameters
        self.init = init
        self.weight = Parameter(full((num_parameters,), float(init), device=device, dtype=dtype))

    def reset_parameters(self) -> None:
        """Let the slopes begin anew."""
        init.constant_(self.weight, self.init)

    def forward(self, input: Tensor) -> Tensor:
        """Apply the function to every element."""
        return rectifiers.prelu(input, self.weight)

    def extra_repr(self) -> str:
        return f"num_parameters={self.num_parameters}"


class _Shrink(Module):
    """A function that moves elements towards 0, by *lambd*."""

    function: ClassVar[Callable[..., Any]]

    def __init__(self, lambd: float = 0.5) -> None:
        super().__init__()
        self.lambd = lambd

    def forward(self, input: Tensor) -> Tensor:
        """Apply the function to every element."""
        return type(self).function(input, self.lambd)  # type: ignore[no-any-return]

    def extra_repr(self) -> str:
        return f"{self.lambd}"


class Hardshrink(_Shrink):
    """x where its absolute value exceeds *lambd*, else 0."""

    function = staticmethod(rectifiers.hardshrink)


class Softshrink(_Shrink):
    """x moved by *lambd* towards 0, and 0 where it would cross it."""

    function = staticmethod(rectifiers.softshrink)


class GLU(Module):
    """The first half of x along *dim*, times the sigmoid of the second (Dauphin et al. 2017)."""

    def __init__(self, dim: int = -1) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, input: Tensor) -> Tensor:
        """Return the first half, gated by the second."""
        return activation.glu(input, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


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
        return rectifiers.hardtanh(input, self.min_val, self.max_val, self.inplace)

    def extra_repr(self) -> str:
        return f"min_val={self.min_val}, max_val={self.max_val}" + (", inplace=True" if self.inplace else "")


class GELU(Module):
    """x times the normal distribution function of x; *approximate* "none" or "tanh"."""

    def __init__(self, approximate: str = "none") -> None:
        super().__init__()
        self.approximate = approximate

    def forward(self, input: Tensor) -> Tensor:
        """Apply the function to every element."""
        return activation.gelu(input, self.approximate)  # type: ignore[no-any-return]

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
        return activation.softplus(input, self.beta, self.threshold)  # type: ignore[no-any-return]

    def extra_repr(self) -> str:
        return f"beta={self.beta}, threshold={self.threshold}"
