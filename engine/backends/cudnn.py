"""The switches of cuDNN, which is not there: they may be set, and change nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

enabled = True
benchmark = False
deterministic = False
allow_tf32 = True
benchmark_limit = 10


def is_available() -> bool:
    """False: allgrad computes on the CPU."""
    return False


def version() -> None:
    """None: there is no cuDNN."""


@contextmanager
def flags(
    enabled: bool = True,
    benchmark: bool = False,
    benchmark_limit: int = 10,
    deterministic: bool = False,
    allow_tf32: bool = True,
    fp32_precision: str = "none",
) -> Iterator[None]:
    """Accept the switches, which change nothing, for a block."""
    yield
