"""What an operation will have come to once it is waited for, under torch.futures.Future's names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Future:
    """A value that is there after `wait`, which *complete* computes, once.

    >>> Future(lambda: 2).then(lambda future: future.value() + 1).wait()
    3
    """

    def __init__(self, complete: Callable[[], Any]) -> None:
        self._complete: Callable[[], Any] | None = complete
        self._value: Any = None

    def wait(self) -> Any:
        """Wait for the value, and return it."""
        if self._complete is not None:
            self._value, self._complete = self._complete(), None
        return self._value

    def value(self) -> Any:
        """Return the value; as `wait`."""
        return self.wait()

    def then(self, callback: Callable[[Future], Any]) -> Future:
        """Return the future of what *callback*, called with this one, returns."""

        def follow() -> Any:
            self.wait()
            return callback(self)

        return Future(follow)
