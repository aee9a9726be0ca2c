"""What kind of value each keyword takes: another one is refused by the keyword's name, before anything is sent."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping
from numbers import Integral, Real
from typing import TypeAlias

from ..jobs.hosts import Host
from ..jobs.job import JobState
from ..jobs.spec import CheckpointPolicy, Dependency, EarlyStopping, RetryRule

Kind: TypeAlias = tuple[Callable[[object], bool], str]
"""Whether a value is of it, and how it is called."""


def _one(kind: type, *others: type) -> Callable[[object], bool]:
    kinds = (kind, *others)
    return lambda value: isinstance(value, kinds) and (bool in kinds or not isinstance(value, bool))


def _several(*kinds: type) -> Callable[[object], bool]:
    return lambda value: (
        isinstance(value, Collection)
        and not isinstance(value, str | bytes | Mapping)
        and all(isinstance(each, kinds) for each in value)
    )


def _either(first: Callable[[object], bool], second: Callable[[object], bool]) -> Callable[[object], bool]:
    return lambda value: first(value) or second(value)


def _are_pairs(value: object) -> bool:
    return isinstance(value, Mapping) and all(isinstance(each, str) for pair in value.items() for each in pair)


TEXT, _WHOLE, _SECONDS = (_one(str), "a str"), (_one(Integral), "an int"), (_one(Real), "a number of seconds")
_PAIRS: Kind = (_are_pairs, "a mapping of str to str")
OF_JOBS: Mapping[str, Kind] = {
    "argv": (_several(str), "a sequence of str"),
    "ranks": _WHOLE,
    "name": TEXT,
    "env": _PAIRS,
    "workdir": (_one(str, os.PathLike), "a path"),
    "as_torch": (_one(bool), "a bool"),
    "priority": _WHOLE,
    "after": (_several(str, Dependency), "a sequence of job ids or Dependency"),
    "retries": (_either(_one(Integral), _several(RetryRule)), "an int, or a sequence of RetryRule"),
    "max_runtime": _SECONDS,
    "threads": _WHOLE,
    "labels": _PAIRS,
    "stall_after": _SECONDS,
    "resume_from": TEXT,
    "checkpoint": (_one(CheckpointPolicy), "a CheckpointPolicy"),
    "archive": TEXT,
    "hosts": (_either(_one(str), _several(Host)), 'a str such as "a:2,b:2", or a sequence of Host'),
    "launcher": TEXT,
    "launcher_options": _PAIRS,
}
"""Keywords of submit()."""
OF_SWEEPS: Mapping[str, Kind] = {
    "grid": (_one(Mapping), "a mapping of names to values"),
    "max_parallel": _WHOLE,
    "early_stopping": (_one(EarlyStopping), "an EarlyStopping"),
}
"""Those of submit_sweep() besides."""
OF_LISTS: Mapping[str, Kind] = {
    "state": (_either(_one(JobState), _several(JobState)), "a JobState, or several"),
    "labels": TEXT,
    "name": TEXT,
    "since": _SECONDS,
    "until": _SECONDS,
    "sweep": TEXT,
    "user": TEXT,
    "id_prefix": TEXT,
}
"""Those of list()."""


def check_kinds(kinds: Mapping[str, Kind], given: Mapping[str, object]) -> None:
    """Raise TypeError for a value that is not of its keyword's kind; None stands for what is not said.

    >>> check_kinds(OF_JOBS, {"ranks": "two"})
    Traceback (most recent call last):
    ...
    TypeError: ranks is an int, and got 'two'
    """
    for name, value in given.items():
        fits, meant = kinds[name]
        if value is not None and not fits(value):
            fix = f"; write [{value!r}]" if isinstance(value, str) and "sequence" in meant else ""
            raise TypeError(f"{name} is {meant}, and got {value!r}{fix}")
