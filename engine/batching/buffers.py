"""Arrays that a forward makes to write its result into: with room for every example where what it writes is a batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .array import Batched


def zeros(shape: Sequence[int], source: Any, dtype: Any = None) -> Any:
    """``np.zeros``, by default of the type of *source*, of which the result is made; a batch if that is one."""
    kind = source.dtype if dtype is None else dtype
    if source.__class__ is not Batched:
        return np.zeros(shape, kind)
    return Batched(np.zeros((*_front(source), *shape), kind), source.levels)


def empty(shape: Sequence[int], source: Any, dtype: Any = None) -> Any:
    """``np.empty``, as ``zeros``."""
    kind = source.dtype if dtype is None else dtype
    if source.__class__ is not Batched:
        return np.empty(shape, kind)
    return Batched(np.empty((*_front(source), *shape), kind), source.levels)


def full(shape: Sequence[int], value: Any, source: Any) -> Any:
    """``np.full`` with the number *value*, as ``zeros``."""
    if source.__class__ is not Batched:
        return np.full(shape, value, source.dtype)
    return Batched(np.full((*_front(source), *shape), value, source.dtype), source.levels)


def _front(source: Any) -> tuple[int, ...]:
    return tuple(source.values.shape[: len(source.levels)])
