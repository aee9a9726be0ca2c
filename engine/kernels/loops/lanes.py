"""Sixteen numbers at a time: vector instructions written by hand, where the compiler finds none by itself.

A function decorated with ``lanewise`` is called while a loop that uses it is compiled. Its body is ordinary Python on ``Lanes``,
and what it does to them becomes instructions of the loop: of 512 bits where the processor has them, else several narrower ones.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

WIDTH = 16


class Lanes:
    """Sixteen numbers, reckoned with lane by lane; a product and a sum are rounded together where the processor can."""

    def __init__(self, builder: Any, value: Any) -> None:
        self._builder, self._value = builder, value

    def _with(self, name: str, other: Lanes | float) -> Lanes:
        value = other._value if isinstance(other, Lanes) else self._constant(other)
        return Lanes(self._builder, getattr(self._builder, name)(self._value, value, flags=("contract",)))

    def _constant(self, number: float) -> Any:
        return ir.Constant(self._value.type, [number] * WIDTH)

    def __add__(self, other: Lanes | float) -> Lanes:
        return self._with("fadd", other)

    def __sub__(self, other: Lanes | float) -> Lanes:
        return self._with("fsub", other)

    def __mul__(self, other: Lanes | float) -> Lanes:
        return self._with("fmul", other)

    def __neg__(self) -> Lanes:
        return Lanes(self._builder, self._builder.fneg(self._value))

    def between(self, least: float, most: float) -> Lanes:
        """These, held between *least* and *most*; nan stays."""
        value = self._value
        for relation, bound in (("<", self._constant(least)), (">", self._constant(most))):
            value = self._builder.select(self._builder.fcmp_ordered(relation, value, bound), bound, value)
        return Lanes(self._builder, value)

    def bits(self) -> Bits:
        """The bits of float32 numbers."""
        return Bits(self._builder, self._builder.bitcast(self._value, ir.VectorType(ir.IntType(32), WIDTH)))

    def chosen(self, other: Lanes, places: Sequence[int]) -> Lanes:
        """The lanes at *places* among those of this one (0 to 15) and of *other* (16 to 31)."""
        mask = ir.Constant(ir.VectorType(ir.IntType(32), WIDTH), list(places))
        return Lanes(self._builder, self._builder.shuffle_vector(self._value, other._value, mask))


class Bits:
    """Sixteen whole numbers of 32 bits."""

    def __init__(self, builder: Any, value: Any) -> None:
        self._builder, self._value = builder, value

    def _with(self, name: str, other: Bits | int) -> Bits:
        value = other._value if isinstance(other, Bits) else self._constant(other)
        return Bits(self._builder, getattr(self._builder, name)(self._value, value))

    def _constant(self, number: int) -> Any:
        return ir.Constant(self._value.type, [number] * WIDTH)

    def __add__(self, other: Bits | int) -> Bits:
        return self._with("add", other)

    def __sub__(self, other: Bits | int) -> Bits:
        return self._with("sub", other)

    def __lshift__(self, places: int) -> Bits:
        return self._with("shl", places)

    def __rshift__(self, places: int) -> Bits:
        return self._with("ashr", places)

    def beyond(self, limit: int) -> Any:
        """Which numbers, but for their signs, exceed *limit*."""
        size = self._builder.and_(self._value, self._constant(0x7FFFFFFF))
        return self._builder.icmp_signed(">", size, self._constant(limit))

    def numbers(self) -> Lanes:
        """The float32 numbers that have these bits."""
        return Lanes(self._builder, self._builder.bitcast(self._value, ir.VectorType(ir.FloatType(), WIDTH)))


def either(
    beyond: float, seen: list[Lanes], rare: Callable[[Lanes], Lanes], usual: Callable[[Lanes], Lanes]
) -> list[Lanes]:
    """*rare* of all that is *seen* if any of it is nan or beyond ±*beyond*, else *usual* of all: float32 numbers."""
    builder = seen[0]._builder
    limit = int(np.float32(beyond).view(np.int32))
    far = functools.reduce(builder.or_, (lanes.bits().beyond(limit) for lanes in seen))
    any_far = builder.icmp_unsigned("!=", builder.bitcast(far, ir.IntType(WIDTH)), ir.IntType(WIDTH)(0))
    with builder.if_else(any_far, likely=False) as (then, otherwise):
        with then:
            first = [rare(lanes)._value for lanes in seen]
            first_block = builder.block
        with otherwise:
            second = [usual(lanes)._value for lanes in seen]
            second_block = builder.block
    joined = []
    for x, y in zip(first, second, strict=True):
        value = builder.phi(x.type)
        value.add_incoming(x, first_block)
        value.add_incoming(y, second_block)
        joined.append(Lanes(builder, value))
    return joined


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


def _widened(_: Any) -> Any:
    """Within a loop: let the compiler use vectors of 512 bits where the processor has them. Worth it for much arithmetic."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        set.add(
            builder.function.attributes, '"prefer-vector-width"="512"'
        )  # llvmlite's own add knows no attribute with a value
        return context.get_dummy_value()

    return types.void(), generate


wide: Any = intrinsic(_widened)
