"""Error feedback: what compression left out of the gradients of one step goes along with those of the next."""

from __future__ import annotations

import numpy as np

from allgrad.kernels.sums import is_finite

from .method import Array, Place


class Residual:
    """What has been left out so far of one row, element by element.

    A row that is not finite leaves it as it was: a step that the script skips must not spoil all that follow.

    Seide et al. 2014, 1-bit stochastic gradient descent; Karimireddy et al. 2019, Error feedback fixes SignSGD.
    """

    def __init__(self, size: int, dtype: np.dtype[np.floating]) -> None:
        self.values: Array = np.zeros(size, dtype)

    def with_row(self, row: Array) -> Array:
        """Return *row* and what is still to be sent.

        These are `values` themselves, from which what is sent is then to be taken away; but a copy where *row* is not finite.
        """
        if is_finite(row):
            self.values += row
            return self.values
        with np.errstate(all="ignore"):
            return self.values + row

    def forget_overflow(self) -> None:
        """Begin anew where taking away what was sent has left something that is not finite: the code overflowed."""
        if not is_finite(self.values):
            self.values[~np.isfinite(self.values)] = 0


def residual_of(place: Place) -> Residual:
    """Return an empty residual for the row at *place*."""
    return Residual(place.row.size, place.wide)
