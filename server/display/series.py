"""A measured quantity over the steps of a job, thinned so that a long job fits little memory."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

CAPACITY = 1024
BARS = "▁▂▃▄▅▆▇█"
ASCII_BARS = "_.-:=+*#"


@dataclass
class Series:
    """Steps and values in order of arrival; the last value is exact, older ones are thinned by halves.

    >>> loss = Series()
    >>> for step in range(5000):
    ...     loss.add(step, 1 / (1 + step))
    >>> loss.count, loss.last == 1 / 5000, len(loss.steps) <= CAPACITY
    (5000, True, True)
    """

    steps: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    last: float = math.nan
    count: int = 0
    _stride: int = 1

    def add(self, step: int, value: float) -> None:
        self.last = value
        if self.count % self._stride == 0:
            self.steps.append(step)
            self.values.append(value)
        self.count += 1
        if len(self.steps) > CAPACITY:
            self.steps, self.values = self.steps[::2], self.values[::2]
            self._stride *= 2

    def finite(self) -> tuple[list[int], list[float]]:
        """The points that can be drawn, without NaN and infinities."""
        pairs = [pair for pair in zip(self.steps, self.values, strict=True) if math.isfinite(pair[1])]
        return [step for step, _ in pairs], [value for _, value in pairs]

    def best(self) -> tuple[float, float]:
        """The smallest and the largest finite value so far, or two NaN."""
        _, values = self.finite()
        return (min(values), max(values)) if values else (math.nan, math.nan)


def sparkline(values: Sequence[float], width: int, bars: str = BARS) -> str:
    """Draw *values* as one line of at most *width* bars, the mean of neighbours where there are more.

    >>> sparkline([3.0, 2.0, 1.0, 0.0], width=4)
    '█▆▃▁'
    >>> sparkline([], width=4)
    ''
    """
    finite = [value for value in values if math.isfinite(value)]
    if not finite or width < 1:
        return ""
    columns = min(width, len(finite))
    edges = [round(i * len(finite) / columns) for i in range(columns + 1)]
    means = [sum(finite[a:b]) / (b - a) for a, b in pairwise(edges)]
    low, high = min(means), max(means)
    scale = (len(bars) - 1) / (high - low) if high > low else 0.0
    return "".join(bars[round((mean - low) * scale)] for mean in means)


def short(value: float) -> str:
    """A number as people read it: four digits, no more.

    >>> short(0.083125), short(12345.0), short(float("nan"))
    ('0.08313', '1.234e+04', 'nan')
    """
    return f"{value:.4g}"


def duration(seconds: float) -> str:
    """A span of time in the two units that matter.

    >>> duration(0.31), duration(75), duration(7322), duration(200_000)
    ('0.3 s', '1 min 15 s', '2 h 2 min', '2 d 7 h')
    """
    if seconds < 60:
        return f"{max(seconds, 0.0):.1f} s"
    for size, unit, smaller, small in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if seconds >= size:
            return f"{int(seconds // size)} {unit} {int(seconds % size // smaller)} {small}"
    raise AssertionError("unreachable: every span of a minute or more is caught above")
