"""Whether operations are recorded, for each thread on its own: no_grad, enable_grad, set_grad_enabled, inference_mode."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, ClassVar, TypeVar

_GENERATOR = 0x20  # the flag inspect.CO_GENERATOR; the module itself is slow to import
F = TypeVar("F", bound=Callable[..., Any])


class GradMode(threading.local):
    """The mode of the running thread; the class attributes are what a new thread starts with."""

    enabled = True  # operations on tensors that require grad are recorded
    inference = False  # inside inference_mode
    vmaps: tuple[Any, ...] = ()  # the running ones, the innermost last: func/vectorize.py
    rules_on_arrays = False  # a backward pass is running derivative rules on raw arrays
    pulling_forward = False  # a backward pass is recorded to be differentiated for forward mode
    observers: tuple[Callable[..., None], ...] = ()  # told of every operation of the thread: registry/observe.py
    packing: tuple[Any, ...] = ()  # the pairs of saved_tensors_hooks, the innermost last
    packing_refused: str | None = None  # inside disable_saved_tensors_hooks: its message
    checks: tuple[Any, ...] = ()  # told what the nodes of a backward pass compute: node_ran(...), node_failed(...)


mode = GradMode()


@contextmanager
def users_code() -> Iterator[None]:
    """Inside a backward pass: what a hook calls works on Tensors, as everywhere else."""
    before, mode.rules_on_arrays = mode.rules_on_arrays, False
    try:
        yield
    finally:
        mode.rules_on_arrays = before


class _Recording:
    """A context manager and decorator that sets ``mode.enabled`` and puts back what was there before."""

    enabled: bool
    _previous: list[tuple[bool, bool]]

    def __init__(self) -> None:
        self._previous = []

    def __enter__(self) -> None:
        self._previous.append((mode.enabled, mode.inference))
        mode.enabled = self.enabled

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        mode.enabled, mode.inference = self._previous.pop()

    def _fresh(self) -> _Recording:
        return type(self)()

    def __call__(self, function: F) -> F:
        if getattr(function, "__code__", None) is not None and function.__code__.co_flags & _GENERATOR:
            return _in_generator(function, self._fresh)

        @functools.wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            with self._fresh():
                return function(*args, **kwargs)

        return wrapped  # type: ignore[return-value]


def _in_generator(function: F, context: Callable[[], _Recording]) -> F:
    """Wrap a generator function so that only its own steps, not its consumer's, run inside *context*."""

    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        generator = function(*args, **kwargs)
        try:
            with context():
                item = next(generator)
            while True:
                try:
                    sent = yield item
                except GeneratorExit:
                    with context():
                        generator.close()
                    raise
                except BaseException as error:  # noqa: BLE001 -- handed on to the generator whatever it is
                    with context():
                        item = generator.throw(error)
                else:
                    with context():
                        item = generator.send(sent)
        except StopIteration as stop:
            return stop.value

    return wrapped  # type: ignore[return-value]


class _Plain(_Recording):
    """Also usable as a bare decorator: ``@no_grad`` like ``@no_grad()``."""

    def __new__(cls, function: Callable[..., Any] | None = None) -> Any:
        if function is None:
            return super().__new__(cls)
        return cls()(function)

    def __init__(self, function: Callable[..., Any] | None = None) -> None:
        super().__init__()


class no_grad(_Plain):  # noqa: N801 -- PyTorch's name
    """Inside it no operation is recorded, so results do not require grad; a context manager and a decorator.

    >>> import allgrad as torch
    >>> x = torch.tensor([1.0], requires_grad=True)
    >>> with torch.no_grad():
    ...     y = x * 2
    >>> y.requires_grad
    False
    """

    enabled: ClassVar[bool] = False  # type: ignore[misc]


class enable_grad(_Plain):  # noqa: N801 -- PyTorch's name
    """Inside it operations are recorded again, also within ``no_grad``; a context manager and a decorator."""

    enabled: ClassVar[bool] = True  # type: ignore[misc]


class set_grad_enabled(_Recording):  # noqa: N801 -- PyTorch's name
    """Switch recording to *mode* at once; as a context manager, until its end.

    >>> import allgrad as torch
    >>> with torch.set_grad_enabled(False):
    ...     torch.is_grad_enabled()
    False
    """

    def __init__(self, mode: bool) -> None:
        super().__init__()
        self.enabled = bool(mode)
        self._before = (_mode().enabled, _mode().inference)
        _mode().enabled = self.enabled

    def __enter__(self) -> None:
        self._previous.append(self._before)
        _mode().enabled = self.enabled

    def _fresh(self) -> _Recording:
        return set_grad_enabled(self.enabled)

    def __call__(self, function: F) -> F:
        _mode().enabled, _mode().inference = self._before  # as a decorator it only acts inside the function
        return super().__call__(function)


def _mode() -> GradMode:
    return mode


class inference_mode(_Recording):  # noqa: N801 -- PyTorch's name
    """Like ``no_grad``, and ``torch.is_inference_mode_enabled()`` says so; *mode* False leaves it for a while."""

    def __new__(cls, mode: Any = True) -> Any:
        if callable(mode):
            return cls()(mode)
        return super().__new__(cls)

    def __init__(self, mode: bool = True) -> None:
        super().__init__()
        self._inference = bool(mode)
        self.enabled = not self._inference

    def __enter__(self) -> None:
        super().__enter__()
        _mode().inference = self._inference

    def _fresh(self) -> _Recording:
        return inference_mode(self._inference)


class set_multithreading_enabled:  # noqa: N801 -- PyTorch's name
    """Accept PyTorch's switch, as a call or a context: a backward pass here runs in the thread that asks for it."""

    def __init__(self, mode: bool) -> None:
        self.mode = mode

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        pass


def is_grad_enabled() -> bool:
    """Whether operations are recorded in this thread now."""
    return mode.enabled


def is_inference_mode_enabled() -> bool:
    """Whether this thread is inside ``inference_mode``."""
    return mode.inference
