"""Compression by selection: only the largest gradients travel, and the others wait until they have grown."""

from __future__ import annotations

import numpy as np

from .feedback import residual_of
from .method import Array, Compression, Exchange, Messages, Place

_EACH = 64
"""Of so many elements one is in the sample."""


class TopK(Compression):
    """The largest gradients of each bucket in absolute value, with their numbers; all others go into the error feedback.

    A host sends 8 bytes for each (12 in float64), and hears those of every other host. With error feedback a gradient
    left out is not lost but late: expect to need a lower learning rate, or momentum corrected for it, where
    *fraction* is small.

    Args:
        fraction: of the elements of a bucket, above 0 and at most 1; at least one element (default 0.01).
        everywhere: also between ranks of one host, each of which is then on its own (default False).

    Raises ValueError for another fraction.

    Aji and Heafield 2017, Sparse communication for distributed gradient descent; Stich et al. 2018, Sparsified SGD with
    memory.

    >>> from allgrad import dist, nn
    >>> model = dist.DataParallel(nn.Linear(2, 1), compression=dist.TopK(0.05))
    """

    lanes = 1

    def __init__(self, fraction: float = 0.01, *, everywhere: bool = False) -> None:
        if not 0 < fraction <= 1:
            raise ValueError(
                f"TopK(fraction={fraction}): it is the part of the gradients that travels, above 0 and at most 1, such as 0.01"
            )
        self.fraction = fraction
        super().__init__(everywhere=everywhere)

    def count(self, size: int) -> int:
        """Return how many of *size* elements travel."""
        return max(1, round(self.fraction * size))

    def exchange(self, place: Place) -> Exchange:
        """Return the exchange of the largest elements."""
        return _Largest(place, self.count(place.row.size))


class _Largest(Exchange):
    """Adds up the *count* largest elements of each rank, in the order of ranks."""

    def __init__(self, place: Place, count: int) -> None:
        self._place, self._count = place, count
        self._kept = residual_of(place)

    @property
    def residual(self) -> Array:
        return self._kept.values

    def messages(self) -> Messages:
        place, count = self._place, self._count
        values = self._kept.with_row(place.row)
        chosen = largest(values, count)
        code = np.empty(count * (4 + values.itemsize), np.uint8)
        code[: 4 * count].view(np.uint32)[...] = chosen
        code[4 * count :] = values[chosen].view(np.uint8)
        if values is self._kept.values:
            values[chosen] = 0
        everyones = np.empty((place.size, code.size), np.uint8)
        yield [place.lanes[0].Iallgather(code, everyones)]
        total = place.scratch()
        total[...] = 0
        with np.errstate(all="ignore"):
            for other in everyones:
                # Each number comes once in a code, so this adds as np.add.at would, which takes far longer.
                total[other[: 4 * count].view(np.uint32)] += other[4 * count :].copy().view(total.dtype)
        place.show(total)


def largest(values: Array, count: int) -> Array:
    """Return the numbers of the *count* elements of *values* that are greatest in absolute value, NaN before all others.

    >>> largest(np.array([1.0, -3.0, 2.0]), 2).tolist()
    [1, 2]
    """
    sizes = np.abs(values)
    candidates = _candidates(sizes, count)
    first = candidates.size - count
    chosen = np.argpartition(sizes[candidates], first)[first:] if first else slice(None)
    return np.sort(candidates[chosen])


def _candidates(sizes: Array, count: int) -> Array:
    """Return numbers among which are those of the *count* greatest: of few, by a bound taken from a sample, if that holds."""
    sample = sizes[::_EACH]
    expected = 2 * -(-count // _EACH) + 16
    if expected < sample.size // 4:
        bound = np.partition(sample, sample.size - expected)[sample.size - expected]
        found = np.flatnonzero(~(sizes < bound))  # so that NaN is one
        if found.size >= count:
            return found
    return np.arange(sizes.size)
