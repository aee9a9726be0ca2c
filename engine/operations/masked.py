"""Reductions, normalisations and scans that leave out what a mask leaves out: where it is False, or all where it is None."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .. import dtypes
from ..batching import as_array
from ..errors import normal_dims
from ..registry import composite
from ..registry.samples import Samples, each, on, positive, real, truth
from ..tensors.tensor import Tensor
from . import extremes, loss, norms, reduction, statistics
from .comparison import choose, maximum
from .shape import stack

Dims = int | Sequence[int] | None
Mask = Tensor | None


def _masks(shape: Sequence[int]) -> Callable[..., Any]:
    """A maker of masks of *shape* that are True at least once in every row and column."""

    def make(generator: Any) -> Any:
        mask = truth(*shape)(generator)
        np.einsum("ii->i", mask[: min(shape), : min(shape)])[...] = True
        mask[:, 0] = mask[0] = True
        return mask

    return make


def _samples(maker: Callable[..., Any], *rest: Any) -> Samples:
    return each(on(maker(3, 4), *rest, mask=_masks((3, 4))), on(maker(3, 4), *rest))


_OVER = each(_samples(real), _samples(real, 1), on(real(3, 4), (0,), keepdim=True, mask=_masks((3, 4))))
_ALONG = _samples(real, 1)


def _full_mask(input: Tensor, mask: Tensor) -> Tensor:
    """*mask* as bools of the shape of input."""
    if mask.ndim > input.ndim:
        raise IndexError(
            "_input_mask expected broadcastable mask (got mask dimensionality higher than of the input): "
            f"{list(mask.shape)} and {list(input.shape)}"
        )
    full = mask if tuple(mask.shape) == tuple(input.shape) else mask.expand(tuple(input.shape))
    return full if full._array.dtype == bool else full != 0


def _filled(input: Tensor, mask: Mask, value: Any) -> Tensor:
    """input with *value* where it is masked out."""
    return input if mask is None else choose(_full_mask(input, mask), input, value)


def _converted(input: Tensor, dtype: Any, whole: bool = False) -> Tensor:
    """input as *dtype*; without one, bools and integers as int64 where *whole*."""
    if dtype is not None:
        return input.to(dtypes.as_dtype(dtype))
    return input.to(dtypes.int64) if whole and input.dtype.category < dtypes.FLOATING else input


def _dims(dim: Dims, ndim: int) -> tuple[int, ...]:
    return normal_dims(None if isinstance(dim, (tuple, list)) and not dim else dim, ndim) if ndim else ()


def _lowest(input: Tensor) -> Any:
    return (
        -math.inf if input.is_floating_point() else 0 if input.dtype is dtypes.bool_ else dtypes.iinfo(input.dtype).min
    )


def _highest(input: Tensor) -> Any:
    return (
        math.inf if input.is_floating_point() else 1 if input.dtype is dtypes.bool_ else dtypes.iinfo(input.dtype).max
    )


@composite(namespace="masked", method=False, samples=_OVER)
def sum(input: Tensor, dim: Dims = None, *, keepdim: bool = False, dtype: Any = None, mask: Mask = None) -> Tensor:
    """The sum over *dim* (all) of what *mask* leaves; 0 of nothing.

    >>> import allgrad as torch
    >>> torch.masked.sum(torch.tensor([1., 2., 4.]), mask=torch.tensor([True, False, True]))
    tensor(5.)
    """
    x = _converted(input, dtype, whole=True)
    return reduction.sum(_filled(x, mask, 0), _dims(dim, x.ndim), keepdim)


@composite(namespace="masked", method=False, samples=_OVER)
def prod(input: Tensor, dim: Dims = None, *, keepdim: bool = False, dtype: Any = None, mask: Mask = None) -> Tensor:
    """The product over *dim* (all) of what *mask* leaves; 1 of nothing."""
    x = _filled(_converted(input, dtype, whole=True), mask, 1)
    for d in sorted(_dims(dim, x.ndim), reverse=True):
        x = reduction.prod(x, d, keepdim)
    return x


@composite(namespace="masked", method=False, samples=_OVER)
def amax(input: Tensor, dim: Dims = None, *, keepdim: bool = False, dtype: Any = None, mask: Mask = None) -> Tensor:
    """The greatest over *dim* (all) of what *mask* leaves; -inf (or the least integer) of nothing."""
    x = _converted(input, dtype)
    return extremes.amax(_filled(x, mask, _lowest(x)), _dims(dim, x.ndim), keepdim)


@composite(namespace="masked", method=False, samples=_OVER)
def amin(input: Tensor, dim: Dims = None, *, keepdim: bool = False, dtype: Any = None, mask: Mask = None) -> Tensor:
    """The least over *dim* (all) of what *mask* leaves; inf (or the greatest integer) of nothing."""
    x = _converted(input, dtype)
    return extremes.amin(_filled(x, mask, _highest(x)), _dims(dim, x.ndim), keepdim)


@composite(namespace="masked", method=False)
def argmax(
    input: Tensor, dim: int | None = None, *, keepdim: bool = False, dtype: Any = None, mask: Mask = None
) -> Tensor:
    """The index of the greatest of what *mask* leaves, in the type of input or *dtype*, as PyTorch has it."""
    x = _converted(input, dtype)
    return extremes.argmax(_filled(x, mask, _lowest(x)), dim, keepdim).to(x.dtype)


@composite(namespace="masked", method=False)
def argmin(
    input: Tensor, dim: int | None = None, *, keepdim: bool = False, dtype: Any = None, mask: Mask = None
) -> Tensor:
    """The index of the least of what *mask* leaves, in the type of input or *dtype*, as PyTorch has it."""
    x = _converted(input, dtype)
    return extremes.argmin(_filled(x, mask, _highest(x)), dim, keepdim).to(x.dtype)


def _count(input: Tensor, mask: Mask, dims: Sequence[int], keepdim: bool) -> Tensor:
    """How many elements are left over *dims*."""
    left = np.ones(input._array.shape, bool) if mask is None else _full_mask(input, mask)._array
    return Tensor._wrap(as_array(np.sum(left, axis=tuple(dims), keepdims=keepdim)))


@composite(namespace="masked", method=False, samples=_OVER)
def mean(input: Tensor, dim: Dims = None, *, keepdim: bool = False, dtype: Any = None, mask: Mask = None) -> Tensor:
    """The mean over *dim* (all) of what *mask* leaves; nan of nothing. ValueError for integers and bools."""
    x = _converted(input, dtype)
    if x.dtype.category < dtypes.FLOATING:
        raise ValueError(
            "mean(): Could not infer output dtype. Input dtype must be either a floating point or complex dtype. Got: "
            f"{x.dtype}: convert it with .float(), or give a dtype"
        )
    dims = _dims(dim, x.ndim)
    return reduction.sum(_filled(x, mask, 0), dims, keepdim) / _count(x, mask, dims, keepdim)


@composite(namespace="masked", method=False, samples=_samples(real, 1))
def median(input: Tensor, dim: int = -1, *, keepdim: bool = False, dtype: Any = None, mask: Mask = None) -> Tensor:
    """The lower median along *dim* of what *mask* leaves and is not nan; nan of nothing."""
    x = _converted(input, dtype)
    x = _filled(x if x.is_floating_point() else x.float(), mask, math.nan)
    return statistics.nanmedian(x, dim, keepdim).values


@composite(namespace="masked", method=False, samples=each(_samples(real, 2.0, 1), _samples(positive, 3.0, (0, 1))))
def norm(
    input: Tensor,
    ord: float | None = 2.0,
    dim: Dims = None,
    *,
    keepdim: bool = False,
    dtype: Any = None,
    mask: Mask = None,
) -> Tensor:
    """The vector norm *ord* over *dim* (all) of what *mask* leaves, zeros in place of the rest (inf for *ord* -inf)."""
    x = _converted(input, dtype)
    order = 2.0 if ord is None else float(ord)
    return norms.vector_norm(
        _filled(x, mask, math.inf if order == -math.inf else 0), order, _dims(dim, x.ndim), keepdim
    )


def _moment(x: Tensor, dim: Dims, correction: Any, keepdim: bool, mask: Mask) -> Tensor:
    dims = _dims(dim, x.ndim)
    count = _count(x, mask, dims, True)
    centred = _filled(x - reduction.sum(_filled(x, mask, 0), dims, True) / count, mask, 0)
    squares = centred * centred.conj() if x.is_complex() else centred * centred
    total = reduction.sum(np.real(squares), dims, keepdim)
    degrees = np.maximum(_count(x, mask, dims, keepdim)._array - correction, 0)
    return total / Tensor._wrap(as_array(degrees, dtype=total._array.dtype))


def _correction(unbiased: bool | None, correction: Any) -> Any:
    if unbiased is not None and correction is not None:
        raise ValueError("Only one of unbiased and correction may be given")
    return 1 if unbiased is None and correction is None else int(bool(unbiased)) if correction is None else correction


def _floating(input: Tensor, dtype: Any) -> Tensor:
    x = _converted(input, dtype)
    return x.float() if x.dtype.category < dtypes.FLOATING else x


@composite(namespace="masked", method=False, samples=each(_samples(real), _samples(real, 1, False)))
def var(
    input: Tensor, dim: Dims = None, unbiased: bool | None = None, *, correction: Any = None, keepdim: bool = False,
    dtype: Any = None, mask: Mask = None,
) -> Tensor:  # fmt: skip
    """The variance over *dim* (all) of what *mask* leaves: squared deviations by their number less *correction* (1)."""
    return _moment(_floating(input, dtype), dim, _correction(unbiased, correction), keepdim, mask)


@composite(namespace="masked", method=False, samples=each(_samples(real), _samples(real, 1, False)))
def std(
    input: Tensor, dim: Dims = None, unbiased: bool | None = None, *, correction: Any = None, keepdim: bool = False,
    dtype: Any = None, mask: Mask = None,
) -> Tensor:  # fmt: skip
    """The standard deviation over *dim* of what *mask* leaves: the square root of ``var``."""
    return _moment(_floating(input, dtype), dim, _correction(unbiased, correction), keepdim, mask).sqrt()


@composite(namespace="masked", method=False, samples=_OVER)
def logsumexp(
    input: Tensor, dim: Dims = None, *, keepdim: bool = False, dtype: Any = None, mask: Mask = None
) -> Tensor:
    """The logarithm of the sum of exponentials over *dim* (all) of what *mask* leaves, in the type of input; -inf of nothing."""
    x = _floating(input, dtype)
    result = reduction.logsumexp(_filled(x, mask, -math.inf), _dims(dim, x.ndim), keepdim)
    return result.to(_converted(input, dtype).dtype)


@composite(namespace="masked", method=False, samples=on(real(3, 4), real(3, 4), input_mask=truth(3, 4)))
def logaddexp(
    input: Tensor, other: Tensor, *, dtype: Any = None, input_mask: Mask = None, other_mask: Mask = None
) -> Tensor:
    """log(exp(input) + exp(other)), element by element, without those that their masks leave out; -inf without both."""
    a = _filled(_converted(input, dtype), input_mask, -math.inf)
    b = _filled(_converted(other, dtype), other_mask, -math.inf)
    return reduction.logsumexp(stack([a, b]), 0)  # twice differentiable at -inf, unlike logaddexp


@composite(namespace="masked", method=False, samples=_ALONG)
def softmax(input: Tensor, dim: int, *, dtype: Any = None, mask: Mask = None) -> Tensor:
    """softmax along *dim* of what *mask* leaves: 0 where it does not, nan where nothing is left."""
    x = _converted(input, dtype)
    return loss.softmax(_filled(x, mask, -math.inf), dim)


@composite(namespace="masked", method=False)
def log_softmax(input: Tensor, dim: int, *, dtype: Any = None, mask: Mask = None) -> Tensor:
    """The logarithm of ``softmax``: -inf where *mask* leaves nothing."""
    x = _converted(input, dtype)
    return loss.log_softmax(_filled(x, mask, -math.inf), dim)


@composite(namespace="masked", method=False, samples=_ALONG)
def softmin(input: Tensor, dim: int, *, dtype: Any = None, mask: Mask = None) -> Tensor:
    """softmax of -input along *dim* of what *mask* leaves."""
    x = _converted(input, dtype)
    return loss.softmax(-_filled(x, mask, math.inf), dim)


@composite(namespace="masked", method=False, samples=_ALONG)
def cumsum(input: Tensor, dim: int, *, dtype: Any = None, mask: Mask = None) -> Tensor:
    """The sum of the elements so far along *dim*, of what *mask* leaves."""
    return reduction.cumsum(_filled(_converted(input, dtype, whole=True), mask, 0), dim)


@composite(namespace="masked", method=False, samples=_ALONG)
def cumprod(input: Tensor, dim: int, *, dtype: Any = None, mask: Mask = None) -> Tensor:
    """The product of the elements so far along *dim*, of what *mask* leaves."""
    return reduction.cumprod(_filled(_converted(input, dtype, whole=True), mask, 1), dim)


@composite(namespace="masked", method=False, samples=each(_samples(real, 2.0, 1), _samples(positive, 1.0, 0)))
def normalize(
    input: Tensor, ord: float, dim: int, *, eps: float = 1e-12, dtype: Any = None, mask: Mask = None
) -> Tensor:
    """What *mask* leaves of input, divided along *dim* by its norm *ord* (by *eps* at least); 0 elsewhere."""
    x = _converted(input, dtype)
    size = norm(x, ord, dim, keepdim=True, mask=mask)
    return _filled(x, mask, 0) / maximum(size, eps)
