"""Sixteen numbers at a time: vector instructions written by hand, where the compiler finds none by itself.

A function decorated with ``lanewise`` is called while a loop that uses it is compiled. Its body is ordinary Python on ``Lanes``,
and what it does to them becomes instructions of the loop: of 512 bits where the processor has them, else several narrower ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

WIDTH = 16


class Lanes:
    """Sixteen numbers, added and subtracted lane by lane."""

    def __init__(self, builder: Any, value: Any) -> None:
        self._builder, self._value = builder, value

    def __add__(self, other: Lanes) -> Lanes:
        return Lanes(self._builder, self._builder.fadd(self._value, other._value))

    def __sub__(self, other: Lanes) -> Lanes:
        return Lanes(self._builder, self._builder.fsub(self._value, other._value))

    def __neg__(self) -> Lanes:
        return Lanes(self._builder, self._builder.fneg(self._value))

    def chosen(self, other: Lanes, places: Sequence[int]) -> Lanes:
        """The lanes at *places* among those of this one (0 to 15) and of *other* (16 to 31)."""
        mask = ir.Constant(ir.VectorType(ir.IntType(32), WIDTH), list(places))
        return Lanes(self._builder, self._builder.shuffle_vector(self._value, other._value, mask))


class Rows:
    """Rows of a flat array, the first from *begin* on and each *apart* from the one before, seen by the code of a loop."""

    def __init__(self, context: Any, builder: Any, kind: Any, array: Any, begin: Any, apart: Any) -> None:
        self._builder, self._apart = builder, apart
        self._first = builder.gep(context.make_array(kind)(context, builder, array).data, [begin])
        self._lanes = ir.VectorType(context.get_data_type(kind.dtype), WIDTH)
        self._align = kind.dtype.bitwidth // 8

    def _pointer(self, row: int, at: int) -> Any:
        whole = self._apart.type
        offset = self._builder.add(self._builder.mul(self._apart, whole(row)), whole(at))
        return self._builder.bitcast(self._builder.gep(self._first, [offset]), self._lanes.as_pointer())

    def load(self, row: int, at: int = 0) -> Lanes:
        """Sixteen elements of *row* from *at* on."""
        return Lanes(self._builder, self._builder.load(self._pointer(row, at), align=self._align))

    def store(self, lanes: Lanes, row: int, at: int = 0) -> None:
        """Put *lanes* to *row* from *at* on."""
        self._builder.store(lanes._value, self._pointer(row, at), align=self._align)

    def load_pairs(self, row: int, at: int = 0) -> tuple[Lanes, Lanes]:
        """Of 32 elements of *row* from *at* on, those at even places and those at odd."""
        first, second = self.load(row, at), self.load(row, at + WIDTH)
        return first.chosen(second, range(0, 2 * WIDTH, 2)), first.chosen(second, range(1, 2 * WIDTH, 2))

    def store_pairs(self, even: Lanes, odd: Lanes, row: int) -> None:
        """Put 32 elements to *row*, in turn from *even* and from *odd*."""
        dealt = [lane for i in range(WIDTH) for lane in (i, WIDTH + i)]
        self.store(even.chosen(odd, dealt[:WIDTH]), row)
        self.store(even.chosen(odd, dealt[WIDTH:]), row, WIDTH)


def lanewise(write: Callable[[Rows, Rows], None]) -> Any:
    """*write* for loops: f(source, at, apart, target, to, between), each a flat array, where its rows begin and how far apart."""

    @intrinsic
    def called(_: Any, source: Any, at: Any, apart: Any, target: Any, to: Any, between: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            rows = [Rows(context, builder, signature.args[i], *values[i : i + 3]) for i in (0, 3)]
            write(*rows)
            return context.get_dummy_value()

        return types.void(source, types.intp, types.intp, target, types.intp, types.intp), generate

    return called
