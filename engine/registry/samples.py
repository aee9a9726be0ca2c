"""What an operation is tried on: arguments made from a seeded generator, small enough for finite differences."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.random import Generator  # only for the checker: importing it takes NumPy 12 ms

Maker = Callable[["Generator"], Any]


class Sample(NamedTuple):
    """One call to try: positional arguments (float64 arrays become tensors) and keywords.

    Not the operation itself is called but *around* of it, where that is given: it makes of the arguments what the
    operation is defined on (a symmetric matrix), or of the results what is unique (an eigenvector up to its sign).
    """

    args: tuple[Any, ...]
    kwargs: Mapping[str, Any] = MappingProxyType({})
    around: Callable[[Callable[..., Any]], Callable[..., Any]] | None = None


Samples = Callable[["Generator"], Iterable[Sample]]


def real(*shape: int, low: float = -2.0, high: float = 2.0) -> Maker:
    """Numbers between *low* and *high*, none close to 0 or to another, so that kinks and ties stay away."""

    def make(generator: Generator) -> Any:
        count = int(np.prod(shape))
        grid = np.linspace(low, high, count + 2)[1:-1] + 0.11 * (high - low) / (count + 2)
        return generator.permutation(grid).reshape(shape)

    return make


def positive(*shape: int) -> Maker:
    """Numbers between 0.3 and 2."""
    return real(*shape, low=0.3, high=2.0)


def unit(*shape: int) -> Maker:
    """Numbers inside (-0.9, 0.9)."""
    return real(*shape, low=-0.9, high=0.9)


def whole(*shape: int, below: int) -> Maker:
    """Whole numbers from 0 up to, not including, *below* (int64)."""
    return lambda generator: generator.integers(0, below, size=shape)


def truth(*shape: int) -> Maker:
    """True and False in about equal parts."""
    return lambda generator: generator.random(shape) < 0.5


def on(*args: Any, **kwargs: Any) -> Samples:
    """One sample; arguments that are callable are makers, called with the generator."""

    def samples(generator: Generator) -> Iterable[Sample]:
        def made(value: Any) -> Any:
            if isinstance(value, (list, tuple)) and value and callable(value[0]):
                return type(value)(made(v) for v in value)
            return value(generator) if callable(value) else value

        yield Sample(tuple(map(made, args)), {key: made(value) for key, value in kwargs.items()})

    return samples


def each(*several: Samples) -> Samples:
    """All the samples of *several*."""

    def samples(generator: Generator) -> Iterable[Sample]:
        for one in several:
            yield from one(generator)

    return samples


def around(wrap: Callable[[Callable[..., Any]], Callable[..., Any]], samples: Samples) -> Samples:
    """*samples*, each called through *wrap* of the operation."""

    def wrapped(generator: Generator) -> Iterable[Sample]:
        for sample in samples(generator):
            yield sample._replace(around=wrap)

    return wrapped


def unary(maker: Callable[..., Maker] = real) -> Samples:
    """A matrix, a vector, a 0-d and an empty operand of *maker*."""
    return each(on(maker(3, 4)), on(maker(5)), on(maker()), on(maker(0, 2)))


def binary(maker: Callable[..., Maker] = real) -> Samples:
    """Two operands of *maker*, of equal shapes and of shapes that broadcast either way."""
    shapes: list[tuple[tuple[int, ...], tuple[int, ...]]] = [
        ((3, 4), (3, 4)), ((3, 4), (4,)), ((3, 1), (1, 4)), ((), (2, 3)), ((2, 3), ()), ((0, 3), (3,)),
    ]  # fmt: skip
    return each(*(on(maker(*a), maker(*b)) for a, b in shapes))
