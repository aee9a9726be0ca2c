"""Series, sparklines and the short forms of numbers and times."""

from __future__ import annotations

import math

import pytest

from allgrad.server.display.series import CAPACITY, Series, duration, sparkline
from allgrad.server.display.tail import Tail


def test_a_long_series_keeps_its_first_point_its_shape_and_its_last_value() -> None:
    line = Series()
    for step in range(100_000):
        line.add(step, float(step))
    assert len(line.steps) <= CAPACITY
    assert line.steps[0] == 0
    assert line.last == 99_999.0
    gaps = {b - a for a, b in zip(line.steps, line.steps[1:], strict=False)}
    assert len(gaps) == 1


def test_nan_and_infinity_are_kept_as_last_value_and_left_out_of_the_drawing() -> None:
    line = Series()
    for step, value in enumerate([1.0, math.inf, 0.5, math.nan]):
        line.add(step, value)
    assert math.isnan(line.last)
    assert line.finite() == ([0, 2], [1.0, 0.5])
    assert line.best() == (0.5, 1.0)


def test_a_series_of_nan_only_has_nothing_to_draw() -> None:
    line = Series()
    line.add(0, math.nan)
    assert line.finite() == ([], [])
    assert all(math.isnan(value) for value in line.best())
    assert sparkline(line.values, 10) == ""


@pytest.mark.parametrize("width", [1, 2, 7, 100])
def test_a_sparkline_is_never_wider_than_asked(width: int) -> None:
    assert 1 <= len(sparkline([math.sin(i) for i in range(50)], width)) <= width


def test_a_constant_series_is_a_flat_line() -> None:
    assert sparkline([3.0] * 5, 5) == "▁▁▁▁▁"


def test_a_clock_that_went_back_shows_no_negative_time() -> None:
    assert duration(-3.0) == "0.0 s"


def test_a_tail_keeps_the_last_lines_of_all_ranks_and_cuts_endless_ones() -> None:
    tail = Tail(3, prefixed=True)
    for step in range(1000):
        tail.feed(step % 2, b"step %d\n" % step)
    tail.feed(0, b"x" * 100_000)
    lines = tail.lines()
    assert lines[:2] == ["[0] step 998", "[1] step 999"]
    assert lines[2].startswith("[0] xxx")
    assert len(lines[2]) < 1100
    assert tail.cut
