"""The sum of rows that travel in a code: every rank gets everyone's numbers for the part it owns, and tells the sum.

Each number travels twice, to its owner and back, as in a ring. It is added in the order of the ranks, and all read the
owner's code of the sum: all have the same bits.
"""

from __future__ import annotations

import itertools

import numpy as np

from allgrad.kernels.sums import is_finite

from .codes import CHUNK, Code
from .feedback import residual_of
from .method import Array, Exchange, Messages, Place


class OwnersExchange(Exchange):
    """Adds up the row at *place* in *code*; with *feedback* what rounding takes away goes along the next time.

    An owner keeps what it has rounded off the sum as part of its own residual.

    Tang et al. 2021, 1-bit Adam, describe this exchange and its two residuals.
    """

    def __init__(self, place: Place, code: Code, *, feedback: bool) -> None:
        self._place, self._code = place, code
        self._kept = residual_of(place) if feedback else None
        chunks = -(-place.row.size // CHUNK)
        ends = np.minimum(chunks * np.arange(place.size + 1) // place.size * CHUNK, place.row.size)
        self._parts = [slice(int(a), int(b)) for a, b in itertools.pairwise(ends)]
        self._lengths = [code.length(part.stop - part.start) for part in self._parts]

    @property
    def residual(self) -> Array | None:
        """What was rounded off, of this rank's numbers and of the sums that it owns."""
        return None if self._kept is None else self._kept.values

    def messages(self) -> Messages:
        """Send every owner its part, and then the sum of the own part to all."""
        place, own = self._place, self._parts[self._place.lanes[0].rank]
        length = self._code.length(own.stop - own.start)
        scratch = place.scratch()
        code = self._written(scratch)
        incoming = np.empty((place.size, length), np.uint8)
        yield [place.lanes[0].Ialltoallv((code, self._lengths), (incoming, [length] * place.size))]
        told = np.empty(length, np.uint8)
        total = self._sum(incoming, own)
        self._code.write(total, told)
        if self._kept is not None:
            self._keep_rounding(total, told, own)
        yield [place.lanes[1].Iallgatherv(told, (code, self._lengths))]
        self._read(code, scratch)
        place.show(scratch)

    def _written(self, scratch: Array) -> Array:
        """Return the code of this rank's row, part by part; *scratch*, which may be the row, is overwritten."""
        row = self._place.row
        values = row if self._kept is None else self._kept.with_row(row)
        code = np.empty(sum(self._lengths), np.uint8)
        for part, piece in zip(self._parts, self._pieces(code), strict=True):
            self._code.write(values[part].astype(scratch.dtype, copy=False), piece)
        if self._kept is not None and values is self._kept.values:
            self._read(code, scratch)
            with np.errstate(all="ignore"):
                values -= scratch
            self._kept.forget_overflow()
        return code

    def _sum(self, incoming: Array, own: slice) -> Array:
        total = np.empty(own.stop - own.start, self._place.wide)
        self._code.read(incoming[0], total)
        one = np.empty_like(total)
        with np.errstate(all="ignore"):
            for code in incoming[1:]:
                self._code.read(code, one)
                total += one
        return total

    def _keep_rounding(self, total: Array, told: Array, own: slice) -> None:
        assert self._kept is not None
        read = np.empty_like(total)
        self._code.read(told, read)
        with np.errstate(all="ignore"):
            total -= read
        if is_finite(total):
            self._kept.values[own] += total

    def _read(self, code: Array, out: Array) -> None:
        for part, piece in zip(self._parts, self._pieces(code), strict=True):
            self._code.read(piece, out[part])

    def _pieces(self, code: Array) -> list[Array]:
        ends = np.cumsum([0, *self._lengths])
        return [code[a:b] for a, b in itertools.pairwise(ends)]
