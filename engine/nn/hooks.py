"""Calling a module with its hooks: before and after forward, and before and after the gradient passes."""

from __future__ import annotations

import warnings
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..autograd.function import Function
from ..tape.nodes import Handle
from ..tensors.tensor import Tensor

if TYPE_CHECKING:
    from .module import Module


@dataclass(frozen=True)
class Hook:
    """A callback and how it wants to be called."""

    function: Callable[..., Any]
    with_kwargs: bool = False
    always: bool = False


Table = OrderedDict[int, Hook]

# Hooks on every module, by kind; the dict is empty unless there are some, so that a call need not look further.
global_hooks: dict[str, Table] = {}


def register(table: Table, hook: Hook, prepend: bool = False) -> Handle:
    """Put *hook* at the end, or the beginning, of *table*; the handle takes it away again."""
    handle = Handle(table, hook)  # type: ignore[arg-type]
    if prepend:
        table.move_to_end(next(reversed(table)), last=False)
    return handle


def register_global(kind: str, hook: Hook) -> Handle:
    """Put *hook* on every module."""
    table = global_hooks.get(kind, OrderedDict())
    global_hooks[kind] = table
    return _GlobalHandle(kind, Handle(table, hook))  # type: ignore[arg-type]


class _GlobalHandle(Handle):
    """Takes a global hook away, and its table when that is empty."""

    def __init__(self, kind: str, inner: Handle) -> None:
        self._kind, self._inner = kind, inner

    def remove(self) -> None:
        self._inner.remove()
        if not global_hooks.get(self._kind, True):
            del global_hooks[self._kind]


class Hooked:
    """What takes hooks: each method returns a handle that takes its hook away again."""

    _forward_pre_hooks: Table
    _forward_hooks: Table
    _backward_pre_hooks: Table
    _backward_hooks: Table
    _state_dict_pre_hooks: Table
    _state_dict_hooks: Table
    _load_state_dict_pre_hooks: Table
    _load_state_dict_post_hooks: Table

    def register_forward_pre_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> Handle:
        """Call ``hook(module, args)`` before ``forward``; what it returns replaces the positional arguments.

        *with_kwargs*: the hook is called with (module, args, kwargs) and returns None or (args, kwargs).
        """
        return register(self._forward_pre_hooks, Hook(hook, with_kwargs), prepend)

    def register_forward_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False, always_call: bool = False
    ) -> Handle:
        """Call ``hook(module, args, output)`` after ``forward``; what it returns replaces the output.

        *with_kwargs*: the hook is called with (module, args, kwargs, output). *always_call*: also if an error occurred.
        """
        return register(self._forward_hooks, Hook(hook, with_kwargs, always_call), prepend)

    def register_full_backward_pre_hook(self, hook: Callable[..., Any], prepend: bool = False) -> Handle:
        """Call ``hook(module, grad_output)`` before the gradient passes; what it returns replaces grad_output."""
        return register(self._backward_pre_hooks, Hook(hook), prepend)

    def register_full_backward_hook(self, hook: Callable[..., Any], prepend: bool = False) -> Handle:
        """Call ``hook(module, grad_input, grad_output)`` after the gradient passed; a result replaces grad_input."""
        return register(self._backward_hooks, Hook(hook), prepend)

    def register_state_dict_pre_hook(self, hook: Callable[..., Any]) -> Handle:
        """Call ``hook(module, prefix, keep_vars)`` before the state is collected."""
        return register(self._state_dict_pre_hooks, Hook(hook))

    def register_state_dict_post_hook(self, hook: Callable[..., Any]) -> Handle:
        """Call ``hook(module, state_dict, prefix, local_metadata)`` after the state is collected."""
        return register(self._state_dict_hooks, Hook(hook))

    def register_load_state_dict_pre_hook(self, hook: Callable[..., Any]) -> Handle:
        """Call the hook before loading with (module, state_dict, prefix, local_metadata, strict, and three lists)."""
        return register(self._load_state_dict_pre_hooks, Hook(hook))

    def register_load_state_dict_post_hook(self, hook: Callable[..., Any]) -> Handle:
        """Call ``hook(module, incompatible_keys)`` after loading; it may change the two lists."""
        return register(self._load_state_dict_post_hooks, Hook(hook))


def _hooks(module: Module, kind: str) -> list[Hook]:
    own: Table = getattr(module, f"_{kind}_hooks")
    return [*global_hooks.get(kind, {}).values(), *own.values()]


def call_with_hooks(module: Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Run a module's forward between its hooks."""
    called: set[int] = set()
    result = None
    try:
        args, kwargs = _before(module, args, kwargs)
        backward = _Backward(module) if _hooks(module, "backward") or _hooks(module, "backward_pre") else None
        if backward is not None:
            args = backward.enter(args)
        result = module.forward(*args, **kwargs)
        for hook in _hooks(module, "forward"):
            called.add(id(hook))
            result = _after(hook, module, args, kwargs, result)
        return result if backward is None else backward.leave(result)
    except Exception:
        for hook in _hooks(module, "forward"):
            if hook.always and id(hook) not in called:
                _call_in_spite(hook, module, args, kwargs, result)
        raise


def _before(module: Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    for hook in _hooks(module, "forward_pre"):
        if hook.with_kwargs:
            changed = hook.function(module, args, kwargs)
            if changed is None:
                continue
            if not isinstance(changed, tuple) or len(changed) != 2:
                raise RuntimeError(
                    f"forward pre-hook must return None or a tuple of (new_args, new_kwargs), but got {changed}."
                )
            args, kwargs = changed
        else:
            changed = hook.function(module, args)
            if changed is not None:
                args = changed if isinstance(changed, tuple) else (changed,)
    return args, kwargs


def _after(hook: Hook, module: Module, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> Any:
    given = (module, args, kwargs, result) if hook.with_kwargs else (module, args, result)
    changed = hook.function(*given)
    return result if changed is None else changed


def _call_in_spite(hook: Hook, module: Module, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
    try:
        _after(hook, module, args, kwargs, result)
    except Exception as error:  # noqa: BLE001 -- the error that is already on its way counts
        warnings.warn(
            "module forward hook with ``always_call=True`` raised an exception that was silenced as another error was "
            f"raised in forward: {error}",
            stacklevel=2,
        )


class _Passage(Function):
    """The identity on several tensors, whose node sees all their gradients at once."""

    @staticmethod
    def forward(ctx: Any, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Return the same values."""
        return tuple(tensor.view_as(tensor) for tensor in tensors)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, ...]:
        """Return the same gradients."""
        return grads


class _Backward:
    """The backward hooks of one call of a module: they hang on nodes around its inputs and around its outputs."""

    def __init__(self, module: Module) -> None:
        self._module = module
        self._grad_outputs: Any = None
        self._wants_inputs = False
        self._places: list[int] = []
        self._count = 0

    def enter(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """Lead the inputs that require grad through a node that ends the module's backward."""
        self._count = len(args)
        self._places = [i for i, value in enumerate(args) if isinstance(value, Tensor) and value.requires_grad]
        through = self._through([args[i] for i in self._places])
        if not through or through[0].grad_fn is None:
            return args
        self._wants_inputs = True
        through[0].grad_fn.register_hook(lambda grads, _: self._end(grads))
        changed = list(args)
        for place, tensor in zip(self._places, through, strict=True):
            changed[place] = tensor
        return tuple(changed)

    def leave(self, result: Any) -> Any:
        """Lead the outputs that require grad through a node that begins the module's backward."""
        if not isinstance(result, Tensor | tuple):
            warnings.warn(
                "For backward hooks to be called, module output should be a Tensor or a tuple of Tensors but received "
                f"{type(result)}",
                stacklevel=2,
            )
            return result
        outputs = list(result) if isinstance(result, tuple) else [result]
        places = [i for i, value in enumerate(outputs) if isinstance(value, Tensor) and value.requires_grad]
        through = self._through([outputs[i] for i in places])
        if not through or through[0].grad_fn is None:
            return result
        through[0].grad_fn.register_hook(lambda grads, _: self._begin(grads, places, len(outputs)))
        for place, tensor in zip(places, through, strict=True):
            outputs[place] = tensor
        return tuple(outputs) if isinstance(result, tuple) else outputs[0]

    @staticmethod
    def _through(tensors: list[Tensor]) -> tuple[Tensor, ...]:
        passed = _Passage.apply(*tensors) if tensors else ()
        return passed if isinstance(passed, tuple) else (passed,)

    def _begin(self, grads: tuple[Any, ...], places: list[int], count: int) -> Any:
        everything: list[Any] = [None] * count
        for place, grad in zip(places, grads, strict=True):
            everything[place] = grad
        grad_output = tuple(everything)
        for hook in _hooks(self._module, "backward_pre"):
            changed = hook.function(self._module, grad_output)
            if changed is not None:
                grad_output = changed if isinstance(changed, tuple) else (changed,)
        self._grad_outputs = grad_output
        if not self._wants_inputs:
            self._call_hooks((None,) * self._count)
        return tuple(grad_output[place] for place in places)

    def _end(self, grads: tuple[Any, ...]) -> Any:
        everything: list[Any] = [None] * self._count
        for place, grad in zip(self._places, grads, strict=True):
            everything[place] = grad
        grad_input = self._call_hooks(tuple(everything))
        return tuple(grad_input[place] for place in self._places)

    def _call_hooks(self, grad_input: tuple[Any, ...]) -> tuple[Any, ...]:
        for hook in _hooks(self._module, "backward"):
            changed = hook.function(self._module, grad_input, self._grad_outputs)
            if changed is not None:
                grad_input = changed if isinstance(changed, tuple) else (changed,)
        return grad_input
