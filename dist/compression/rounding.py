"""Compression by rounding every gradient: to half precision, or to 8 bits with error feedback."""

from __future__ import annotations

import numpy as np

from .codes import BrainCode, ScaledCode
from .method import Compression, Exchange, Place
from .owners import OwnersExchange


class FP16(Compression):
    """Half precision: 16 bits for each gradient, of which 11 count, in units of a power of two for each 1,024 of them.

    So nothing overflows, as it may where gradients are only cast (PyTorch's ``fp16_compress_hook``), and what is
    small where all is small stays exact to 11 bits. Added up in float32. No error feedback.

    Args:
        everywhere: also between ranks of one host, each of which is then on its own (default False).

    >>> from allgrad import dist, nn
    >>> model = dist.DataParallel(nn.Linear(2, 1), compression=dist.FP16())
    """

    lanes = 2

    def exchange(self, place: Place) -> Exchange:
        """Return the exchange of codes of 16 bits."""
        return OwnersExchange(place, ScaledCode(np.float16), feedback=False)


class BF16(Compression):
    """The upper half of float32: 16 bits for each gradient, of which 8 count, with the range of float32.

    Added up in float32, and needs no ml_dtypes. No error feedback. As PyTorch's ``bf16_compress_hook``.

    Args:
        everywhere: also between ranks of one host, each of which is then on its own (default False).

    >>> from allgrad import dist, nn
    >>> model = dist.DataParallel(nn.Linear(2, 1), compression=dist.BF16())
    """

    lanes = 2

    def exchange(self, place: Place) -> Exchange:
        """Return the exchange of codes of 16 bits."""
        return OwnersExchange(place, BrainCode(), feedback=False)


class Int8(Compression):
    """8 bits for each gradient, in units of 1/127 of the largest of each 1,024, and error feedback.

    A gradient is off by at most 1/254 of the largest in its chunk, and that goes along with the next step.

    Args:
        everywhere: also between ranks of one host, each of which is then on its own (default False).

    Tang et al. 2021, 1-bit Adam: communication efficient large-scale training with Adam's convergence speed.

    >>> from allgrad import dist, nn
    >>> model = dist.DataParallel(nn.Linear(2, 1), compression=dist.Int8())
    """

    lanes = 2

    def exchange(self, place: Place) -> Exchange:
        """Return the exchange of codes of 8 bits."""
        return OwnersExchange(place, ScaledCode(np.int8), feedback=True)
