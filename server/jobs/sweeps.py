"""Sweeps as values: the jobs of a grid, and which of them do too badly to go on; pure."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from .spec import EarlyStopping, JobSpec, SweepSpec

LABEL = "sweep"
"""The label that every job of a sweep bears, beside one for each of its parameters."""


def job_specs(sweep_id: str, spec: SweepSpec) -> list[JobSpec]:
    """Return the specs of the jobs of a sweep, in the order of its grid, the last axis changing fastest.

    >>> sweep = SweepSpec(JobSpec(("train.py",)), {"lr": ("0.1", "0.01"), "depth": ("2",)})
    >>> [job.argv for job in job_specs("s", sweep)]
    [('train.py', '--lr', '0.1', '--depth', '2'), ('train.py', '--lr', '0.01', '--depth', '2')]
    """
    points = itertools.product(*spec.grid.values())
    return [_job_spec(sweep_id, spec.job, dict(zip(spec.grid, point, strict=True))) for point in points]


def _job_spec(sweep_id: str, job: JobSpec, point: Mapping[str, str]) -> JobSpec:
    name = job.name or job.argv[0].rpartition("/")[2]
    told = ", ".join(f"{key}={value}" for key, value in point.items())
    return replace(
        job,
        argv=tuple(_arguments(job.argv, point)),
        name=f"{name} {told}",
        labels={**job.labels, **point, LABEL: sweep_id},
    )


def _arguments(argv: Sequence[str], point: Mapping[str, str]) -> Iterator[str]:
    """Yield *argv* with the values in the places of their names, and those without a place after it."""
    placed = set()
    for word in argv:
        filled = word
        for key, value in point.items():
            if f"{{{key}}}" in word:
                filled = filled.replace(f"{{{key}}}", value)
                placed.add(key)
        yield filled
    for key, value in point.items():
        if key not in placed:
            yield from (f"--{key}", value)


def rungs_passed(rule: EarlyStopping, before: int, step: int) -> list[int]:
    """Return the numbers of the comparisons that lie after step *before* and up to *step*, the first being 0.

    >>> rungs_passed(EarlyStopping("loss", first_step=10), before=9, step=45)
    [0, 1, 2]
    """
    passed, rung, at = [], 0, float(rule.first_step)
    while at <= step:
        if at > before:
            passed.append(rung)
        rung, at = rung + 1, at * rule.reduction
    return passed


def falls_behind(rule: EarlyStopping, value: float, others: Sequence[float]) -> bool:
    """Return whether a job with *value* at a comparison is not among the best 1/reduction of all that came so far.

    The first that come are never ended: there is nothing to compare them with. NaN is worse than any number.
    This is asynchronous successive halving: Li et al., A System for Massively Parallel Hyperparameter Tuning, 2018.

    >>> falls_behind(EarlyStopping("loss"), 0.9, others=[0.5, 0.7, 0.8])
    True
    >>> falls_behind(EarlyStopping("accuracy", maximize=True), 0.9, others=[0.5, 0.7, 0.8])
    False
    """
    values = sorted(_cost(rule, other) for other in (*others, value))
    if len(values) < rule.reduction:
        return False
    kept = max(1, int(len(values) / rule.reduction))
    return _cost(rule, value) > values[kept - 1]


def _cost(rule: EarlyStopping, value: float) -> float:
    if math.isnan(value):
        return math.inf
    return -value if rule.maximize else value
