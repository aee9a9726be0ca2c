"""OpenMP, which is not used here: the engine has threads of its own."""

from __future__ import annotations


def is_available() -> bool:
    """False."""
    return False
