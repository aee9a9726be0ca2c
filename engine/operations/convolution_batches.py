"""Convolution inside ``vmap``: images of all examples at once, also where each example has filters of its own."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..batching import completed, folding, levels_of, merged, sizes_of, wrap
from ..kernels.convolution import correlate_filters
from ..kernels.windows import Geometry


def by_groups(forward: Any) -> Any:
    """A convolution for batches: filters that are another set for each example work on groups of channels of their own."""
    images_alone = {False: folding(0)(forward), True: folding(0, shape=2)(forward)}

    def batched(input: Any, weight: Any, *rest: Any) -> Any:
        *own, geometry, groups = rest  # a bias, or the shape of the result
        shaped = bool(own) and isinstance(own[0], tuple)
        sizes = sizes_of((input, weight, own))
        if not levels_of((weight, own)):
            return images_alone[shaped](input, weight, *rest)
        count = math.prod(sizes.values())
        images = completed(input, sizes)
        images = np.moveaxis(images.reshape(count, *images.shape[len(sizes) :]), 0, 1)
        n, size = images.shape[0], images.shape[3:]
        if shaped:
            own = [(n, count * own[0][1], *own[0][2:])]
        else:
            own = [merged(bias, sizes) for bias in own]
        images = images.reshape(n, count * images.shape[2], *size)
        result = forward(images, merged(weight, sizes), *own, geometry, groups * count)
        result = np.moveaxis(result.reshape(n, count, -1, *result.shape[2:]), 0, 1)
        return wrap(result.reshape(*sizes.values(), *result.shape[1:]), tuple(sizes))

    return batched


def filters_of_each(forward: Any) -> Any:
    """``convolve_filters`` for batches: the filters of each example."""

    def batched(grad: Any, input: Any, shape: tuple[int, ...], geometry: Geometry, groups: int) -> Any:
        sizes = sizes_of((grad, input))
        each = input.shape[0]
        found = correlate_filters(merged(grad, sizes), merged(input, sizes), shape, geometry, groups, each)
        return wrap(found.reshape(*sizes.values(), *shape), tuple(sizes))

    return batched
