"""Making tensors of random numbers."""

from __future__ import annotations

import builtins
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import dtypes
from ..batching import as_array
from ..random import Generator, numpy_generator
from ..registry import composite
from ..registry.record import result_dtype
from ..tensors.tensor import Tensor
from .creation import finished, numpy_dtype, sizes_of


def random_array(draw: Callable[..., Any], shape: tuple[int, ...], kind: np.dtype[Any]) -> Any:
    """Numbers drawn in float32 where that is the type (half the random bits), else in float64 and converted."""
    precise = np.float32 if kind == np.float32 else np.float64
    drawn = draw(shape, dtype=precise)
    return (drawn if shape else as_array(drawn)).astype(kind, copy=False)


@composite(out=True, method=False)
def rand(
    *size: Any,
    generator: Generator | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: builtins.bool = False,
) -> Tensor:
    """Random numbers evenly distributed over [0, 1)."""
    return finished(
        random_array(numpy_generator(generator).random, sizes_of(size), numpy_dtype(dtype)),
        requires_grad,
        device,
    )


@composite(out=True, method=False)
def randn(
    *size: Any,
    generator: Generator | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: builtins.bool = False,
) -> Tensor:
    """Random numbers from the standard normal distribution."""
    array = random_array(numpy_generator(generator).standard_normal, sizes_of(size), numpy_dtype(dtype))
    return finished(array, requires_grad, device)


@composite(out=True, method=False)
def randint(
    low: int, high: Any = None, size: Any = None, *, generator: Generator | None = None, dtype: Any = None,
    device: Any = None, requires_grad: builtins.bool = False,
) -> Tensor:  # fmt: skip
    """Random whole numbers from *low* (0 if only *high* is given) up to, not including, *high*, of shape *size*."""
    if size is None:
        low, high, size = 0, low, high
    if high <= low:
        raise RuntimeError(f"random_ expects 'from' to be less than 'to', but got from={low} >= to={high}")
    array = numpy_generator(generator).integers(low, high, size=sizes_of((size,)))
    kind = dtypes.int64 if dtype is None else dtypes.as_dtype(dtype)
    return finished(array.astype(kind.numpy), requires_grad, device)


@composite(out=True, method=False)
def randperm(n: int, *, generator: Generator | None = None, dtype: Any = None, device: Any = None) -> Tensor:
    """The whole numbers from 0 to n - 1 in random order."""
    kind = dtypes.int64 if dtype is None else dtypes.as_dtype(dtype)
    return finished(numpy_generator(generator).permutation(n).astype(kind.numpy), device=device)


@composite(method=False)
def rand_like(input: Tensor, *, dtype: Any = None, device: Any = None, requires_grad: builtins.bool = False) -> Tensor:
    """Random numbers over [0, 1) of the shape and type of input."""
    return rand(input._array.shape, dtype=dtype or input.dtype, device=device, requires_grad=requires_grad)


@composite(method=False)
def randn_like(input: Tensor, *, dtype: Any = None, device: Any = None, requires_grad: builtins.bool = False) -> Tensor:
    """Standard normal random numbers of the shape and type of input."""
    return randn(input._array.shape, dtype=dtype or input.dtype, device=device, requires_grad=requires_grad)


@composite(out=True, method=False)
def normal(
    mean: Any,
    std: Any = 1.0,
    size: Any = None,
    *,
    generator: Generator | None = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: builtins.bool = False,
) -> Tensor:
    """Normal random numbers: *mean* and *std* are numbers (with *size*) or tensors that broadcast."""
    if size is not None:
        return (randn(size, generator=generator, dtype=dtype, device=device) * std + mean).requires_grad_(requires_grad)
    tensors = [v for v in (mean, std) if isinstance(v, Tensor)]
    shape = np.broadcast_shapes(*(v._array.shape for v in tensors))
    dtype = result_dtype(tensors) if dtype is None else dtype
    return randn(shape, generator=generator, dtype=dtype) * std + mean


@composite(method=False)
def randint_like(
    input: Tensor, low: int, high: int | None = None, *, dtype: Any = None, device: Any = None,
    requires_grad: builtins.bool = False,
) -> Tensor:  # fmt: skip
    """Random whole numbers from *low* (0 if only one is given) up to, not including, *high*, shaped and typed as input."""
    if high is None:
        low, high = 0, low
    kind = input.dtype if dtype is None else dtype
    return randint(low, high, input._array.shape, dtype=kind, device=device, requires_grad=requires_grad)


@composite(out=True)
def bernoulli(input: Tensor, p: Any = None, *, generator: Generator | None = None) -> Tensor:
    """Ones with the probabilities that input holds (or *p*), zeros otherwise."""
    chance = input._array if p is None else p
    if p is None and input._array.size and (input._array.min() < 0 or input._array.max() > 1):
        raise RuntimeError("Expected p_in >= 0 && p_in <= 1 for every element of the input")
    drawn = numpy_generator(generator).random(input._array.shape)
    return Tensor._wrap(np.less(drawn, chance).astype(input._array.dtype))


@composite(out=True)
def multinomial(
    input: Tensor, num_samples: int, replacement: builtins.bool = False, *, generator: Generator | None = None
) -> Tensor:
    """*num_samples* indices drawn with the weights in each row of input, (n) or (m, n)."""
    weights = np.atleast_2d(input._array).astype(np.float64)
    if (weights < 0).any() or not np.isfinite(weights).all() or (weights.sum(1) <= 0).any():
        raise RuntimeError("invalid multinomial distribution: weights must be finite, not negative, and not all zero")
    if not replacement and num_samples > (weights > 0).sum(1).min():
        raise RuntimeError(
            "invalid multinomial distribution (with replacement=False, not enough non-negative category to sample)"
        )
    source = numpy_generator(generator)
    rows = [source.choice(w.size, num_samples, replacement, w / w.sum()) for w in weights]
    return Tensor._wrap(np.stack(rows).reshape(*input._array.shape[:-1], num_samples).astype(np.int64))


@composite(out=True, method=False)
def poisson(input: Tensor, generator: Generator | None = None) -> Tensor:
    """Counts drawn with the rates that input holds. RuntimeError for a negative rate.

    >>> import allgrad as torch
    >>> torch.poisson(torch.zeros(2))
    tensor([0., 0.])
    """
    if (input._array < 0).any():
        raise RuntimeError("invalid Poisson rate, expected rate to be non-negative")
    drawn = numpy_generator(generator).poisson(input._array)
    return Tensor._wrap(np.asarray(drawn, dtype=input._array.dtype))


@composite(out=True, method=False)
def binomial(count: Tensor, prob: Tensor, generator: Generator | None = None) -> Tensor:
    """How many of *count* trials succeed, each with the chance *prob*; both are floating tensors and broadcast.

    >>> import allgrad as torch
    >>> torch.binomial(torch.tensor([3.0, 5.0]), torch.tensor([1.0, 0.0]))
    tensor([3., 0.])
    """
    trials, chances = count._array, prob._array
    if trials.dtype != chances.dtype or trials.dtype.kind != "f":
        raise ValueError(
            f"Binomial arguments should be floating tensors of one type, found {count.dtype} and {prob.dtype}"
        )
    chances = np.clip(np.nan_to_num(chances), 0, 1)
    drawn = numpy_generator(generator).binomial(trials.astype(np.int64), chances)
    return Tensor._wrap(np.asarray(drawn, dtype=trials.dtype))
