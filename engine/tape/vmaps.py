"""The maps over examples that run in this thread: each has a number, its level, by which batches know theirs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import NamedTuple

from .mode import mode

_numbers = count(1)


class Vmap(NamedTuple):
    """One running map: its *level*, of how many examples, and what random operations do in it (as ``vmap`` has it)."""

    level: int
    size: int
    randomness: str


@contextmanager
def running(size: int, randomness: str = "different") -> Iterator[int]:
    """Inside it, a map over *size* examples runs; its level is handed out."""
    made = Vmap(next(_numbers), size, randomness)
    before, mode.vmaps = mode.vmaps, (*mode.vmaps, made)
    try:
        yield made.level
    finally:
        mode.vmaps = before
