"""Checkpointing: what a part of a network saves for backward is not kept, but computed again when backward needs it."""

from __future__ import annotations

import warnings
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import Any

from ..autograd.function import Function
from ..autograd.gradients import backward
from ..autograd.saved_tensors import saved_tensors_hooks
from ..random import get_rng_state, set_rng_state
from ..registry.nodes import Packed
from ..registry.packing import pack
from ..tape.mode import enable_grad, mode
from ..tape.nodes import callbacks
from ..tape.provenance import caller
from ..tensors.tensor import Tensor

Contexts = tuple[AbstractContextManager[Any], AbstractContextManager[Any]]
Facts = tuple[Any, ...]  # what must be the same of a tensor in the forward and in the recomputation


class CheckpointError(RuntimeError):
    """The recomputation did something else than the forward."""


class _StopRecomputationError(Exception):
    """All that backward needs has been computed again."""


def noop_context_fn() -> Contexts:
    """Two contexts that do nothing, for the forward and the recomputation."""
    return nullcontext(), nullcontext()


_early_stop: list[bool] = []


@contextmanager
def set_checkpoint_early_stop(enable: bool) -> Iterator[None]:
    """Inside, checkpoints stop recomputing (or do not) once they have all that is needed, whatever they were told."""
    _early_stop.append(enable)
    try:
        yield
    finally:
        _early_stop.pop()


def checkpoint(
    function: Callable[..., Any],
    *args: Any,
    use_reentrant: bool | None = None,
    context_fn: Callable[[], Contexts] = noop_context_fn,
    determinism_check: str = "default",
    debug: bool = False,
    early_stop: bool = True,
    preserve_rng_state: bool = True,
    **kwargs: Any,
) -> Any:
    """Return ``function(*args, **kwargs)`` without keeping what it saves for backward: backward calls it once more.

    Args:
        function: a module or function; called again, it must do the same.
        use_reentrant: False for the form that supports everything; True for PyTorch's older one, which needs an input
            that requires grad and takes no keyword arguments. To be given; without it True is used, with a warning.
        context_fn: returns the contexts in which the forward and the recomputation run.
        determinism_check: "default" compares shapes and dtypes of what both saved, "none" nothing.
        debug: accepted; errors always name the forward's line and what differs.
        early_stop: stop the recomputation once everything needed is there.
        preserve_rng_state: let both draw the same random numbers.

    Raises:
        CheckpointError: the recomputation saved other tensors than the forward.
        ValueError: unknown *determinism_check*, or what only ``use_reentrant=False`` supports.

    Example:
        >>> import allgrad as torch
        >>> from allgrad.utils.checkpoint import checkpoint
        >>> x = torch.tensor([0.5], requires_grad=True)
        >>> checkpoint(lambda t: t.exp().sin(), x, use_reentrant=False).backward()
        >>> x.grad
        tensor([-0.1283])
    """
    if use_reentrant is None:
        warnings.warn(
            "torch.utils.checkpoint: the use_reentrant parameter should be passed explicitly; use_reentrant=False is "
            "recommended. True is used here.",
            stacklevel=2,
        )
        use_reentrant = True
    if not use_reentrant:
        frame = _Frame(function, args, kwargs, context_fn, determinism_check, early_stop, preserve_rng_state)
        return frame.forward()
    if kwargs:
        raise ValueError(
            f"Unexpected keyword arguments: {','.join(kwargs)}: only use_reentrant=False passes them on to the function"
        )
    if context_fn is not noop_context_fn or debug:
        raise ValueError("Passing `context_fn` or `debug` is only supported when use_reentrant=False.")
    if mode.enabled and not any(isinstance(a, Tensor) and a.requires_grad for a in args):
        warnings.warn("None of the inputs have requires_grad=True. Gradients will be None", stacklevel=2)
    return CheckpointFunction.apply(function, preserve_rng_state, *args)


def checkpoint_sequential(
    functions: Any, segments: int, input: Any, use_reentrant: bool | None = None, **kwargs: Any
) -> Any:
    """Return *input* led through *functions* (a Sequential or a list), cut into *segments* of which all but the last
    are checkpointed.

    >>> import allgrad as torch
    >>> from allgrad.utils.checkpoint import checkpoint_sequential
    >>> x = torch.tensor([1.0], requires_grad=True)
    >>> checkpoint_sequential([torch.exp, torch.log, torch.sin], 2, x, use_reentrant=False)
    tensor([0.8415], grad_fn=<SinBackward0>)
    """
    preserve = kwargs.pop("preserve_rng_state", True)
    if kwargs:
        raise ValueError("Unexpected keyword arguments: " + ",".join(kwargs))
    listed = list(functions.children()) if hasattr(functions, "children") else list(functions)
    size = len(listed) // segments
    end = 0
    for start in range(0, size * (segments - 1), size) if size else ():
        end = start + size
        part = _in_turn(listed[start:end])
        input = checkpoint(part, input, use_reentrant=use_reentrant, preserve_rng_state=preserve)
    return _in_turn(listed[end:])(input)


def _in_turn(functions: Sequence[Callable[[Any], Any]]) -> Callable[[Any], Any]:
    def run(value: Any) -> Any:
        for function in functions:
            value = function(value)
        return value

    return run


class CheckpointFunction(Function):
    """The reentrant form: a custom Function whose backward calls the checkpointed one, and ``backward`` on its result."""

    @staticmethod
    def forward(ctx: Any, function: Callable[..., Any], preserve_rng_state: bool, *args: Any) -> Any:
        """Compute the result without recording."""
        ctx.function = function
        ctx.random = get_rng_state() if preserve_rng_state else None
        ctx.places = [i for i, a in enumerate(args) if isinstance(a, Tensor)]
        ctx.others = [None if isinstance(a, Tensor) else a for a in args]
        ctx.save_for_backward(*(args[i] for i in ctx.places))
        return function(*args)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        """Compute the result again, recorded, and differentiate it."""
        if callbacks.passes[-1].chosen:
            raise RuntimeError(
                "When use_reentrant=True, torch.utils.checkpoint is incompatible with .grad() or passing an `inputs` "
                "parameter to .backward(). To resolve this error, you can either set use_reentrant=False, or call "
                ".backward() without passing the `inputs` argument."
            )
        inputs = list(ctx.others)
        for i, tensor in zip(ctx.places, ctx.saved_tensors, strict=True):
            inputs[i] = tensor.detach().requires_grad_(tensor.requires_grad)
        with _random_numbers(ctx.random), enable_grad():
            result = ctx.function(*inputs)
        outputs = result if isinstance(result, tuple) else (result,)
        pairs = [(o, g) for o, g in zip(outputs, grads, strict=True) if isinstance(o, Tensor) and o.requires_grad]
        if not pairs:
            raise RuntimeError("none of output has requires_grad=True, this checkpoint() is not necessary")
        backward([o for o, _ in pairs], [g for _, g in pairs])
        return None, None, *(t.grad if isinstance(t, Tensor) else None for t in inputs)


@contextmanager
def _random_numbers(state: Tensor | None) -> Iterator[None]:
    """Inside, random numbers are drawn from *state* on; afterwards, from where they were before. Nothing for None."""
    if state is None:
        yield
        return
    before = get_rng_state()
    set_rng_state(state)
    try:
        yield
    finally:
        set_rng_state(before)


class _Holder:
    """What a node holds in place of a saved tensor: only its number."""

    __slots__ = ("__weakref__", "number")

    def __init__(self, number: int) -> None:
        self.number = number


class _Frame:
    """One call of ``checkpoint``: what it takes to call the function again, and what that saved."""

    def __init__(
        self,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        context_fn: Callable[[], Contexts],
        determinism_check: str,
        early_stop: bool,
        preserve_rng_state: bool,
    ) -> None:
        if determinism_check not in ("default", "none"):
            raise ValueError(f"determinism_check should be one of ['default', 'none'], but got {determinism_check}")
        self._function = function
        self._args, self._kwargs = args, kwargs
        self._contexts = context_fn()
        self._compared = determinism_check == "default"
        self._early_stop = _early_stop[-1] if _early_stop else early_stop
        self._random = get_rng_state() if preserve_rng_state else None
        self._place = caller()
        self._holders: list[weakref.ref[_Holder]] = []
        self._facts: list[Facts] = []
        self._recomputed: dict[int, Tensor] = {}  # by the number of the holder
        self._count = 0  # of tensors that the running recomputation has saved

    def forward(self) -> Any:
        """Call the function, and let everything it saves be replaced by holders."""
        args, kwargs = self._args, self._kwargs
        with self._contexts[0], ExitStack() as stack:
            if mode.enabled:
                self._hand_inputs_over()
                stack.enter_context(saved_tensors_hooks(self._hold, self._unpack))
            return self._function(*args, **kwargs)

    def _hand_inputs_over(self) -> None:
        """Let an enclosing checkpoint, or whichever hooks are active, keep the inputs in its own way."""
        if mode.packing:
            hooks = mode.packing[-1]
            self._args = tuple(_packed(a, *hooks) for a in self._args)
            self._kwargs = {key: _packed(a, *hooks) for key, a in self._kwargs.items()}

    def _hold(self, tensor: Tensor) -> _Holder:
        holder = _Holder(len(self._holders))
        self._holders.append(weakref.ref(holder))
        self._facts.append(_facts(tensor))
        return holder

    def _unpack(self, holder: _Holder) -> Tensor:
        if holder.number not in self._recomputed:
            self._recompute()
        if holder.number not in self._recomputed:
            self._complain_of_count()
        return self._recomputed.pop(holder.number)

    def _recompute(self) -> None:
        self._recomputed.clear()
        self._count = 0
        args = [_unpacked(a) for a in self._args]
        kwargs = {key: _unpacked(a) for key, a in self._kwargs.items()}
        with _random_numbers(self._random), enable_grad(), self._contexts[1]:
            try:
                with saved_tensors_hooks(self._keep, lambda tensor: tensor):
                    self._function(*args, **kwargs)
            except _StopRecomputationError:
                pass
        if self._count != len(self._holders):
            self._complain_of_count()

    def _keep(self, tensor: Tensor) -> Tensor:
        number, self._count = self._count, self._count + 1
        if number < len(self._holders):
            if self._compared and _facts(tensor) != self._facts[number]:
                raise CheckpointError(
                    "torch.utils.checkpoint: Recomputed values for the following tensors have different metadata than during "
                    f"the forward pass. tensor at position {number}: saved {_shown(self._facts[number])}, recomputed "
                    f"{_shown(_facts(tensor))}, of the checkpoint called at {self._place}"
                )
            if self._holders[number]() is not None:
                self._recomputed[number] = tensor
            if self._early_stop and self._count == len(self._holders):
                raise _StopRecomputationError
        return tensor

    def _complain_of_count(self) -> None:
        raise CheckpointError(
            "torch.utils.checkpoint: A different number of tensors was saved during the original forward and recomputation. "
            f"Number of tensors saved during forward: {len(self._holders)}. Number of tensors saved during recomputation: "
            f"{self._count}. The function must do the same when it is called again; the checkpoint was called at {self._place}"
        )


def _facts(tensor: Tensor) -> Facts:
    return tuple(tensor.shape), tensor.dtype


def _shown(facts: Facts) -> str:
    return f"{list(facts[0])} {facts[1]}"


def _packed(value: Any, hook: Callable[[Any], Any], unpack: Callable[[Any], Any]) -> Any:
    return pack(value, hook, unpack, value._node) if isinstance(value, Tensor) else value


def _unpacked(value: Any) -> Any:
    return value.unpack() if isinstance(value, Packed) else value
