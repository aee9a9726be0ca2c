"""Being told what ``vmap`` computes row by row."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from ..batching import loops


@contextmanager
def vmap_fallback_warnings() -> Iterator[None]:
    """Inside it, whatever ``vmap`` computes for one example after the other, instead of all at once, warns (UserWarning).

    >>> import allgrad as torch
    >>> with torch.func.vmap_fallback_warnings():
    ...     torch.func.vmap(torch.sin)(torch.zeros(2))
    tensor([0., 0.])
    """
    before, loops.told = loops.told, _warn
    try:
        yield
    finally:
        loops.told = before


def _warn(name: str) -> None:
    warnings.warn(
        f"There is a performance drop because {name} has no form for batches: vmap computes it for one example after the "
        "other",
        UserWarning,
        stacklevel=3,
    )
