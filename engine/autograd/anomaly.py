"""PyTorch's anomaly detection: a backward that fails, or makes a NaN, shows the whole stack of its forward call."""

from __future__ import annotations

import sys
import traceback
import warnings
import weakref
from types import CodeType, FrameType, TracebackType
from typing import Any

import numpy as np

from ..batching import anywhere
from ..registry.observe import start_observing, stop_observing
from ..tape.mode import mode
from ..tape.module_calls import ModulePaths
from ..tape.nodes import Node, Output
from ..tape.provenance import INTERNAL_PACKAGES
from ..tensors.tensor import Tensor

Stack = list[tuple[CodeType, int]]


class _Detection:
    """Remembers the stack of every recorded operation, and speaks up in backward passes."""

    def __init__(self, check_nan: bool) -> None:
        self.check_nan = check_nan
        self._stacks: weakref.WeakKeyDictionary[Node, Stack] = weakref.WeakKeyDictionary()

    def operation_ran(self, op: Any, args: Any, kwargs: dict[str, Any], result: Any) -> None:
        """Remember where the operation that made *result* was called."""
        first = result[0] if isinstance(result, tuple) and result else result
        node = first._node if isinstance(first, Tensor) else None
        node = node.parent if isinstance(node, Output) else node
        if node is not None and node.edges and node not in self._stacks:
            self._stacks[node] = _stack(sys._getframe(1))

    def node_ran(self, node: Node, g: Any, gradients: list[Any]) -> None:
        """Raise RuntimeError if a gradient has a NaN."""
        if not self.check_nan:
            return
        for position, gradient in enumerate(gradients):
            array = gradient._array if isinstance(gradient, Tensor) else gradient
            if array is not None and anywhere(np.isnan(array)):
                raise RuntimeError(
                    f"Function '{node.name()}' returned nan values in its {position}th output, for the operation "
                    f"recorded at {node.place}{self._module(node)}: check_finite() finds the first one, forward too"
                )

    def node_failed(self, node: Node, error: Exception) -> None:
        """Warn with the stack of the forward call behind *node*, whose backward raised *error*."""
        stack = self._stacks.get(node)
        if stack is None:
            told = (
                "No forward pass information available. Enable detect anomaly during forward pass for more information."
            )
        else:
            frames = [traceback.FrameSummary(code.co_filename, line, code.co_name) for code, line in stack]
            told = "Traceback of forward call that caused the error:\n" + "".join(traceback.format_list(frames))
        warnings.warn(f"Error detected in {node.name()}{self._module(node)}. {told}", UserWarning, stacklevel=2)

    @staticmethod
    def _module(node: Node) -> str:
        path = ModulePaths().at(node.seq)
        return f" in {path}" if path else ""


def _stack(frame: FrameType | None) -> Stack:
    """The code and line of every frame from the outermost to *frame*, without those of allgrad."""
    stack: Stack = []
    while frame is not None:
        if frame.f_globals.get("__package__") not in INTERNAL_PACKAGES:
            stack.append((frame.f_code, frame.f_lineno))
        frame = frame.f_back
    return stack[::-1]


def _switch(detection: _Detection | None) -> None:
    """Let *detection*, or none, be the one that acts."""
    before = _acting()
    if before is not None:
        mode.checks = tuple(check for check in mode.checks if check is not before)
        stop_observing(before.operation_ran)
    if detection is not None:
        mode.checks = (*mode.checks, detection)
        start_observing(detection.operation_ran)


def _acting() -> _Detection | None:
    return next((check for check in mode.checks if isinstance(check, _Detection)), None)


class set_detect_anomaly:  # noqa: N801 -- PyTorch's name
    """Switch anomaly detection on or off for this thread at once; as a context manager, until its end.

    *mode*: whether it is on. *check_nan*: whether a NaN among gradients raises.
    """

    def __init__(self, mode: bool, check_nan: bool = True) -> None:
        self._before = _acting()
        _switch(_Detection(check_nan) if mode else None)

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _switch(self._before)


class detect_anomaly(set_detect_anomaly):  # noqa: N801 -- PyTorch's name
    """Inside, a backward pass that fails warns with the stack of the forward call, and a NaN in one raises RuntimeError.

    Recording the stacks makes operations several times slower; ``check_finite`` is cheaper and looks at the forward too.

    >>> import allgrad as torch
    >>> x = torch.zeros(1, requires_grad=True)
    >>> with warnings.catch_warnings(action="ignore"), torch.autograd.detect_anomaly():
    ...     y = (x.sqrt() * 0).sum()
    ...     try:
    ...         y.backward()
    ...     except RuntimeError as error:
    ...         print(str(error).partition(",")[0])
    Function 'SqrtBackward0' returned nan values in its 0th output
    """

    def __init__(self, check_nan: bool = True) -> None:
        warnings.warn(
            "Anomaly Detection has been enabled. This mode will increase the runtime and should only be enabled for "
            "debugging.",
            stacklevel=2,
        )
        super().__init__(True, check_nan)


def is_anomaly_enabled() -> bool:
    """Whether anomaly detection is on in this thread."""
    return _acting() is not None


def is_anomaly_check_nan_enabled() -> bool:
    """Whether it is on, and a NaN in a backward pass raises."""
    found = _acting()
    return found is not None and found.check_nan


def set_anomaly_enabled(enabled: bool, check_nan: bool = True) -> None:
    """Switch anomaly detection on or off for this thread."""
    _switch(_Detection(check_nan) if enabled else None)
