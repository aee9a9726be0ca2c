"""A line search that ends where the strong Wolfe conditions hold: what L-BFGS goes along its direction with."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from .optimizer import Array

ENOUGH_DESCENT = 1e-4  # the part of the descent that the slope promises which a step must bring
FLAT_ENOUGH = 0.9  # the part of the first slope that may be left


class Point(NamedTuple):
    """What was found at *step* times the direction: the loss, its gradient, and its slope along the direction."""

    step: float
    loss: np.float64
    gradient: Array
    slope: np.float64


Evaluate = Callable[[float], Point]


def strong_wolfe(
    evaluate: Evaluate, start: Point, first: float, largest: float, tolerance: float, most: int
) -> tuple[Point, int]:
    """Return a point with enough descent and little slope, and how many were evaluated.

    Nocedal and Wright 2006, algorithms 3.5 and 3.6, with cubic interpolation.

    Args:
        evaluate: measures the loss at a step.
        start: step 0.
        first: the step to begin with.
        largest: the greatest element of the direction, which scales *tolerance*.
        tolerance: the least width of a bracket.
        most: the number of attempts.
    """
    with np.errstate(all="ignore"):  # a flat or infinite loss gives nan, which ends the search like any bad step
        bracket, tries = _bracket(evaluate, start, first, most)
        if len(bracket) == 1:
            return bracket[0], tries + 1
        return _zoom(evaluate, start, bracket, tries, largest, tolerance, most)


def _descends(point: Point, start: Point) -> bool:
    return bool(point.loss <= start.loss + ENOUGH_DESCENT * point.step * start.slope)


def _is_flat(point: Point, start: Point) -> bool:
    return bool(abs(point.slope) <= -FLAT_ENOUGH * start.slope)


def _bracket(evaluate: Evaluate, start: Point, first: float, most: int) -> tuple[list[Point], int]:
    """Go further and further: return a point that is good enough, or two with a good one between them."""
    previous, now, tries = start, evaluate(first), 0
    while tries < most:
        if not _descends(now, start) or (tries > 1 and now.loss >= previous.loss):
            return [previous, now], tries
        if _is_flat(now, start):
            return [now], tries
        if now.slope >= 0:
            return [previous, now], tries
        bounds = now.step + 0.01 * (now.step - previous.step), now.step * 10
        previous, now = now, evaluate(_cubic_minimum(previous, now, *bounds))
        tries += 1
    return [start, now], tries


def _zoom(
    evaluate: Evaluate, start: Point, bracket: list[Point], tries: int, largest: float, tolerance: float, most: int
) -> tuple[Point, int]:
    """Narrow a bracket until one of its ends is good enough."""
    low, high = bracket if bracket[0].loss <= bracket[1].loss else reversed(bracket)
    stalled = False
    while tries < most and abs(high.step - low.step) * largest >= tolerance:
        ends = sorted((low.step, high.step))
        step, stalled = _away_from_ends(_cubic_minimum(low, high, *ends), ends, stalled)
        now = evaluate(step)
        tries += 1
        if not _descends(now, start) or now.loss >= low.loss:
            low, high = (now, low) if now.loss < low.loss else (low, now)
        else:
            if _is_flat(now, start):
                return now, tries + 1
            if now.slope * (high.step - low.step) >= 0:
                high = low
            low = now
    return low, tries + 1


def _away_from_ends(step: float, ends: list[float], stalled: bool) -> tuple[float, bool]:
    """Move a step that is too close to an end of the bracket for the second time, or outside, into it."""
    least, greatest = ends
    margin = 0.1 * (greatest - least)
    if min(greatest - step, step - least) >= margin:
        return step, False
    if not (stalled or step >= greatest or step <= least):
        return step, True
    return (greatest - margin if abs(step - greatest) < abs(step - least) else least + margin), False


def _cubic_minimum(a: Point, b: Point, least: float, greatest: float) -> float:
    """Return where the cubic through two points with their slopes is least, between the bounds."""
    if a.step > b.step:
        a, b = b, a
    d = a.slope + b.slope - 3 * (a.loss - b.loss) / (a.step - b.step)
    square = d**2 - a.slope * b.slope
    if not square >= 0:
        return (least + greatest) / 2.0
    root = np.sqrt(square)
    place = b.step - (b.step - a.step) * ((b.slope + root - d) / (b.slope - a.slope + 2 * root))
    return float(min(max(place, least), greatest))
