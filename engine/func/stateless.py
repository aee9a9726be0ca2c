"""Modules called with parameters from outside, and the parameters of several modules stacked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..tensors.tensor import Tensor


def functional_call(
    module: Any,
    parameter_and_buffer_dicts: Any,
    args: Any = None,
    kwargs: dict[str, Any] | None = None,
    *,
    tie_weights: bool = True,
    strict: bool = False,
) -> Any:
    """Call *module* with the parameters and buffers of the given dict (or dicts) in place of its own.

    With *strict*, every parameter and buffer must be given, and names that the module does not have raise RuntimeError; without
    it those are ignored.
    """
    given: dict[str, Tensor] = {}
    dicts = (
        parameter_and_buffer_dicts
        if isinstance(parameter_and_buffer_dicts, (tuple, list))
        else [parameter_and_buffer_dicts]
    )
    for one in dicts:
        given.update(one)
    own = {
        **dict(module.named_parameters(remove_duplicate=False)),
        **dict(module.named_buffers(remove_duplicate=False)),
    }
    unknown = sorted(set(given) - set(own))
    if unknown and strict:
        raise RuntimeError(f"functional_call: the module has no parameter or buffer named {', '.join(unknown)}")
    if strict and set(own) - set(given):
        raise RuntimeError(f"functional_call: missing {', '.join(sorted(set(own) - set(given)))}")
    given = {name: value for name, value in given.items() if name in own}
    if tie_weights:
        given |= {n: given[m] for n in own for m in list(given) if n not in given and own[n] is own[m]}
    replaced = [(*_owner(module, name), value) for name, value in given.items()]
    before = [(store, key, store[key]) for store, key, _ in replaced]
    try:
        for store, key, value in replaced:
            store[key] = value
        positional = () if args is None else args if isinstance(args, tuple) else (args,)
        return module(*positional, **(kwargs or {}))
    finally:
        for store, key, value in before:
            store[key] = value


def _owner(module: Any, name: str) -> tuple[dict[str, Any], str]:
    """The dict that holds the parameter or buffer *name* of *module*, and its key there."""
    *path, key = name.split(".")
    for part in path:
        module = getattr(module, part)
    return (module._parameters if key in module._parameters else module._buffers), key


def stack_module_state(models: Sequence[Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The parameters, and the buffers, of *models* (alike in structure), each stacked along a new first dimension."""
    from ..operations.shape import stack

    listed = list(models)
    if not listed:
        raise RuntimeError("stack_module_state: Expected at least one model, got 0.")
    if len({type(m) for m in listed}) > 1:
        raise RuntimeError("stack_module_state: Expected all models to be of the same class.")
    parameters = [dict(m.named_parameters()) for m in listed]
    buffers = [dict(m.named_buffers()) for m in listed]
    stacked = {name: stack([p[name].detach() for p in parameters]).requires_grad_(parameters[0][name].requires_grad)
               for name in parameters[0]}  # fmt: skip
    return stacked, {name: stack([b[name] for b in buffers]) for name in buffers[0]}
