"""Mixed precision, as scripts ask for it: accepted, and everything is computed in the tensors' own types."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from .optim import Optimizer
    from .tensors.tensor import Tensor


F = TypeVar("F", bound=Callable[..., Any])


class autocast:  # noqa: N801 -- PyTorch's name
    """A context manager and decorator inside which operations keep their types: the CPU gains nothing by lower ones.

    Args:
        device_type: "cpu"; for another one it warns, as PyTorch does where there is no accelerator.
        dtype: accepted; PyTorch would compute matrix products in it.
        enabled: accepted.
        cache_enabled: accepted.

    Example:
        >>> import allgrad as torch
        >>> with torch.autocast("cpu", dtype=torch.float16):
        ...     (torch.ones(2, 2) @ torch.ones(2, 2)).dtype
        torch.float32
    """

    def __init__(
        self, device_type: str = "cpu", dtype: Any = None, enabled: bool = True, cache_enabled: bool | None = None
    ) -> None:
        if device_type != "cpu" and enabled:
            warnings.warn(
                f"User provided device_type of '{device_type}', but it is not available. Disabling", stacklevel=2
            )

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def __call__(self, function: F) -> F:
        @functools.wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            return function(*args, **kwargs)

        return wrapped  # type: ignore[return-value]


class GradScaler:
    """Scales losses so that half-precision gradients do not vanish; here, where nothing is halved, it does not.

    The loop that uses one runs unchanged. Arguments are accepted; ``is_enabled()`` is False.

    Example:
        >>> import allgrad as torch
        >>> scaler = torch.amp.GradScaler("cpu")
        >>> scaler.scale(torch.tensor(2.0))
        tensor(2.)
    """

    def __init__(self, device: str = "cpu", *args: Any, enabled: bool = True, **options: Any) -> None:
        self._device = device

    def is_enabled(self) -> bool:
        """False."""
        return False

    def get_scale(self) -> float:
        """1.0."""
        return 1.0

    def scale(self, outputs: Any) -> Any:
        """Return *outputs*, a tensor or several."""
        return outputs

    def unscale_(self, optimizer: Optimizer) -> None:
        """Do nothing."""

    def step(self, optimizer: Optimizer, *args: Any, **kwargs: Any) -> Any:
        """Call ``optimizer.step`` and return what it does."""
        return optimizer.step(*args, **kwargs)

    def update(self, new_scale: float | Tensor | None = None) -> None:
        """Do nothing."""

    def state_dict(self) -> dict[str, Any]:
        """Return {}: there is nothing to keep."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Do nothing."""
