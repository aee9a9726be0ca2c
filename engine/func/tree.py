"""Nested tuples, lists and dicts of tensors: taken apart into their leaves, and put together again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

Structure = Callable[[Iterator[Any]], Any]


def flatten(tree: Any) -> tuple[list[Any], Structure]:
    """The leaves of *tree* in order, and the function that puts as many others in their places."""
    if isinstance(tree, dict):
        parts = {key: flatten(value) for key, value in tree.items()}
        leaves = [leaf for part, _ in parts.values() for leaf in part]
        return leaves, lambda items: {key: build(items) for key, (_, build) in parts.items()}
    if isinstance(tree, (tuple, list)):
        listed = [flatten(value) for value in tree]
        leaves = [leaf for part, _ in listed for leaf in part]
        return leaves, lambda items: _like(tree, [build(items) for _, build in listed])
    return [tree], next


def unflatten(structure: Structure, leaves: list[Any]) -> Any:
    """The tree of *structure* with *leaves* in their places."""
    return structure(iter(leaves))


def tree_map(function: Callable[[Any], Any], tree: Any) -> Any:
    """*tree* with *function* applied to each leaf."""
    leaves, structure = flatten(tree)
    return unflatten(structure, [function(leaf) for leaf in leaves])


def _like(tree: Any, items: list[Any]) -> Any:
    if hasattr(tree, "_fields"):
        return type(tree)(*items)
    return type(tree)(items)
