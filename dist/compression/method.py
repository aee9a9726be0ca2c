"""What every way of compression is: options for the script, and an exchange of one row of gradients for the ranks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..communication.buffers import HALF_TYPES
from ..training.buckets import Slot

if TYPE_CHECKING:
    from mpi4py import MPI

Array = NDArray[Any]
Messages = Iterator[Sequence["MPI.Request"]]
"""Messages that are under way, and after each pause what follows upon them."""


@dataclass(frozen=True)
class Place:
    """One row of gradients on a rank that exchanges it: the gradients of *slots* one after the other.

    Messages that follow one upon the other take one of *lanes* each: communicators of the same ranks, on each of which
    rows come in order.
    """

    row: Array
    slots: Sequence[Slot]
    lanes: Sequence[MPI.Intracomm]

    @property
    def wide(self) -> np.dtype[Any]:
        """The type in which it is computed with: float32 for halves."""
        return np.dtype(np.float32) if self.row.dtype.name in HALF_TYPES else self.row.dtype

    def scratch(self) -> Array:
        """Return memory for a row in the wide type: the row itself where it has that."""
        return self.row if self.row.dtype == self.wide else np.empty(self.row.size, self.wide)

    def show(self, total: Array) -> None:
        """Write *total* into the row, unless it is the row."""
        if total is not self.row:
            with np.errstate(over="ignore"):
                self.row[...] = total

    @property
    def size(self) -> int:
        """How many ranks exchange it."""
        return self.lanes[0].size


class Exchange(ABC):
    """The exchange of one row, again and again, and what it keeps from one time to the next."""

    @abstractmethod
    def messages(self) -> Messages:
        """Turn the row into the sum over all ranks, the same bits on each; pause while messages are under way."""

    @property
    def residual(self) -> Array | None:
        """What this rank has not sent yet, element by element, which goes along the next time; None if nothing is kept."""
        return None

    @property
    def shared(self) -> dict[str, Array]:
        """What is kept besides, the same on every rank, by name; loading writes into it."""
        return {}


class Compression(ABC):
    """How gradients cross the network in fewer bytes; the argument *compression* of `DataParallel`."""

    lanes: int
    """How many messages follow one upon the other in an exchange."""

    def __init__(self, *, everywhere: bool = False) -> None:
        self.everywhere = everywhere

    @abstractmethod
    def exchange(self, place: Place) -> Exchange:
        """Return what exchanges the row at *place*."""

    def __repr__(self) -> str:
        options = ", ".join(f"{name}={value!r}" for name, value in vars(self).items())
        return f"{type(self).__name__}({options})"


def require_real(compression: Compression, slots: Sequence[Slot]) -> None:
    """Raise TypeError unless all *slots* have gradients of real numbers."""
    for slot in slots:
        if slot.dtype.kind != "f" and slot.dtype.name not in HALF_TYPES:
            raise TypeError(
                f"DataParallel(compression={compression!r}): parameter {slot.name} is {slot.dtype}, and compression knows "
                "real floating point alone: leave it out, or keep real and imaginary parts in parameters of their own"
            )
