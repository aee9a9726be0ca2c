"""Compression by low rank: of a matrix of gradients travel two thin ones whose product comes near it."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np

from ..world import mpi
from .feedback import residual_of
from .method import Array, Compression, Exchange, Messages, Place

# Of a column's length: what is left after projection below it is noise of float32, or of float64.
_NOISE = {np.dtype(np.float32): 1e-5, np.dtype(np.float64): 1e-13}


class PowerSGD(Compression):
    """An approximation of each matrix of gradients by one of *rank*, found by a step of power iteration, with error feedback.

    A parameter of shape (m, ...) counts as a matrix of m rows. Where rank * (m + columns) * min_compression_rate
    is more than the matrix has elements, and for vectors such as biases, gradients travel as they are. Each step begins
    with what the one before has found (warm start), and the first with random numbers from *seed*.

    Args:
        rank: at least 1 (default 4); a higher one is nearer the gradient, and sends more.
        min_compression_rate: compress only what then takes so many times fewer bytes, at least 0 (default 2).
        seed: an integer, the same on every rank (default 0).
        everywhere: also between ranks of one host, each of which is then on its own (default False).

    Raises ValueError for a rank below 1 and a rate below 0.

    Vogels, Karimireddy and Jaggi 2019, PowerSGD: practical low-rank gradient compression for distributed optimization.

    >>> from allgrad import dist, nn
    >>> model = dist.DataParallel(nn.Linear(2, 1), compression=dist.PowerSGD(rank=2))
    """

    lanes = 2

    def __init__(
        self, rank: int = 4, *, min_compression_rate: float = 2, seed: int = 0, everywhere: bool = False
    ) -> None:
        if rank < 1:
            raise ValueError(f"PowerSGD(rank={rank}): an approximation has at least rank 1; 1 to 4 are usual")
        if min_compression_rate < 0:
            raise ValueError(f"PowerSGD(min_compression_rate={min_compression_rate}): expected 0 or more, such as 2")
        self.rank, self.min_compression_rate, self.seed = rank, min_compression_rate, seed
        super().__init__(everywhere=everywhere)

    def exchange(self, place: Place) -> Exchange:
        """Return the exchange of thin matrices."""
        return _LowRank(place, self)

    def rank_of(self, shape: tuple[int, ...]) -> int:
        """Return of which rank the approximation of a gradient of *shape* is, or 0 where it travels as it is."""
        rows = shape[0] if shape else 1
        columns = int(np.prod(shape[1:]))
        rank = min(self.rank, rows, columns)
        worth = rank * (rows + columns) * self.min_compression_rate <= rows * columns
        return rank if len(shape) > 1 and worth else 0


@dataclass
class _Matrix:
    """One gradient as a matrix: where it lies in the row, its shape, and the right factor of the last step."""

    part: slice
    rows: int
    start: Array
    right: Array

    def of(self, row: Array) -> Array:
        """Return the matrix in *row*."""
        return row[self.part].reshape(self.rows, -1)


class _LowRank(Exchange):
    """Adds up a row of gradients, matrices among them only as near as the options allow."""

    def __init__(self, place: Place, options: PowerSGD) -> None:
        self._place = place
        self._kept = residual_of(place)
        self._matrices: dict[str, _Matrix] = {}
        self._plain: list[slice] = []
        end = 0
        for slot in place.slots:
            part = slice(end, end + slot.size)
            end = part.stop
            rank = options.rank_of(slot.shape)
            if not rank:
                self._plain.append(part)
                continue
            key = np.array([options.seed, zlib.crc32(slot.name.encode())]).astype(np.uint64)
            generator = np.random.Generator(np.random.Philox(key=key))
            start = generator.standard_normal((slot.size // slot.shape[0], rank)).astype(place.wide)
            self._matrices[slot.name] = _Matrix(part, slot.shape[0], start, start.copy())

    @property
    def residual(self) -> Array:
        return self._kept.values

    @property
    def shared(self) -> dict[str, Array]:
        return {name: matrix.right for name, matrix in self._matrices.items()}

    def messages(self) -> Messages:
        place, matrices = self._place, list(self._matrices.values())
        values = self._kept.with_row(place.row)
        with np.errstate(all="ignore"):
            lefts = [matrix.of(values) @ matrix.right for matrix in matrices]
        together = _joined([*lefts, *(values[part] for part in self._plain)], place.wide)
        yield [place.lanes[0].Iallreduce(mpi().IN_PLACE, together)]
        received = _cut(together, [*(left.shape for left in lefts), *((p.stop - p.start,) for p in self._plain)])
        bases = [orthonormal(left) for left in received[: len(lefts)]]
        with np.errstate(all="ignore"):
            rights = [matrix.of(values).T @ basis for matrix, basis in zip(matrices, bases, strict=True)]
        together = _joined(rights, place.wide)
        yield [place.lanes[1].Iallreduce(mpi().IN_PLACE, together)]
        total = place.scratch()
        for part, plain in zip(self._plain, received[len(lefts) :], strict=True):
            total[part] = plain
        for matrix, basis, right in zip(matrices, bases, _cut(together, [r.shape for r in rights]), strict=True):
            product(basis, right, matrix.of(total))
            _renew(matrix, right)
        if values is self._kept.values:
            self._take_away(total)
        place.show(total)

    def _take_away(self, total: Array) -> None:
        """Leave in the residual what *total* lacks: nothing of what travelled as it is, and this rank's part of the rest."""
        values = self._kept.values
        with np.errstate(all="ignore"):
            for part in self._plain:
                values[part] = 0
            for matrix in self._matrices.values():
                values[matrix.part] -= total[matrix.part] / self._place.size
        self._kept.forget_overflow()


def orthonormal(matrix: Array) -> Array:
    """Return columns of length 1, each at right angles to all others, that span those of *matrix*; zeros where they are fewer.

    By Gram and Schmidt, twice, in float64. Only by operations element by element, whose bits are the same on every
    processor and for every number of threads: ranks that disagree here would train different models.
    """
    noise = _NOISE[matrix.dtype]
    found = matrix.astype(np.float64)
    with np.errstate(all="ignore"):
        for k in range(found.shape[1]):
            column = found[:, k]
            before = np.sqrt(_sum(column * column))
            for _ in range(2):
                for other in found[:, :k].T:
                    column -= _sum(column * other) * other
            length = np.sqrt(_sum(column * column))
            if length <= noise * before:
                column[...] = 0
            else:
                column /= length
    return found.astype(matrix.dtype)


def product(left: Array, right: Array, out: Array) -> None:
    """Write left @ right.T into *out*, element by element as `orthonormal` does, for the same reason."""
    rows = max(1, (1 << 16) // out.shape[1])
    columns = [np.ascontiguousarray(column) for column in right.T]
    with np.errstate(all="ignore"):
        for start in range(0, out.shape[0], rows):
            block = out[start : start + rows]
            block[...] = 0
            for k, column in enumerate(columns):
                block += left[start : start + rows, k, None] * column


def _sum(values: Array) -> np.float64:
    """Return the sum of *values*, added in an order that is the same everywhere."""
    while values.size > 1:
        half = values.size // 2
        folded = values[:half] + values[half : 2 * half]
        if values.size % 2:
            folded[0] += values[-1]
        values = folded
    return np.float64(values[0]) if values.size else np.float64(0)


def _renew(matrix: _Matrix, right: Array) -> None:
    """Begin the next step with *right*, and with the first random numbers where it says nothing: zero would stay zero."""
    if not np.isfinite(right).all():
        return
    empty = ~right.any(axis=0)
    matrix.right[...] = np.where(empty, matrix.start, right)


def _joined(parts: list[Array], dtype: np.dtype[np.floating]) -> Array:
    return np.concatenate([np.zeros(0, dtype), *(part.reshape(-1) for part in parts)]).astype(dtype, copy=False)


def _cut(row: Array, shapes: list[tuple[int, ...]]) -> list[Array]:
    ends = np.cumsum([0, *(int(np.prod(shape)) for shape in shapes)])
    return [row[a:b].reshape(shape) for a, b, shape in zip(ends[:-1], ends[1:], shapes, strict=True)]
