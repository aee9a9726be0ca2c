"""Numbers in 16 or 8 bits: arrays of float32 or float64 into bytes, and back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np

from .method import Array

CHUNK = 1024
"""So many elements have one scale."""
_BLOCK = 32 * CHUNK


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
        halves = out[: 2 * values.size].view(np.uint16)
        for block in _blocks(values.size):
            with np.errstate(over="ignore"):
                bits = values[block].astype(np.float32).view(np.uint32)
            odd = (bits >> 16) & 1
            odd += 0x7FFF
            odd += bits
            odd >>= 16
            # Rounding would carry a NaN of many ones into the sign.
            odd[np.isnan(values[block])] = 0x7FC0
            halves[block] = odd

    def read(self, code: Array, out: Array) -> None:
        """Fill up with zeros."""
        halves = code[: 2 * out.size].view(np.uint16)
        for block in _blocks(out.size):
            bits = halves[block].astype(np.uint32)
            bits <<= 16
            out[block] = bits.view(np.float32)


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
            for block, chunks in _chunks_of(values.size):
                matrix = values[block].reshape(len(scales[chunks]), -1)
                scaled = np.abs(matrix)
                scale = self._scale_of(scaled.max(axis=1))
                scales[chunks] = scale
                np.divide(matrix, scale[:, None], out=scaled)
                if self._dtype.kind == "i":
                    numbers[block] = np.rint(scaled, out=scaled).reshape(-1)
                else:
                    numbers[block] = _halves(scaled).reshape(-1).view(np.float16)

    def read(self, code: Array, out: Array) -> None:
        """Multiply by the scales."""
        scales, numbers = self._parts(code, out.size)
        with np.errstate(all="ignore"):
            for block, chunks in _chunks_of(out.size):
                factor = scales[chunks, None].astype(out.dtype)
                units = numbers[block].reshape(len(factor), -1)
                if self._dtype.kind == "f":
                    units = _whole(units.view(np.uint16))
                np.multiply(units, factor, out=out[block].reshape(units.shape), dtype=out.dtype)

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


def _halves(values: Array) -> Array:
    """Return *values*, at most 2^15 each, as the bits of float16, rounded to the nearest; a cast of NumPy takes far longer.

    Times 2^-112 the exponent of float32 is that of float16, also where float16 is no longer normalised.
    """
    shrunk = values.astype(np.float32, copy=False) * np.float32(2.0**-112)
    bits = shrunk.view(np.uint32)
    rounded = (bits >> 13) & 1
    rounded += 0xFFF
    rounded += bits
    rounded >>= 13
    halves: Array = rounded.astype(np.uint16)  # which drops the sign
    halves |= (bits >> 16).astype(np.uint16) & np.uint16(0x8000)
    return halves


def _whole(halves: Array) -> Array:
    """Return in float32 the numbers whose bits are *halves*."""
    bits = halves.view(np.int16).astype(np.int32)
    bits <<= 16
    bits >>= 3  # and the sign stays where it is
    bits &= np.int32(0x0FFFE000 - (1 << 31))
    values: Array = bits.view(np.float32)
    values *= np.float32(2.0**112)
    return values


def _blocks(count: int) -> Iterator[slice]:
    """Cut *count* elements into blocks that the second cache of a core holds, with what is computed of them."""
    return (slice(start, min(start + _BLOCK, count)) for start in range(0, count, _BLOCK))


def _chunks_of(count: int) -> Iterator[tuple[slice, slice]]:
    """Cut *count* elements into blocks of whole chunks, and a chunk that is not whole; with each the numbers of its chunks."""
    whole = count // CHUNK * CHUNK
    for block in _blocks(whole):
        yield block, slice(block.start // CHUNK, block.stop // CHUNK)
    if whole < count:
        yield slice(whole, count), slice(whole // CHUNK, whole // CHUNK + 1)


def _chunks(count: int) -> int:
    return -(-count // CHUNK)


def _in_words(length: int) -> int:
    return -(-length // 4) * 4
