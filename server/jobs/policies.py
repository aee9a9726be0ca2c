"""Limits on how a job is to be run: priority, retries, runtime, labels, checkpoints, and the grid of a sweep."""

from __future__ import annotations

import re

from ..errors import InvalidRequest
from ..store import LabelTerm, LabelTest
from .spec import EarlyStopping, JobSpec, SweepSpec

PRIORITIES = range(-100, 101)
RETRY_LIMIT = 1000
LABELS = 64
GRID_JOBS = 1000
_KEY = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._/-]{0,61}[A-Za-z0-9])?")
_PARAMETER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}")
_TERM = re.compile(r"\s*(?:!\s*(?P<absent>[^=!\s]+)|(?P<key>[^=!\s]+)\s*(?:(?P<test>!?=)=?\s*(?P<value>[^=!]*?))?)\s*")
_VALUE_LENGTH = 200


def check_priority(priority: int) -> None:
    """Raise InvalidRequest if there is no such priority."""
    if priority not in PRIORITIES:
        raise InvalidRequest(
            f"there is no priority {priority}", "they go from -100 to 100", "the highest starts first", field="priority"
        )


def check_policies(spec: JobSpec) -> None:
    """Raise InvalidRequest if a job cannot be run in the way that *spec* says."""
    check_priority(spec.priority)
    _check_labels(spec)
    if spec.max_runtime is not None and spec.max_runtime <= 0:
        raise InvalidRequest("a job cannot run that short", f"{spec.max_runtime:g} s", "", field="spec.max_runtime")
    kinds = [rule.kind for rule in spec.retries]
    if len(kinds) > len(set(kinds)):
        raise InvalidRequest(
            "the retries contradict each other", "two rules are for one kind", "", field="spec.retries"
        )
    for rule in spec.retries:
        if not 0 <= rule.limit <= RETRY_LIMIT or rule.backoff < 0 or rule.longest < 0:
            raise InvalidRequest(
                "the retries cannot be used",
                f"{rule.limit} after pauses of {rule.backoff:g} to {rule.longest:g} s",
                f"0 to {RETRY_LIMIT} are possible, and no negative pauses",
                field="spec.retries",
            )
    times = (
        ("checkpoint.grace", spec.checkpoint.grace),
        ("checkpoint.interval", spec.checkpoint.interval),
        ("stall_after", spec.stall_after),
    )
    for field, seconds in times:
        if seconds is not None and seconds < 0:
            noun = field.rpartition(".")[2]
            raise InvalidRequest(f"{noun} cannot be negative", f"{seconds:g} s", "", field=f"spec.{field}")


def _check_labels(spec: JobSpec) -> None:
    if len(spec.labels) > LABELS:
        raise InvalidRequest(
            "there are too many labels", f"{len(spec.labels)} of at most {LABELS}", "", field="spec.labels"
        )
    for key, value in spec.labels.items():
        if not _KEY.fullmatch(key) or len(value) > _VALUE_LENGTH or re.search(r"[,=!\x00-\x1f]", value):
            raise InvalidRequest(
                f"the label {key}={value} cannot be used",
                f"keys are up to 63 letters, digits and ._/-, values up to {_VALUE_LENGTH} characters without , = !",
                "name it otherwise",
                field="spec.labels",
            )


def check_sweep(spec: SweepSpec) -> None:
    """Raise InvalidRequest if the grid or the early stopping of a sweep cannot be used."""
    count = 1
    for name, values in spec.grid.items():
        if not _PARAMETER.fullmatch(name) or not values or len(values) > len(set(values)):
            raise InvalidRequest(
                f"the grid cannot have the parameter {name!r}",
                "a name is letters, digits and _.-, and its values are some, each once",
                "as in: lr=0.1,0.01",
                field="spec.grid",
            )
        count *= len(values)
    if not spec.grid or count > GRID_JOBS:
        raise InvalidRequest(
            "the grid cannot be used",
            f"it has {count if spec.grid else 0} points of at most {GRID_JOBS}",
            "",
            field="spec.grid",
        )
    if spec.max_parallel < 0:
        raise InvalidRequest("max_parallel cannot be negative", "", "0 means no limit", field="spec.max_parallel")
    if spec.early_stopping is not None:
        _check_stopping(spec.early_stopping)


def _check_stopping(rule: EarlyStopping) -> None:
    if rule.first_step < 1 or not 1.1 <= rule.reduction <= 100:
        raise InvalidRequest(
            "the early stopping cannot be used",
            f"first step {rule.first_step}, reduction {rule.reduction:g}",
            "the first step is 1 or more, the reduction 1.1 to 100",
            field="spec.early_stopping",
        )


def label_terms(selector: str) -> tuple[LabelTerm, ...]:
    """Return the terms of a label selector, all of which must hold. Raises InvalidRequest.

    >>> [str(term.test) for term in label_terms("team=vision, stage!=test, gpu, !old")]
    ['=', '!=', 'present', 'absent']
    """
    return tuple(_label_term(word) for word in selector.split(",")) if selector.strip() else ()


def _label_term(word: str) -> LabelTerm:
    found = _TERM.fullmatch(word)
    if found is None:
        raise InvalidRequest(
            f"the label selector has {word.strip()!r} in it",
            "",
            "write key=value, key!=value, key (is there) or !key (is not), joined by commas",
            field="label_selector",
        )
    if found["absent"]:
        return LabelTerm(found["absent"], LabelTest.ABSENT)
    if found["test"] is None:
        return LabelTerm(found["key"], LabelTest.PRESENT)
    return LabelTerm(found["key"], LabelTest(found["test"]), found["value"])
