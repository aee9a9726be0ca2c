"""Parameters of which this rank has its share alone, until somebody uses them: then the row they lie in is gathered."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from allgrad import Tensor
from allgrad.autograd.graph import increment_version

from ..communication.agreement import agree
from ..observation.spans import waiting
from ..world import Group, mpi
from .pages import Pages
from .shares import Array, Row

# The slot that `divided_class` hides behind a property.
_memory: Any = Tensor.__dict__["_array"]

# What of a tensor can be told without its values.
_KNOWN = (
    *("shape", "dtype", "ndim", "itemsize", "nbytes", "size", "dim", "ndimension", "numel", "nelement", "element_size"),
    *("stride", "storage_offset", "is_contiguous", "is_floating_point", "is_complex", "is_signed"),
)

_rows: dict[int, DividedRow] = {}
"""By the identity of each parameter that is divided now, the row that it lies in."""


_divided_classes: dict[type[Tensor], Any] = {}


def memory_of(parameter: Tensor) -> Array:
    """Return the memory of *parameter*; where it is divided, of which only what this rank owns means anything."""
    found: Array = _memory.__get__(parameter)
    return found


def set_memory(parameter: Tensor, array: Array) -> None:
    """Let *parameter* lie in *array*."""
    _memory.__set__(parameter, array)


class DividedRow(Row):
    """A `Row` of which only this rank's interval is in memory, except between `gather` and `release`.

    The memory keeps its address: `release` gives its pages back to the system, and `gather` fills them again, so that
    what a graph has saved of a parameter is right whenever backward comes to use it. While anything else looks into
    the row (a view that a script holds, or a graph has saved) its pages stay.

    While it is released its parameters are of a class of their own (`divided_class`), which calls *wanted* with the row
    before it hands out their values.
    """

    def __init__(self, parameters: Sequence[Tensor], group: Group) -> None:
        super().__init__(parameters, group)
        self.wanted: Callable[[DividedRow], None] = DividedRow.gather
        self.is_gathered = True
        self._name = f"parameters of shapes {', '.join(str(tuple(p.shape)) for p in parameters[:4])}"

    def adopt(self) -> None:
        """Let all parameters lie in this row, with the values they have, whole on every rank; only once."""
        if self.memory is not None:
            return
        self._pages = Pages(len(self), self.parameters[0].detach().numpy().dtype)
        # Two arrays over the same pages: who looks into the first one can be counted.
        self._watched, self.memory = self._pages.array, self._pages.another()
        self._places = [
            self._watched[start:stop].reshape(tuple(parameter.shape))
            for parameter, (start, stop) in zip(self.parameters, pairwise(self.ends), strict=True)
        ]
        self._take_back()
        self._lookers = self._count_lookers()

    def gather(self) -> None:
        """Bring the values of all parameters to every rank; all of them call it."""
        assert self.memory is not None
        agree(self._group, f"the gathering of {self._name}")
        with waiting(f"the gathering of {self._name}"):
            self._gather_bytes()
        self.is_gathered = True
        for parameter in self.parameters:
            _rows.pop(id(parameter), None)
            parameter.__class__ = whole_class(type(parameter))

    def release(self) -> None:
        """Keep of the values only this rank's interval, with what the rank has written there."""
        self._take_back()
        looked_into = self._count_lookers() > self._lookers
        if self.is_gathered:
            self.is_gathered = False
            for parameter in self.parameters:
                _rows[id(parameter)] = self
                parameter.__class__ = divided_class(type(parameter))
        if not looked_into:
            owned = self.owned()
            self._pages.drop_except(owned.start, owned.stop)

    def spread(self) -> None:
        """Forget what the other ranks have changed: it is gathered when it is used."""
        self.release()
        increment_version(self.parameters)

    open, close = gather, release

    def _gather_bytes(self) -> None:
        assert self.memory is not None
        if self._group.comm is not None:
            width = self.memory.itemsize
            counts = [count * width for count in self.counts()]
            self._group.comm.Allgatherv(mpi().IN_PLACE, (self.memory.view(np.uint8), counts))

    def _take_back(self) -> None:
        """Let parameters that a script has given other memory lie in the row again, with the values they have."""
        for parameter, place in zip(self.parameters, self._places, strict=True):
            if (values := memory_of(parameter)) is not place:
                place[...] = values
                set_memory(parameter, place)

    def _count_lookers(self) -> int:
        return sys.getrefcount(self._watched) + sum(sys.getrefcount(place) for place in self._places)


def divided_class(kind: type[Tensor]) -> Any:
    """Return what parameters of class *kind* are while their row is released: their values have to be gathered first."""
    if kind not in _divided_classes:
        _divided_classes[kind] = _make_divided_class(kind)
    return _divided_classes[kind]


def _make_divided_class(kind: type[Tensor]) -> Any:

    def values(self: Any) -> Array:
        _rows[id(self)].wanted(_rows[id(self)])
        return memory_of(self)

    def refuse(self: Any, value: object) -> None:
        raise RuntimeError(
            "this parameter is divided among the ranks, and cannot be given other memory: change it within "
            "`with model.gathered():`, in the same way on every rank"
        )

    def show(self: Any) -> str:
        row = _rows[id(self)]
        at = next(i for i, parameter in enumerate(row.parameters) if parameter is self)
        owned = row.owned_of(at)
        return (
            f"{kind.__name__}(divided: elements {owned.start} to {owned.stop} of {list(self.shape)} are on this rank)"
        )

    body: dict[str, Any] = {"__slots__": (), "__repr__": show, "_array": property(values, refuse), "_whole_class": kind}
    body.update({name: _told_without_values(kind, name) for name in _KNOWN})
    return type(kind.__name__, (kind,), body)


def whole_class(kind: type[Tensor]) -> Any:
    """Return the class that `divided_class` was asked for, of which *kind* is made; *kind* itself if it was not."""
    return kind.__dict__.get("_whole_class", kind)


def _told_without_values(kind: type[Tensor], name: str) -> Any:
    def tell(self: Any, *args: Any, **kwargs: Any) -> Any:
        found = getattr(Tensor._plain(memory_of(self)), name)
        return found(*args, **kwargs) if callable(found) else found

    return property(tell) if isinstance(getattr(kind, name), property) else tell
