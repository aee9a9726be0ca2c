"""Two courses of a series side by side."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from .records import json_line
from .series import short
from .tables import aligned, printable


def comparison_table(
    name: str, jobs: tuple[str, str], first: Mapping[int, float], second: Mapping[int, float], rows: int
) -> list[str]:
    """At most *rows* of the steps that both have, evenly spread, the last among them; then how far they are apart.

    >>> for line in comparison_table("loss", ("a", "b"), {1: 0.5, 2: 0.25}, {1: 0.5, 2: 0.5, 3: 1.0}, 9):
    ...     print(line)
    STEP  loss OF a  OF b  DIFFERENCE
    1     0.5        0.5   0
    2     0.25       0.5   +0.25
    2 steps in common, 1 equal; largest difference 0.25
    """
    name, steps = printable(name), sorted(first.keys() & second.keys())
    if not steps:
        return [f"{name}: no step in common"]
    shown = sorted({steps[round(i * (len(steps) - 1) / (rows - 1))] for i in range(rows)})
    table = [("STEP", f"{name} OF {jobs[0]}", f"OF {jobs[1]}", "DIFFERENCE")]
    table += [
        (str(step), short(first[step]), short(second[step]), _signed(second[step] - first[step])) for step in shown
    ]
    apart = [abs(second[step] - first[step]) for step in steps]
    equal = sum(_equal(first[step], second[step]) for step in steps)
    widest = max((each for each in apart if math.isfinite(each)), default=math.nan)
    common = "1 step" if len(steps) == 1 else f"{len(steps)} steps"
    return [*aligned(table), f"{common} in common, {equal} equal; largest difference {short(widest)}"]


def comparison_records(name: str, first: Mapping[int, float], second: Mapping[int, float]) -> Iterator[str]:
    """Every step that either has as one line of JSON; null where one has none."""
    for step in sorted(first.keys() | second.keys()):
        yield json_line({"series": name, "step": step, "first": first.get(step), "second": second.get(step)})


def _signed(value: float) -> str:
    return "0" if value == 0 else f"{value:+.4g}"


def _equal(first: float, second: float) -> bool:
    return first == second or (math.isnan(first) and math.isnan(second))
