"""Arrays that stand for a whole batch of arrays, for which NumPy's functions mean: the same for every one of them."""

from .array import (
    Batched,
    Unbatchable,
    aligned,
    any_batched,
    anywhere,
    as_array,
    completed,
    first_where,
    levels_of,
    lowered,
    raised,
    sizes_of,
    whole,
    wrap,
)
from .buffers import empty, full, zeros
from .rows import by_rows, computed, loops, note
from .rules import broadcasting, divided, folding, folding_along, merged
from .ufuncs import NotVmapped

__all__ = [
    "Batched",
    "NotVmapped",
    "Unbatchable",
    "aligned",
    "any_batched",
    "anywhere",
    "as_array",
    "broadcasting",
    "by_rows",
    "completed",
    "computed",
    "divided",
    "empty",
    "first_where",
    "folding",
    "folding_along",
    "full",
    "levels_of",
    "loops",
    "lowered",
    "merged",
    "note",
    "raised",
    "sizes_of",
    "whole",
    "wrap",
    "zeros",
]
