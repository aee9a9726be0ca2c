"""How all ranks notice a gradient that is not finite on some of them: by the flags that are reduced anyway."""

from __future__ import annotations

import math

import numpy as np

from ..communication.agreement import by_rank
from ..world import World
from .buckets import Array, Reducible

# In place of the flag of a parameter, which is 0 or 1: the mean over the ranks is then above 1.
_MARK = 1 << 14


def mark_what_is_not_finite(bucket: Reducible) -> list[int]:
    """Mark in the flags of *bucket*, about to be reduced, which of its gradients hold a NaN or infinity; return which."""
    with np.errstate(all="ignore"):
        found = [at for at, view in enumerate(bucket.views) if bucket.flags[at] != 0 and not is_finite(view)]
    for at in found:
        bucket.flags[at] = _MARK
    return found


def is_marked(bucket: Reducible) -> bool:
    """Whether any rank has marked a gradient in *bucket*, which has been reduced."""
    return any(mean > 1.5 for mean in bucket.used.real)


def is_finite(array: Array) -> bool:
    """Whether *array* holds neither NaN nor infinity."""
    row = array.reshape(-1)
    # Then the sum of squares is not finite either, and BLAS is faster than looking at every element.
    if row.itemsize > 2 and math.isfinite(abs(np.vdot(row, row))):
        return True
    return bool(np.isfinite(row).all())


def raise_not_finite(world: World, names: list[str]) -> None:
    """Raise FloatingPointError that says in which gradients every rank found something; all ranks call it."""
    assert world.control is not None
    shown = ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
    said = world.control.allgather(f"NaN or infinity in the gradients of {shown}" if names else "all finite")
    raise FloatingPointError(
        f"the mean of the gradients is not finite ({by_rank(said)}): look for what made it with allgrad.check_finite(), "
        "or catch this on every rank and skip the step; DataParallel(check_finite=False) does not look"
    )
