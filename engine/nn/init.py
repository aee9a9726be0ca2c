"""Filling parameters with their first values, in place and unrecorded, by PyTorch's distributions."""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

import numpy as np

from ..random import Generator, numpy_generator
from ..tape.mode import no_grad
from ..tensors.tensor import Tensor

Array = np.ndarray[Any, Any]
F = TypeVar("F", bound=Callable[..., Tensor])
_GAINS = {"linear": 1.0, "conv1d": 1.0, "conv2d": 1.0, "conv3d": 1.0, "conv_transpose1d": 1.0, "conv_transpose2d": 1.0,
          "conv_transpose3d": 1.0, "sigmoid": 1.0, "tanh": 5.0 / 3, "relu": math.sqrt(2.0), "selu": 3.0 / 4}  # fmt: skip


_skipping: ContextVar[bool] = ContextVar("skipping", default=False)


@contextmanager
def skipped() -> Iterator[None]:
    """Inside, nothing here fills anything: new modules keep whatever their memory held."""
    before = _skipping.set(True)
    try:
        yield
    finally:
        _skipping.reset(before)


def _fills(function: F) -> F:
    """Let a function that fills a tensor, its first argument, and returns it do so unrecorded, or not at all."""

    @functools.wraps(function)
    def filling(tensor: Tensor, *args: Any, **kwargs: Any) -> Any:
        if _skipping.get():
            return tensor
        with no_grad():
            return function(tensor, *args, **kwargs)

    return filling  # type: ignore[return-value]


def calculate_gain(nonlinearity: str, param: Any = None) -> float:
    """Return the factor by which weights grow before a nonlinearity, such as sqrt(2) for "relu".

    *param* is the negative slope of "leaky_relu". ValueError for an unknown name.
    """
    if nonlinearity == "leaky_relu":
        slope = 0.01 if param is None else param
        if isinstance(slope, bool) or not isinstance(slope, int | float):
            raise ValueError(f"negative_slope {param} not a valid number")
        return math.sqrt(2.0 / (1 + slope**2))
    if nonlinearity not in _GAINS:
        raise ValueError(f"Unsupported nonlinearity {nonlinearity}: choose one of {', '.join((*_GAINS, 'leaky_relu'))}")
    return _GAINS[nonlinearity]


@_fills
def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Fill with random numbers evenly distributed over [a, b)."""
    tensor.uniform_(a, b, generator=generator)
    return tensor


@_fills
def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Fill with normal random numbers."""
    tensor.normal_(mean, std, generator=generator)
    return tensor


def _truncated(source: np.random.Generator, size: int, low: float, high: float) -> Array:
    """Draw standard normal numbers between *low* and *high*, from even ones where normal ones would rarely fall."""
    nearest = min(max(0.0, low), high)
    is_rare = abs(nearest) > 1 or high - low < 1
    reach = 40 / max(1.0, abs(nearest))  # beyond it the density is nothing against that at the nearest point
    first, last = max(low, nearest - reach), min(high, nearest + reach)
    values = np.empty(size)
    missing = np.arange(size)
    while missing.size:
        if is_rare:
            drawn = source.uniform(first, last, missing.size)
            kept = source.random(missing.size) <= np.exp((nearest**2 - drawn**2) / 2)
        else:
            drawn = source.standard_normal(missing.size)
            kept = (drawn >= low) & (drawn <= high)
        values[missing[kept]] = drawn[kept]
        missing = missing[~kept]
    return values


@_fills
def trunc_normal_(
    tensor: Tensor,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator: Generator | None = None,
) -> Tensor:
    """Fill with normal random numbers that lie in [a, b]; those outside are drawn again."""
    if mean < a - 2 * std or mean > b + 2 * std:
        warnings.warn(
            "mean is more than 2 std from [a, b] in nn.init.trunc_normal_. The distribution of values may be incorrect.",
            stacklevel=3,
        )
    drawn = _truncated(numpy_generator(generator), math.prod(tensor.shape), (a - mean) / std, (b - mean) / std)
    values = (drawn * std + mean).reshape(tensor.shape)
    tensor.copy_(Tensor._wrap(np.clip(values, a, b).astype(tensor.dtype.numpy)))
    return tensor


@_fills
def constant_(tensor: Tensor, val: float) -> Tensor:
    """Fill with one value."""
    tensor.fill_(val)
    return tensor


def ones_(tensor: Tensor) -> Tensor:
    """Fill with ones."""
    return constant_(tensor, 1.0)


def zeros_(tensor: Tensor) -> Tensor:
    """Fill with zeros."""
    return constant_(tensor, 0.0)


@_fills
def eye_(tensor: Tensor) -> Tensor:
    """Fill a matrix with ones on the diagonal and zeros elsewhere."""
    if tensor.ndim != 2:
        raise ValueError("Only tensors with 2 dimensions are supported")
    tensor.copy_(Tensor._wrap(np.eye(*tensor.shape, dtype=tensor.dtype.numpy)))
    return tensor


def _fans(tensor: Tensor) -> tuple[int, int]:
    """Return how many inputs an output of this weight has, and how many outputs an input."""
    if tensor.ndim < 2:
        raise ValueError("Fan in and fan out can not be computed for tensor with fewer than 2 dimensions")
    window = math.prod(tensor.shape[2:])
    return tensor.shape[1] * window, tensor.shape[0] * window


def xavier_uniform_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Fill evenly over ±gain · sqrt(6 / (fan_in + fan_out)) (Glorot and Bengio 2010)."""
    bound = gain * math.sqrt(6.0 / sum(_fans(tensor)))
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Fill with normal numbers of deviation gain · sqrt(2 / (fan_in + fan_out)) (Glorot and Bengio 2010)."""
    return normal_(tensor, 0.0, gain * math.sqrt(2.0 / sum(_fans(tensor))), generator)


def _kaiming_deviation(tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    if mode.lower() not in ("fan_in", "fan_out"):
        raise ValueError(f"Mode {mode} not supported, please use one of ['fan_in', 'fan_out']")
    fan = _fans(tensor)[mode.lower() == "fan_out"]
    return calculate_gain(nonlinearity, a) / math.sqrt(fan)


def kaiming_uniform_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """Fill evenly over ±gain · sqrt(3 / fan) (He et al. 2015); *a* is the slope of a leaky ReLU."""
    if 0 in tensor.shape:
        warnings.warn("Initializing zero-element tensors is a no-op", stacklevel=2)
        return tensor
    bound = math.sqrt(3.0) * _kaiming_deviation(tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """Fill with normal numbers of deviation gain / sqrt(fan) (He et al. 2015); *a* is the slope of a leaky ReLU."""
    if 0 in tensor.shape:
        warnings.warn("Initializing zero-element tensors is a no-op", stacklevel=2)
        return tensor
    return normal_(tensor, 0.0, _kaiming_deviation(tensor, a, mode, nonlinearity), generator)


@_fills
def orthogonal_(tensor: Tensor, gain: float = 1, generator: Generator | None = None) -> Tensor:
    """Fill so that the rows, or the columns if they are fewer, are orthogonal and of length *gain* (Saxe et al. 2013)."""
    if tensor.ndim < 2:
        raise ValueError("Only tensors with 2 or more dimensions are supported")
    rows = tensor.shape[0]
    columns = math.prod(tensor.shape[1:])
    drawn = numpy_generator(generator).standard_normal((max(rows, columns), min(rows, columns)))
    q, r = np.linalg.qr(drawn)
    q = q * np.sign(np.diag(r)) * gain
    tensor.copy_(Tensor._wrap((q if rows >= columns else q.T).reshape(tensor.shape).astype(tensor.dtype.numpy)))
    return tensor


@_fills
def dirac_(tensor: Tensor, groups: int = 1) -> Tensor:
    """Fill the weight of a convolution, of 3 to 5 dimensions, so that it hands as many channels on as it can.

    ValueError for other dimensions, or if the first is no multiple of *groups*.
    """
    if tensor.ndim not in (3, 4, 5):
        raise ValueError("Only tensors with 3, 4, or 5 dimensions are supported")
    if tensor.shape[0] % groups:
        raise ValueError("dim 0 must be divisible by groups")
    each = tensor.shape[0] // groups
    channels = np.arange(min(each, tensor.shape[1]))
    middle = tuple(size // 2 for size in tensor.shape[2:])
    values = np.zeros(tensor.shape, tensor.dtype.numpy)
    for group in range(groups):
        values[(group * each + channels, channels, *middle)] = 1
    tensor.copy_(Tensor._wrap(values))
    return tensor


@_fills
def sparse_(tensor: Tensor, sparsity: float, std: float = 0.01, generator: Generator | None = None) -> Tensor:
    """Fill a matrix with normal numbers of mean 0, and the part *sparsity* of every column with zeros (Martens 2010)."""
    if tensor.ndim != 2:
        raise ValueError("Only tensors with 2 dimensions are supported")
    rows, columns = tensor.shape
    source = numpy_generator(generator)
    values = source.normal(0, std, (rows, columns))
    zeros = math.ceil(sparsity * rows)
    for column in range(columns):
        values[source.permutation(rows)[:zeros], column] = 0
    tensor.copy_(Tensor._wrap(values.astype(tensor.dtype.numpy)))
    return tensor


def _older_name(function: F) -> F:
    """Return *function* under the name it had before it was marked as one that changes its argument."""
    name = function.__name__

    @functools.wraps(function)
    def older(*args: Any, **kwargs: Any) -> Any:
        warnings.warn(
            f"`nn.init.{name[:-1]}` is now deprecated in favor of `nn.init.{name}`.", FutureWarning, stacklevel=2
        )
        return function(*args, **kwargs)

    older.__name__ = older.__qualname__ = name[:-1]
    return older  # type: ignore[return-value]


uniform, normal, constant, eye = (_older_name(fill) for fill in (uniform_, normal_, constant_, eye_))
dirac, orthogonal, sparse = (_older_name(fill) for fill in (dirac_, orthogonal_, sparse_))
xavier_uniform, xavier_normal = _older_name(xavier_uniform_), _older_name(xavier_normal_)
kaiming_uniform, kaiming_normal = _older_name(kaiming_uniform_), _older_name(kaiming_normal_)
