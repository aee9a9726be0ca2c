"""The operations by which the values of many ranks become one."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import numpy as np

from ..world import mpi
from .buffers import HALF_TYPES, Array


class ReduceOp(StrEnum):
    """How values of all ranks become one; a plain string does as well, and "mean" is "avg"."""

    SUM = "sum"
    AVG = "avg"
    PRODUCT = "product"
    MIN = "min"
    MAX = "max"
    BAND = "band"
    BOR = "bor"
    BXOR = "bxor"

    @classmethod
    def _missing_(cls, value: object) -> ReduceOp | None:
        return cls.AVG if value == "mean" else None

    @property
    def in_mpi(self) -> Any:
        """The operation of MPI behind it; the sum for a mean."""
        return getattr(mpi(), {"avg": "SUM", "product": "PROD"}.get(self, self.upper()))


def reduction(op: ReduceOp | str, array: Array, name: str) -> ReduceOp:
    """Return *op* as a ReduceOp that *name* may apply to *array*.

    Raises ValueError for an unknown one, and TypeError for one that has no meaning for the array's type.
    """
    try:
        chosen = ReduceOp(op)
    except ValueError:
        raise ValueError(f"{name}(op={op!r}): expected one of {', '.join(ReduceOp)} or mean") from None
    kind = "f" if array.dtype.name in HALF_TYPES else array.dtype.kind
    if kind not in "biufc":
        raise TypeError(f"{name} reduces numbers, not {array.dtype}")
    if chosen is ReduceOp.AVG and kind not in "fc":
        raise TypeError(f"{name}: the mean of {array.dtype} is not {array.dtype}: convert to a float first")
    if kind == "b" and chosen not in (ReduceOp.MIN, ReduceOp.MAX):
        raise TypeError(f"{name}: {chosen} of bool is not bool: use max (any), min (all), or convert first")
    if kind not in "iu" and chosen in (ReduceOp.BAND, ReduceOp.BOR, ReduceOp.BXOR):
        raise TypeError(f"{name}: {chosen} works on the bits of integers, not on {array.dtype}")
    if kind == "c" and chosen in (ReduceOp.MIN, ReduceOp.MAX):
        raise TypeError(f"{name}: complex numbers have no {chosen}: reduce the real and imaginary parts apart")
    return chosen


def into_mean(values: Array, size: int, op: ReduceOp) -> None:
    """Divide *values*, a sum over *size* ranks, if *op* asks for their mean."""
    if op is ReduceOp.AVG:
        np.divide(values, size, out=values)
