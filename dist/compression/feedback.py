"""Error feedback: what compression left out of the gradients of one step goes along with those of the next."""

from __future__ import annotations

import numpy as np

from .method import Array, Place


class Residual:
    """What has been left out so far of one row, element by element.

    Where something is not finite it stays as it was: a step that the script skips must not spoil all that follow.

    Seide et al. 2014, 1-bit stochastic gradient descent; Karimireddy et al. 2019, Error feedback fixes SignSGD.
    """

    def __init__(self, size: int, dtype: np.dtype[np.floating]) -> None:
        self.values: Array = np.zeros(size, dtype)

    def added_to(self, row: Array) -> Array:
        """Return *row* and what is still to be sent, as an array of its own."""
        with np.errstate(all="ignore"):
            return np.add(row, self.values, dtype=self.values.dtype)

    def keep(self, values: Array, sent: Array) -> None:
        """Keep what of *values* was not *sent*."""
        with np.errstate(all="ignore"):
            left = values - sent
        if np.isfinite(left).all():
            self.values[...] = left


def residual_of(place: Place) -> Residual:
    """Return an empty residual for the row at *place*."""
    return Residual(place.row.size, place.wide)
