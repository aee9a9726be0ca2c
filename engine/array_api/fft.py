"""Fourier transforms by the array API standard."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..operations import fourier
from ..tensors.tensor import Tensor
from .lifting import lifted

fft = lifted(np.fft.fft)
fftn = lifted(np.fft.fftn)
fftshift = lifted(np.fft.fftshift)
hfft = lifted(np.fft.hfft)
ifft = lifted(np.fft.ifft)
ifftn = lifted(np.fft.ifftn)
ifftshift = lifted(np.fft.ifftshift)
ihfft = lifted(np.fft.ihfft)
irfft = lifted(np.fft.irfft)
irfftn = lifted(np.fft.irfftn)
rfft = lifted(np.fft.rfft)
rfftn = lifted(np.fft.rfftn)


def fftfreq(n: int, /, *, d: float = 1.0, dtype: Any = None, device: Any = None) -> Tensor:
    """The frequencies of ``fft`` for *n* samples *d* apart."""
    made: Tensor = fourier.fftfreq(n, d, dtype=dtype, device=device)
    return made


def rfftfreq(n: int, /, *, d: float = 1.0, dtype: Any = None, device: Any = None) -> Tensor:
    """The frequencies of ``rfft`` for *n* samples *d* apart."""
    made: Tensor = fourier.rfftfreq(n, d, dtype=dtype, device=device)
    return made


__all__ = [
    "fft",
    "fftfreq",
    "fftn",
    "fftshift",
    "hfft",
    "ifft",
    "ifftn",
    "ifftshift",
    "ihfft",
    "irfft",
    "irfftn",
    "rfft",
    "rfftfreq",
    "rfftn",
]
