"""Numbers in 16 or 8 bits: arrays of float32 or float64 into bytes, and back."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from .method import Array

CHUNK = 1024
"""So many elements have one scale."""


class Code(Protocol):
    """A way to write numbers into bytes. What holds NaN or infinity holds NaN or infinity when read again."""

    def length(self, count: int) -> int:
        """Return how many bytes *count* numbers take, a multiple of 4."""

    def write(self, values: Array, out: Array) -> None:
        """Write *values* into the bytes *out*."""

    def read(self, code: Array, out: Array) -> None:
        """Write what `write` wrote into *code*, up to rounding, into *out*."""


class BrainCode:
    """The upper half of float32, rounded to the nearest, to even where two are as near."""

    def length(self, count: int) -> int:
        """Two bytes for each number."""
        return _in_words(2 * count)

    def write(self, values: Array, out: Array) -> None:
        """Round *values*."""
        with np.errstate(over="ignore"):
            bits = values.astype(np.float32).view(np.uint32)
        rounded = (bits + (0x7FFF + ((bits >> 16) & 1))) >> 16
        # Rounding would carry a NaN of many ones into the sign.
        rounded[np.isnan(values)] = 0x7FC0
        out[: 2 * values.size].view(np.uint16)[...] = rounded

    def read(self, code: Array, out: Array) -> None:
        """Fill up with zeros."""
        bits = code[: 2 * out.size].view(np.uint16).astype(np.uint32) << 16
        out[...] = bits.view(np.float32)


class ScaledCode:
    """Numbers of *dtype*, each chunk of them in units of a scale of its own, which lead the bytes in float32."""

    def __init__(self, dtype: type[np.generic]) -> None:
        self._dtype: np.dtype[Any] = np.dtype(dtype)

    def length(self, count: int) -> int:
        """The numbers and their scales."""
        return 4 * _chunks(count) + _in_words(count * self._dtype.itemsize)

    def write(self, values: Array, out: Array) -> None:
        """Round *values* to multiples of their chunks' scales."""
        scales, numbers = self._parts(out, values.size)
        with np.errstate(all="ignore"):
            for (first, last), units in _by_chunk(values, numbers):
                largest = np.abs(values[first:last]).reshape(units.shape).max(axis=1)
                scale = self._scale_of(largest)
                scales[first // CHUNK : -(-last // CHUNK)] = scale
                scaled = values[first:last].reshape(units.shape) / scale[:, None]
                units[...] = np.rint(scaled) if self._dtype.kind == "i" else scaled

    def read(self, code: Array, out: Array) -> None:
        """Multiply by the scales."""
        scales, numbers = self._parts(code, out.size)
        with np.errstate(all="ignore"):
            for (first, last), units in _by_chunk(out, numbers):
                factor = scales[first // CHUNK : -(-last // CHUNK)].astype(out.dtype)
                np.multiply(units, factor[:, None], out=out[first:last].reshape(units.shape), dtype=out.dtype)

    def _scale_of(self, largest: Array) -> Array:
        """Return the scales of chunks whose greatest absolute values are *largest*; NaN where these are not finite."""
        if self._dtype.kind == "i":
            scale = largest / np.iinfo(self._dtype).max
        else:
            # A power of two, so that it costs no accuracy; the largest number then lies between 2^14 and 2^15.
            scale = np.ldexp(np.ones_like(largest), np.maximum(np.frexp(largest)[1], -100) - 15)
        scale[largest == 0] = 1
        scale[~np.isfinite(largest)] = np.nan
        # What is too small for a scale in float32 counts in units of its least number with all digits.
        return np.maximum(scale.astype(np.float32), np.finfo(np.float32).tiny).astype(largest.dtype)

    def _parts(self, code: Array, count: int) -> tuple[Array, Array]:
        begin = 4 * _chunks(count)
        return code[:begin].view(np.float32), code[begin : begin + count * self._dtype.itemsize].view(self._dtype)


def _by_chunk(values: Array, numbers: Array) -> list[tuple[tuple[int, int], Array]]:
    """Return the whole chunks of *numbers* as a matrix, and the rest as one of one row, each with its first and last."""
    whole = values.size // CHUNK * CHUNK
    parts = [((0, whole), numbers[:whole].reshape(-1, CHUNK)), ((whole, values.size), numbers[whole:].reshape(1, -1))]
    return [(bounds, matrix) for bounds, matrix in parts if matrix.size]


def _chunks(count: int) -> int:
    return -(-count // CHUNK)


def _in_words(length: int) -> int:
    return -(-length // 4) * 4
