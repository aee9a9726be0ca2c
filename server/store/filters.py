"""Which jobs a list is to show, as a value and as a condition in SQL."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from ..jobs.job import JobState


class LabelTest(StrEnum):
    """What a term of a label selector says of a label."""

    EQUAL = "="
    DIFFERENT = "!="
    PRESENT = "present"
    ABSENT = "absent"


@dataclass(frozen=True, slots=True)
class LabelTerm:
    """One term of a label selector."""

    key: str
    test: LabelTest
    value: str = ""


@dataclass(frozen=True, slots=True)
class JobFilter:
    """Jobs that meet all of this. Times are seconds since the epoch; what is empty or None admits all."""

    states: tuple[JobState, ...] = ()
    labels: tuple[LabelTerm, ...] = ()
    name: str = ""
    """A part of the job's name, whatever the case."""
    created_after: float | None = None
    created_before: float | None = None
    sweep: str = ""
    user: str = ""
    id_prefix: str = ""

    def digest(self) -> str:
        """Return a short text that two filters share only if they are the same."""
        return hashlib.sha256(repr(self).encode()).hexdigest()[:16]

    def condition(self) -> tuple[str, Sequence[Any]]:
        """Return an SQL condition on the table jobs and the values of its question marks."""
        terms: list[str] = ["1"]
        values: list[Any] = []
        if self.states:
            terms.append(f"state IN ({', '.join('?' * len(self.states))})")
            values += [state.value for state in self.states]
        if self.name:
            terms.append("instr(lower(name), lower(?))")
            values.append(self.name)
        if self.created_after is not None:
            terms.append("created >= ?")
            values.append(self.created_after)
        if self.created_before is not None:
            terms.append("created < ?")
            values.append(self.created_before)
        if self.sweep:
            terms.append("sweep = ?")
            values.append(self.sweep)
        if self.user:
            terms.append("owner = ?")
            values.append(self.user)
        if self.id_prefix:
            terms.append("id >= ? AND id < ?")
            values += [self.id_prefix, self.id_prefix + "\U0010ffff"]
        for label in self.labels:
            there = "EXISTS (SELECT 1 FROM labels WHERE job = number AND key = ?"
            values.append(label.key)
            if label.test in (LabelTest.EQUAL, LabelTest.DIFFERENT):
                there += " AND value = ?"
                values.append(label.value)
            terms.append(("NOT " if label.test in (LabelTest.DIFFERENT, LabelTest.ABSENT) else "") + there + ")")
        return " AND ".join(terms), values
