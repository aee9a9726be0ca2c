"""Quantiles: the values below which given fractions of the elements lie."""

from __future__ import annotations

import builtins
from collections.abc import Callable
from typing import Any

import numpy as np

from ..errors import normal_dim
from ..registry import composite
from ..registry.samples import each, on, real
from ..tensors.tensor import Tensor
from .arithmetic import minus, mul
from .comparison import where
from .elementwise import ceil, floor
from .gathering import gather
from .mixing import lerp_number, lerp_tensor
from .ordering import sort
from .shape import flatten, movedim, reshape, squeeze, unsqueeze


def _check_quantile(name: str, input: Tensor, q: Any, interpolation: str) -> Tensor:
    """The fractions *q* as a tensor, if the call makes sense."""
    if input._array.dtype.kind != "f":
        raise RuntimeError(f"{name}() input tensor must be either float or double dtype, found {input.dtype}")
    if not input._array.size:
        raise RuntimeError(f"{name}() input tensor must be non-empty, found shape {list(input.shape)}")
    if interpolation not in ("linear", "lower", "higher", "midpoint", "nearest"):
        raise RuntimeError(
            f"{name}() interpolation must be one of linear, lower, higher, midpoint or nearest, but got {interpolation}"
        )
    if not isinstance(q, Tensor):
        if not 0 <= q <= 1:
            raise RuntimeError(f"{name}() q must be in the range [0, 1] but got {q}")
        return Tensor._wrap(np.asarray(q, dtype=input._array.dtype))
    if q._array.ndim > 1:
        raise RuntimeError(f"{name}() q must be a scalar or 1D tensor, found shape {list(q.shape)}")
    if q._array.dtype != input._array.dtype:
        raise RuntimeError(f"{name}() q tensor must be same dtype as the input tensor, found {q.dtype}")
    if q._array.size and not (q._array.min() >= 0 and q._array.max() <= 1):
        raise RuntimeError(f"{name}() q values must be in the range [0, 1]")
    return q


def _quantile(name: str, input: Tensor, q: Any, dim: int | None, keepdim: builtins.bool, interpolation: str) -> Tensor:
    fractions = _check_quantile(name, input, q, interpolation)
    ndim = input._array.ndim
    d = 0 if dim is None else normal_dim(dim, ndim)
    rows = flatten(input) if dim is None or not ndim else movedim(input, d, -1)
    ordered = sort(rows, -1).values
    values = _between(ordered, _ranks(name, rows, reshape(fractions, (-1,))), interpolation)
    if keepdim and ndim:
        values = reshape(values, (1,) * ndim + (-1,)) if dim is None else unsqueeze(values, d)
    values = movedim(values, -1, 0)
    return values if fractions._array.ndim else squeeze(values, 0)


def _ranks(name: str, rows: Tensor, fractions: Tensor) -> Tensor:
    """Where in each row in order the *fractions* fall: (…, number of fractions)."""
    last = rows._array.shape[-1] - 1
    numbers = np.sum(rows._array == rows._array, axis=-1, keepdims=True).astype(rows._array.dtype)
    if name == "nanquantile":
        return mul(fractions, Tensor._wrap(np.maximum(numbers - 1, 0)))
    ranks = mul(fractions, Tensor._wrap(np.full_like(numbers, last)))
    return where(Tensor._wrap(numbers <= last), Tensor._wrap(np.full_like(numbers, last)), ranks)


def _between(ordered: Tensor, ranks: Tensor, interpolation: str) -> Tensor:
    """The elements of each row at the fractional *ranks*."""
    if interpolation != "linear" and interpolation != "midpoint":
        rounding: Callable[[Tensor], Tensor] = {"lower": floor, "higher": ceil, "nearest": lambda x: x.round()}[
            interpolation
        ]
        return gather(ordered, -1, rounding(ranks).long())
    below = floor(ranks)
    low, high = gather(ordered, -1, below.long()), gather(ordered, -1, ceil(ranks).long())
    return lerp_number(low, high, 0.5) if interpolation == "midpoint" else lerp_tensor(low, high, minus(ranks, below))


QUANTILES = each(
    on(real(5), 0.3), on(real(3, 4), 0.6, 1, True), on(real(3, 4), 0.5, 0, interpolation="midpoint"), on(real(2, 3), 0.4)
)  # fmt: skip


@composite(out=True, samples=QUANTILES)
def quantile(
    input: Tensor, q: Any, dim: int | None = None, keepdim: builtins.bool = False, *, interpolation: str = "linear"
) -> Tensor:
    """The values below which the fractions *q* (a number, or a vector of the type of input) of the elements lie.

    Of all elements or along *dim*; a vector *q* adds a first dimension. nan where there is one.

    >>> import allgrad as torch
    >>> torch.quantile(torch.tensor([1., 2., 3., 4.]), 0.5)
    tensor(2.5000)
    """
    return _quantile("quantile", input, q, dim, keepdim, interpolation)


@composite(out=True, samples=QUANTILES)
def nanquantile(
    input: Tensor, q: Any, dim: int | None = None, keepdim: builtins.bool = False, *, interpolation: str = "linear"
) -> Tensor:
    """Like ``quantile``, of the elements that are not nan."""
    return _quantile("nanquantile", input, q, dim, keepdim, interpolation)
