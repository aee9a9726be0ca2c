"""What happens to the tensors that operations save for backward: hooks that pack and unpack them, and their versions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any

from ..registry.observe import start_observing, stop_observing
from ..registry.packing import pack_saved
from ..tape.mode import mode
from ..tape.provenance import caller
from ..tensors.tensor import Tensor


class saved_tensors_hooks:  # noqa: N801 -- PyTorch's name
    """Inside, what operations save for backward goes through *pack_hook*, and through *unpack_hook* when it is needed.

    ``pack_hook(tensor)`` returns anything; ``unpack_hook`` is given that and returns a tensor of the same content. Of
    nested pairs the innermost acts. RuntimeError if the pack hook changes its tensor in place; changes made later
    to the original are not noticed, since the hooks may have copied it.

    >>> import allgrad as torch
    >>> x = torch.tensor([3.0], requires_grad=True)
    >>> with torch.autograd.graph.saved_tensors_hooks(lambda t: t.numpy().copy(), torch.from_numpy):
    ...     y = x * x
    >>> y.backward(); x.grad
    tensor([6.])
    """

    def __init__(self, pack_hook: Callable[[Tensor], Any], unpack_hook: Callable[[Any], Tensor]) -> None:
        self.pack_hook = pack_hook
        self.unpack_hook = unpack_hook

    def __enter__(self) -> None:
        if mode.packing_refused is not None:
            raise RuntimeError(mode.packing_refused)
        mode.packing = (*mode.packing, (self.pack_hook, self.unpack_hook))
        start_observing(pack_saved) if len(mode.packing) == 1 else None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        mode.packing = mode.packing[:-1]
        if not mode.packing:
            stop_observing(pack_saved)


class save_on_cpu(saved_tensors_hooks):  # noqa: N801 -- PyTorch's name
    """Keep saved tensors in the CPU's memory, where they are already: scripts that say so run unchanged."""

    def __init__(self, pin_memory: bool = False, device_type: str = "cuda") -> None:
        super().__init__(lambda tensor: tensor, lambda tensor: tensor)


@contextmanager
def disable_saved_tensors_hooks(error_message: str) -> Iterator[None]:
    """Inside, entering ``saved_tensors_hooks`` raises RuntimeError with *error_message*; so does this if one is active."""
    if mode.packing:
        raise RuntimeError(error_message)
    before, mode.packing_refused = mode.packing_refused, error_message
    try:
        yield
    finally:
        mode.packing_refused = before


class _AllowMutation:
    """What ``allow_mutation_on_saved_tensors`` gives: ``clear()`` is there for scripts that call it."""

    def clear(self) -> None:
        """Do nothing: a copy goes away with the graph that holds it."""


@contextmanager
def allow_mutation_on_saved_tensors() -> Iterator[_AllowMutation]:
    """Inside, tensors that were saved for backward may be changed in place: their copies are what backward uses.

    Every saved tensor is copied at once, which costs as much memory again.

    >>> import allgrad as torch
    >>> x = torch.tensor([2.0], requires_grad=True)
    >>> with torch.autograd.graph.allow_mutation_on_saved_tensors():
    ...     y = x * 1
    ...     z = y ** 2
    ...     y.zero_()
    ...     z.backward()
    tensor([0.], grad_fn=<FillBackward0>)
    >>> x.grad
    tensor([4.])
    """
    with saved_tensors_hooks(lambda tensor: tensor.clone(), lambda tensor: tensor):
        yield _AllowMutation()


def increment_version(tensor: Tensor | Iterable[Tensor]) -> None:
    """Let autograd believe that *tensor* (or each of several) was changed in place by the calling line."""
    for one in (tensor,) if isinstance(tensor, Tensor) else tensor:
        one._counter_or_new().bump(caller())
