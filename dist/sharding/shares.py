"""Which elements of the parameters each rank owns: rows of memory, cut into one interval for each rank."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Any
from weakref import WeakValueDictionary

import numpy as np
from numpy.typing import NDArray

import allgrad
from allgrad import Tensor, nn
from allgrad.autograd.graph import increment_version
from allgrad.serialization.pieces import Pieces

from ..training.buckets import MIB, Slot, deal
from ..world import Group, mpi

Array = NDArray[Any]

# Rows whose gradients arrive in shares already, by the identity of each parameter; whoever reduces them holds them.
_fixed: WeakValueDictionary[int, Row] = WeakValueDictionary()


class Share(nn.Parameter):
    """The elements *start* to *stop* of one flattened parameter of shape *whole*: those that this rank owns.

    It has one dimension, or the parameter's own shape where it is all of it, and lies in the parameter's memory.
    """

    whole: tuple[int, ...]
    start: int
    stop: int

    @classmethod
    def of(cls, values: Array, whole: tuple[int, ...], start: int) -> Share:
        """Return the share that lies in *values*, a row of memory that begins with element *start*."""
        complete = values.size == int(np.prod(whole))
        made = cls(allgrad.from_numpy(values.reshape(whole) if complete else values))
        made.whole, made.start, made.stop = whole, start, start + values.size
        return made

    @property
    def is_whole(self) -> bool:
        """Whether it is all of its parameter."""
        return tuple(self.shape) == self.whole


class Row:
    """Parameters of one dtype in one row of memory, which is cut into one interval of about the same length for each rank.

    With *between_parameters* cuts fall only between parameters: for rules that need them whole.
    """

    def __init__(self, parameters: Sequence[Tensor], group: Group, *, between_parameters: bool = False) -> None:
        self.parameters = tuple(parameters)
        self.ends = [0, *accumulate(parameter.numel() for parameter in parameters)]
        self.cuts = even_cuts(self.ends[-1], group.size)
        if between_parameters:
            self.cuts = [self.ends[bisect_right(self.ends, cut) - 1] for cut in self.cuts]
        self.memory: Array | None = None
        self._group = group

    def __len__(self) -> int:
        return self.ends[-1]

    def counts(self) -> list[int]:
        """Return how many elements each rank owns."""
        return [stop - start for start, stop in pairwise(self.cuts)]

    def owned(self) -> slice:
        """Return which elements of the row this rank owns."""
        return slice(self.cuts[self._group.rank], self.cuts[self._group.rank + 1])

    def owned_of(self, i: int, rank: int | None = None) -> slice:
        """Return which elements of parameter *i*, flattened, *rank* owns (default: this one); an empty slice if none."""
        owner = self._group.rank if rank is None else rank
        begin, end = self.ends[i], self.ends[i + 1]
        start, stop = (min(max(cut, begin), end) - begin for cut in self.cuts[owner : owner + 2])
        return slice(start, stop)

    def values_of(self, i: int) -> Array:
        """Return what of parameter *i* this rank owns: a view of the row."""
        assert self.memory is not None
        owned, begin = self.owned_of(i), self.ends[i]
        return self.memory[begin + owned.start : begin + owned.stop]

    def adopt(self) -> None:
        """Let all parameters lie in this row, with the values they have; again for one that was given other memory."""
        if self.memory is None:
            self.memory = np.empty(len(self), self.parameters[0].detach().numpy().dtype)
        for parameter, (start, stop) in zip(self.parameters, pairwise(self.ends), strict=True):
            place = self.memory[start:stop].reshape(tuple(parameter.shape))
            if parameter.data_ptr() != place.__array_interface__["data"][0]:
                place[...] = parameter.detach().numpy()
                parameter.data = allgrad.from_numpy(place)

    def share_of(self, i: int) -> Share:
        """Return this rank's share of parameter *i*, which lies in the row."""
        return Share.of(self.values_of(i), tuple(self.parameters[i].shape), self.owned_of(i).start)

    def pieces_of(self, i: int) -> Pieces:
        """Return parameter *i* in the pieces that the ranks own, of which this one has its own."""
        assert self.memory is not None
        found = Pieces(tuple(self.parameters[i].shape))
        for rank in range(self._group.size):
            owned = self.owned_of(i, rank)
            if size := owned.stop - owned.start:
                found.add(rank, size, self.memory.dtype, self.values_of(i) if rank == self._group.rank else None)
        return found

    def begin_change(self) -> None:
        """Before ranks change their intervals."""

    def spread(self) -> None:
        """Give every rank what each of them has made of its interval."""
        assert self.memory is not None
        if self._group.comm is not None:
            as_bytes, width = self.memory.view(np.uint8), self.memory.itemsize
            counts = [count * width for count in self.counts()]
            self._group.comm.Allgatherv(mpi().IN_PLACE, (as_bytes, counts))
        increment_version(self.parameters)


def even_cuts(size: int, ranks: int) -> list[int]:
    """Return where *size* elements are cut for so many ranks, their beginning and end included.

    >>> even_cuts(5, 2)
    [0, 2, 5]
    """
    return [size * rank // ranks for rank in range(ranks + 1)]


def fix(row: Row) -> None:
    """Let whoever divides the parameters of *row* from now on use its cuts, for as long as *row* lives."""
    _fixed.update({id(parameter): row for parameter in row.parameters})


def is_fixed(row: Row) -> bool:
    """Whether `fix` has been called for *row*."""
    return any(_fixed.get(id(parameter)) is row for parameter in row.parameters)


def rows_for(parameters: Sequence[Tensor], group: Group, *, between_parameters: bool) -> list[Row]:
    """Return rows that hold all *parameters*: those fixed for them, and new ones for the rest."""
    fixed = {id(row): row for parameter in parameters if (row := _fixed.get(id(parameter)))}
    free = [parameter for parameter in parameters if id(parameter) not in _fixed]
    slots = [Slot("", tuple(parameter.shape), parameter.detach().numpy().dtype) for parameter in free]
    # Whole parameters divide more evenly the more of them there are; else rows of a size that is copied fast.
    size = len(free) * max((slot.size for slot in slots), default=0) * 16 if between_parameters else 4 * MIB
    dealt = deal(slots, size, size)
    return [
        *fixed.values(),
        *(Row([free[i] for i in each], group, between_parameters=between_parameters) for each in dealt),
    ]
