"""When the memory behind a tensor was last changed in place, and by which line of the user's program."""

from __future__ import annotations

from itertools import count

from .provenance import Place

# One clock for nodes and for in-place changes: a saved value is stale if its stamp is later than its node's.
tick = count(1).__next__


class Version:
    """The in-place history shared by a tensor, its views and its detached twins.

    A tensor has none until it is changed in place or aliased, so that ordinary results pay one empty slot.
    """

    __slots__ = ("changes", "place", "stamp")

    def __init__(self) -> None:
        self.changes = 0  # what PyTorch calls _version
        self.stamp = 0  # the tick of the last change
        self.place: Place | None = None

    def bump(self, place: Place) -> None:
        """Note one more change, made at *place*."""
        self.changes += 1
        self.stamp = tick()
        self.place = place
