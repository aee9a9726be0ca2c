"""Dropout: elements, or whole channels, left out at random while training."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from ..batching import as_array
from ..random import default_generator, numpy_generator
from ..registry import composite
from ..registry.samples import around, each, on, real
from ..tensors.tensor import Tensor

_ALPHA = 1.7580993408473766  # minus selu's limit at minus infinity


def _seeded(function: Callable[..., Any]) -> Callable[..., Any]:
    """*function* with the same random numbers in every call."""

    def run(*args: Any, **kwargs: Any) -> Any:
        default_generator.manual_seed(5)
        return function(*args, **kwargs)

    return run


def _check_probability(p: float) -> None:
    if not 0 <= p <= 1:
        raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")


def _kept(input: Tensor, shape: tuple[int, ...], p: float) -> Any:
    """Ones and, with probability *p*, zeros, in the type of input."""
    draws = numpy_generator(None).random(shape, dtype=np.float32)
    return np.greater_equal(draws, p).astype(input._array.dtype)


def _channels(input: Tensor) -> tuple[int, ...]:
    """A shape with an element for each channel of each example of input."""
    shape = input._array.shape
    if len(shape) < 2:
        raise RuntimeError("Feature dropout requires at least 2 dimensions in the input")
    return shape[:2] + (1,) * (len(shape) - 2)


def _dropped(input: Tensor, shape: tuple[int, ...], p: float, inplace: bool) -> Tensor:
    """input times 0 with probability *p*, drawn for each element of *shape*, else times 1 / (1 - p)."""
    scale = 0.0 if p == 1 else 1 / (1 - p)
    mask = Tensor._wrap(as_array(_kept(input, shape, p) * input._array.dtype.type(scale)))
    return input.mul_(mask) if inplace else input * mask


def _alpha_dropped(input: Tensor, shape: tuple[int, ...], p: float, inplace: bool) -> Tensor:
    """input with elements set to selu's lower limit, and all scaled so that mean and variance stay."""
    a = 0.0 if p == 1 else 1 / math.sqrt((_ALPHA * _ALPHA * p + 1) * (1 - p))
    kept = _kept(input, shape, p)
    scale = Tensor._wrap(as_array(kept * input._array.dtype.type(a)))
    shift = Tensor._wrap(as_array((kept - 1) * input._array.dtype.type(_ALPHA * a) + _ALPHA * a * p, kept.dtype))
    return input.mul_(scale).add_(shift) if inplace else input * scale + shift


@composite(method=False, samples=each(around(_seeded, on(real(3, 4), 0.4)), on(real(3), 0.4, False)))
def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """input with each element set to 0 with probability *p* and the others divided by 1 - p, while *training*.

    ValueError unless *p* is between 0 and 1.

    >>> import allgrad as torch
    >>> torch.nn.functional.dropout(torch.ones(2), p=1.0)
    tensor([0., 0.])
    """
    _check_probability(p)
    if not training or p == 0:
        return input
    return _dropped(input, input._array.shape, p, inplace)


@composite(method=False, samples=around(_seeded, on(real(2, 3, 2), 0.4, True)))
def feature_dropout(input: Tensor, p: float, train: bool) -> Tensor:
    """input (N, C, …) with whole channels set to 0 with probability *p*, the others divided by 1 - p, if *train*."""
    _check_probability(p)
    return _dropped(input, _channels(input), p, False) if train and p else input


def _dropped_features(input: Tensor, p: float, training: bool, inplace: bool, batched: bool) -> Tensor:
    _check_probability(p)
    if not training or p == 0:
        return input
    shape = _channels(input if batched else input.unsqueeze(0))
    return _dropped(input, shape if batched else shape[1:], p, inplace)


def _expect(name: str, dimensions: tuple[int, ...], input: Tensor) -> None:
    """Warn, as PyTorch does, of an input that is not an image or a volume."""
    if input._array.ndim not in dimensions:
        warnings.warn(
            f"{name}: Received a {input._array.ndim}-D input, but expected {' or '.join(map(str, dimensions))} dimensions, "
            "the second to last of which drop channels: reshape it, or use dropout",
            UserWarning,
            stacklevel=3,
        )


@composite(method=False, samples=each(around(_seeded, on(real(2, 3, 2), 0.4)), around(_seeded, on(real(3, 2), 0.4))))
def dropout1d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """input (N, C, L) or (C, L) with whole channels set to 0 with probability *p*, the others divided by 1 - p."""
    ndim = input._array.ndim
    if ndim not in (2, 3):
        raise RuntimeError(f"dropout1d: Expected 2D or 3D input, (C, L) or (N, C, L), but received a {ndim}D input")
    return _dropped_features(input, p, training, inplace, ndim == 3)


@composite(method=False, samples=around(_seeded, on(real(2, 3, 2, 1), 0.4)))
def dropout2d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """input (N, C, H, W) with whole channels set to 0 with probability *p*, the others divided by 1 - p.

    As in PyTorch, three dimensions are taken for (N, C, L), with a warning.
    """
    _check_probability(p)
    _expect("dropout2d", (4,), input)
    return _dropped_features(input, p, training, inplace, True)


@composite(
    method=False,
    samples=each(around(_seeded, on(real(1, 3, 2, 1, 2), 0.4)), around(_seeded, on(real(3, 1, 2, 1), 0.4))),
)
def dropout3d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """input (N, C, D, H, W) or (C, D, H, W) with whole channels set to 0 with probability *p*, the others divided by 1 - p."""
    _check_probability(p)
    _expect("dropout3d", (4, 5), input)
    return _dropped_features(input, p, training, inplace, input._array.ndim == 5)


@composite(method=False, samples=each(around(_seeded, on(real(3, 4), 0.4, True)), on(real(3), 0.4)))
def alpha_dropout(input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False) -> Tensor:
    """input with each element set to selu's lower limit with probability *p*, scaled so that mean and variance stay.

    (Klambauer et al. 2017.) ValueError unless *p* is between 0 and 1.
    """
    _check_probability(p)
    if not training or p == 0:
        return input
    return _alpha_dropped(input, input._array.shape, p, inplace)


@composite(method=False, samples=each(around(_seeded, on(real(2, 3, 2), 0.4, True)), on(real(2, 3), 0.4)))
def feature_alpha_dropout(input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False) -> Tensor:
    """input (N, C, …) with whole channels set to selu's lower limit, as in :func:`alpha_dropout`."""
    _check_probability(p)
    if not training or p == 0:
        return input
    return _alpha_dropped(input, _channels(input), p, inplace)
