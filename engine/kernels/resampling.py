"""Resampling along an axis: which elements each new one is made of, by which weights, and how the sum is taken."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from ..batching import zeros

Array = np.ndarray[Any, Any]


class Layer(NamedTuple):
    """One summand of some places of the result: the element at *sources* times *weights* (None: once)."""

    places: Array | None  # None: all of them
    sources: Array
    weights: Array | None


class Taps(NamedTuple):
    """A linear map along an axis, of *before* elements to *after* elements, as layers of summands."""

    before: int
    after: int
    layers: tuple[Layer, ...]

    def transposed(self) -> Taps:
        """The map that sends gradients back."""
        places = [np.arange(self.after) if layer.places is None else layer.places for layer in self.layers]
        weights = [np.ones(len(la.sources)) if la.weights is None else la.weights for la in self.layers]
        empty = [np.zeros(0, dtype=np.int64)]
        targets = np.concatenate([la.sources for la in self.layers] or empty)
        order = np.argsort(targets, kind="stable")
        targets = targets[order]
        rank = np.arange(len(targets)) - np.searchsorted(targets, targets)
        sources, weight = np.concatenate(places or empty)[order], np.concatenate(weights or empty)[order]
        layers = (Layer(targets[here], sources[here], weight[here]) for here in _each(rank))
        return Taps(self.after, self.before, tuple(layers))


def _each(rank: Array) -> list[Array]:
    """For every number that occurs in *rank*, from 0 on, the places where it stands."""
    return [np.flatnonzero(rank == r) for r in range(int(rank.max(initial=-1)) + 1)]


def resample(array: Array, axis: int, taps: Taps) -> Array:
    """*array* with its dimension *axis* mapped by *taps*."""
    shape = (*array.shape[:axis], taps.after, *array.shape[axis + 1 :])
    column = (-1,) + (1,) * (array.ndim - axis - 1)
    result: Array | None = None
    for places, sources, weights in taps.layers:
        part = np.take(array, sources, axis)
        if weights is not None:
            part *= weights.astype(array.dtype).reshape(column)
        if places is None and result is None:
            result = part
            continue
        result = zeros(shape, array) if result is None else result
        result[(slice(None),) * axis + (slice(None) if places is None else places,)] += part
    return zeros(shape, array) if result is None else result


def resample_bytes(array: Array, axis: int, taps: Taps) -> Array:
    """``resample`` of uint8 by weights of 15 bits, as PyTorch reckons: the result is rounded, halves upwards."""
    given = [layer.weights for layer in taps.layers if layer.weights is not None]
    if not given:
        return resample(array, axis, taps)
    largest = max(float(weights.max(initial=0.0)) for weights in given)
    bits = next(b for b in range(22, -1, -1) if b == 0 or int(0.5 + largest * 2.0**b) < 1 << 15)
    layers = tuple(
        Layer(places, sources, np.ones(len(sources)) if weights is None else _whole(weights * 2.0**bits))
        for places, sources, weights in taps.layers
    )
    sums = resample(array.astype(np.int64), axis, Taps(taps.before, taps.after, layers))
    rounded: Array = np.clip((sums + (1 << bits >> 1)) >> bits, 0, 255)
    return rounded.astype(np.uint8)


def _whole(values: Array) -> Array:
    """The nearest whole numbers, halves away from zero."""
    rounded: Array = np.trunc(values + np.copysign(0.5, values))
    return rounded


def _layered(before: int, sources: Array, weights: Array) -> Taps:
    """Taps with one row of *sources* and *weights* for each summand; weights of 0 take no part."""
    layers = []
    for source, weight in zip(sources, weights, strict=True):
        if weight.all():
            layers.append(Layer(None, source, weight))
        elif weight.any():
            places = np.flatnonzero(weight)
            layers.append(Layer(places, source[places], weight[places]))
    return Taps(before, sources.shape[1], tuple(layers))


def _step(before: int, after: int, align_corners: bool, scale: float | None) -> float:
    """How far apart, in elements of the source, the new elements are."""
    if align_corners:
        return (before - 1) / (after - 1) if after > 1 else 0.0
    return 1.0 / scale if scale is not None and scale > 0 else before / after


def nearest(before: int, after: int, scale: float | None, exact: bool, by_size: bool) -> Taps:
    """Each new element is one of the old; *exact*: the one whose middle is nearest.

    *by_size*: equal and double sizes go by the size and not by *scale*, as PyTorch has it for images only.
    """
    if by_size and not exact and after in (before, 2 * before):
        sources = np.arange(after) * before // after
    else:
        places = np.arange(after, dtype=np.float32) + np.float32(0.5 if exact else 0.0)  # PyTorch counts in float32
        sources = np.floor(places * np.float32(_step(before, after, False, scale))).astype(np.int64)
    return Taps(before, after, (Layer(None, np.minimum(sources, before - 1), None),))


def _sources(before: int, after: int, align_corners: bool, scale: float | None, precision: type[Any]) -> Array:
    """Where in the source, as fractions, the new elements lie."""
    places = np.arange(after, dtype=precision)
    step = precision(_step(before, after, align_corners, scale))
    half = precision(0.5)
    weight: Array = places * step if align_corners else (places + half) * step - half
    return weight


def linear(before: int, after: int, align_corners: bool, scale: float | None, precision: type[Any]) -> Taps:
    """Each new element lies on the line between two neighbours."""
    if before == after:
        return Taps(before, after, (Layer(None, np.arange(after), None),))
    source = np.maximum(_sources(before, after, align_corners, scale, precision), precision(0))
    low = np.minimum(source.astype(np.int64), before - 1)
    share = np.clip(source - low, 0, 1)
    return _layered(before, np.stack([low, np.minimum(low + 1, before - 1)]), np.stack([1 - share, share]))


def cubic_weight(distance: Array, sharpness: float) -> Array:
    """Keys' cubic convolution kernel (1981) at *distance*."""
    x = np.absolute(distance)
    near = ((sharpness + 2) * x - (sharpness + 3)) * x * x + 1
    far = ((x - 5) * x + 8) * x * sharpness - 4 * sharpness
    return np.where(x < 1, near, np.where(x < 2, far, 0.0))


def cubic(before: int, after: int, align_corners: bool, scale: float | None, precision: type[Any]) -> Taps:
    """Each new element lies on the cubic through four neighbours."""
    if before == after:
        return Taps(before, after, (Layer(None, np.arange(after), None),))
    source = _sources(before, after, align_corners, scale, precision)
    low = np.minimum(np.floor(source).astype(np.int64), before - 1)
    share = np.clip(source - low, 0, 1)
    neighbours = np.arange(-1, 3)[:, None]
    return _layered(before, np.clip(low + neighbours, 0, before - 1), cubic_weight(share - neighbours, -0.75))


def mean(before: int, after: int) -> Taps:
    """Each new element is the mean of the old ones that it covers."""
    places = np.arange(after)
    start = places * before // after
    stop = -((-(places + 1) * before) // after)
    return _ragged(before, start, stop, lambda sources: np.ones(sources.shape))


def antialiased(before: int, after: int, align_corners: bool, scale: float | None, width: int) -> Taps:
    """As ``linear`` (*width* 2) or ``cubic`` (4), but wider where the result is smaller, so that no element is skipped."""
    if before == after:
        return Taps(before, after, (Layer(None, np.arange(after), None),))
    step = _step(before, after, align_corners, scale)
    support = width * 0.5 * max(step, 1.0)
    middle = step * (np.arange(after) + 0.5)
    start = np.maximum((middle - support + 0.5).astype(np.int64), 0)
    stop = np.minimum((middle + support + 0.5).astype(np.int64), before)
    stop = np.clip(stop, start, start + math.ceil(support) * 2 + 1)

    def weigh(sources: Array) -> Array:
        distance = (sources - middle + 0.5) / max(step, 1.0)
        return np.maximum(1 - np.absolute(distance), 0) if width == 2 else cubic_weight(distance, -0.5)

    return _ragged(before, start, stop, weigh)


def _ragged(before: int, start: Array, stop: Array, weigh: Any) -> Taps:
    """New elements made of those from *start* to *stop*, with weights that *weigh* says, brought to a sum of 1."""
    sources = start + np.arange(int((stop - start).max(initial=0)))[:, None]
    weights = np.where(sources < stop, weigh(sources), 0.0)
    total = weights.sum(0)
    return _layered(before, np.minimum(sources, before - 1), weights / np.where(total == 0, 1.0, total))
