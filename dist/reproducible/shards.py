"""Virtual shards: how a batch is cut into them, who computes which, and the fixed tree along which they are added."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")
Span = tuple[int, int]
"""Shards from the first number up to, not including, the second."""


def cut(total: int, parts: int) -> list[int]:
    """Return the sizes of *parts* pieces of *total*, as equal as can be, the larger ones first.

    >>> cut(10, 4)
    [3, 3, 2, 2]
    """
    return [total // parts + (number < total % parts) for number in range(parts)]


def owned(rank: int, ranks: int, shards: int) -> Span:
    """Return which of *shards* shards *rank* computes: contiguous ones, as many as the other ranks or one more.

    >>> [owned(rank, 3, 8) for rank in range(3)]
    [(0, 3), (3, 6), (6, 8)]
    """
    sizes = cut(shards, ranks)
    start = sum(sizes[:rank])
    return start, start + sizes[rank]


def halves(node: Span) -> tuple[Span, Span]:
    """Return the two branches of a *node* of the tree: the left one has the largest power of two of the shards.

    >>> halves((0, 6))
    ((0, 4), (4, 6))
    """
    start, end = node
    middle = start + (1 << (end - start - 1).bit_length() - 1)
    return (start, middle), (middle, end)


def subtrees(span: Span, node: Span) -> list[Span]:
    """Return the largest nodes of the tree below *node* that together are *span*, in order.

    >>> subtrees((3, 6), (0, 8))
    [(3, 4), (4, 6)]
    """
    if span[0] <= node[0] and node[1] <= span[1]:
        return [node]
    if span[1] <= node[0] or node[1] <= span[0]:
        return []
    return [found for branch in halves(node) for found in subtrees(span, branch)]


def fold(node: Span, known: Callable[[Span], T | None], add: Callable[[T, T], T]) -> T:
    """Add up what lies below *node*, along the tree; *known* returns the sum of a node that has been formed before.

    >>> fold((0, 3), lambda node: [node[0]] if node[1] - node[0] == 1 else None, lambda a, b: [a, b])
    [[[0], [1]], [2]]
    """
    formed = known(node)
    if formed is not None:
        return formed
    left, right = halves(node)
    return add(fold(left, known, add), fold(right, known, add))


def sum_of(values: Sequence[float]) -> float:
    """Add up one number for each shard along the tree."""

    def leaf(node: Span) -> float | None:
        return values[node[0]] if node[1] - node[0] == 1 else None

    total: float = fold((0, len(values)), leaf, lambda a, b: a + b)
    return total
