"""Calling the hooks of a node, on Tensors in PyTorch's convention, whatever the pass computes with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..batching import as_array
from ..tape.mode import users_code
from ..tape.nodes import Gradients, Node, conjugated
from ..tensors.tensor import Tensor


def _shown(g: Any) -> Any:
    """The gradient *g* of the running pass as a user sees it: a Tensor, or None."""
    if g is None or isinstance(g, Tensor):
        return conjugated(g)
    return Tensor._wrap(as_array(conjugated(g)))


def _taken(seen: Any, raw: bool) -> Any:
    """What a hook returned as the running pass computes with it: an array if *raw*."""
    return conjugated(seen._array if raw and seen is not None else seen)


def _is_raw(g: Any) -> bool:
    values = g if isinstance(g, (list, tuple)) else (g,)
    return not any(isinstance(value, Tensor) for value in values)


def run_tensor_hooks(node: Node, g: Any, grads: Gradients) -> Any:
    """Let the hooks on the tensor that *node* made see and replace its gradient, which is then not the pass's alone."""
    hooks = node.hooks
    if hooks is None or not (hooks.on_tensor or hooks.retain):
        return g
    raw, seen = _is_raw(g), _shown(g)
    with users_code():
        for hook in tuple(hooks.on_tensor.values()):
            replaced = hook(seen)
            if replaced is not None:
                _check_replacement(hook, replaced, seen)
                seen = replaced
        if hooks.retain is not None:
            hooks.retain(seen)
    grads.shared.add(node)
    return _taken(seen, raw)


def _check_replacement(hook: Callable[..., Any], replaced: Any, seen: Tensor) -> None:
    name = getattr(hook, "__name__", type(hook).__name__)
    if not isinstance(replaced, Tensor):
        raise TypeError(f"expected a Tensor or None, but hook '{name}' returned '{type(replaced).__name__}'")
    if replaced._array.shape != seen._array.shape:
        raise RuntimeError(
            f"hook '{name}' has changed the size of value: it was given {list(seen.shape)} and returned "
            f"{list(replaced.shape)}"
        )
    if replaced._array.dtype != seen._array.dtype:
        raise RuntimeError(
            f"hook '{name}' has changed the type of value (was {seen.dtype}, got {replaced.dtype}): convert it back"
        )


def run_pre_hooks(node: Node, g: Any, grads: Gradients) -> Any:
    """Let the pre-hooks of *node* see and replace its incoming gradients: a tuple, of one for each of its outputs."""
    if node.hooks is None or not node.hooks.before:
        return g
    raw, several = _is_raw(g), isinstance(g, list)
    seen = tuple(map(_shown, g)) if several else (_shown(g),)
    with users_code():
        for hook in tuple(node.hooks.before.values()):
            replaced = hook(seen)
            if replaced is not None:
                seen = replaced if isinstance(replaced, tuple) else (replaced,)
    grads.shared.add(node)
    taken = [_taken(value, raw) for value in seen]
    return taken if several else taken[0]


def run_after_hooks(node: Node, gradients: list[Any], g: Any) -> list[Any]:
    """Let the hooks after *node* see what it was given (*g*) and computed, and replace the latter."""
    raw = _is_raw(g)
    incoming = tuple(map(_shown, g)) if isinstance(g, list) else (_shown(g),)
    outgoing = tuple(map(_shown, gradients))
    with users_code():
        for hook in tuple(node.hooks.after.values()) if node.hooks else ():
            replaced = hook(outgoing, incoming)
            if replaced is not None:
                outgoing = replaced if isinstance(replaced, tuple) else (replaced,)
    return [_taken(value, raw) for value in outgoing]
