"""What ordinary scripts ask of ``torch.cuda``: there is none, and these say so."""

from __future__ import annotations


def is_available() -> bool:
    """False: allgrad computes on the CPU."""
    return False


def device_count() -> int:
    """0: allgrad computes on the CPU."""
    return 0


def manual_seed(seed: int) -> None:
    """Do nothing: there is no accelerator to seed."""


def manual_seed_all(seed: int) -> None:
    """Do nothing: there is no accelerator to seed."""


def empty_cache() -> None:
    """Do nothing: there is no accelerator memory."""


def synchronize() -> None:
    """Do nothing: every operation has finished when its call returns."""
