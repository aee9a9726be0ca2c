"""L-BFGS: steps along the gradient as an estimate of the curvature, made of the last steps, turns it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..tape.mode import enable_grad, no_grad
from ..tape.provenance import caller
from ..tensors.tensor import Tensor
from .line_search import Point, strong_wolfe
from .optimizer import Array, Group, Optimizer, Parameters, check_at_least_zero, parts

_LEAST_CURVATURE = 1e-10  # a step over which the gradient changed less says nothing about the curvature


class LBFGS(Optimizer):
    """Minimises with the limited-memory BFGS method: up to *max_iter* iterations in every step (Nocedal 1980).

    ``step`` needs a closure that clears the gradients, computes the loss, calls ``backward`` and returns the loss; it is
    called several times. All parameters make one vector, so there are no groups.

    Args:
        params: parameters.
        lr: the length of a step, or the first one that the line search tries (default 1).
        max_iter: iterations in a step (default 20).
        max_eval: calls of the closure in a step (default 1.25 · *max_iter*).
        tolerance_grad: stop when no element of the gradient is greater (default 1e-7).
        tolerance_change: stop when the loss or the parameters change less (default 1e-9).
        history_size: how many steps the estimate of the curvature is made of (default 100).
        line_search_fn: None, or "strong_wolfe", which is slower and far more robust.

    Raises:
        ValueError: a negative *lr*, or more than one group.

    Example:
        >>> import allgrad as torch
        >>> x = torch.tensor([-1.0, 2.0], requires_grad=True)
        >>> optimizer = torch.optim.LBFGS([x], line_search_fn="strong_wolfe")
        >>> def closure():
        ...     optimizer.zero_grad()
        ...     loss = (1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2
        ...     loss.backward()
        ...     return loss
        >>> for _ in range(3):
        ...     loss = optimizer.step(closure)
        >>> torch.allclose(x, torch.ones(2), atol=1e-3)
        True
    """

    def __init__(
        self,
        params: Parameters,
        lr: float | Tensor = 1,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:
        check_at_least_zero(lr=float(lr))
        options = {"lr": lr, "max_iter": max_iter, "max_eval": max_iter * 5 // 4 if max_eval is None else max_eval}
        options |= {"tolerance_grad": tolerance_grad, "tolerance_change": tolerance_change}
        super().__init__(params, options | {"history_size": history_size, "line_search_fn": line_search_fn})
        if len(self.param_groups) != 1:
            raise ValueError("LBFGS doesn't support per-parameter options (parameter groups)")

    def step(self, closure: Callable[[], Any]) -> Any:  # type: ignore[override]
        """Minimise the loss that *closure* computes anew; return the first loss."""
        group = self.param_groups[0]
        if group["line_search_fn"] not in (None, "strong_wolfe"):
            raise RuntimeError("only 'strong_wolfe' is supported")
        with no_grad():
            return self._minimise(enable_grad()(closure), group, self.state[group["params"][0]])

    def _minimise(self, closure: Callable[[], Any], group: Group, state: dict[str, Any]) -> Any:
        first = closure()
        loss, gradient = float(first), self._gradient()
        evaluations, tolerance = 1, group["tolerance_change"]
        state["func_evals"] = state.get("func_evals", 0) + 1
        if np.abs(gradient).max() <= group["tolerance_grad"]:
            return first
        memory = _Memory(state, group["history_size"])
        for iteration in range(1, group["max_iter"] + 1):
            state["n_iter"] = state.get("n_iter", 0) + 1
            direction = memory.direction(gradient)
            step = float(group["lr"]) * (min(1.0, 1.0 / float(np.abs(gradient).sum())) if memory.is_new else 1.0)
            memory.note(gradient, direction, step)
            slope = gradient @ direction
            if slope > -tolerance:
                break
            before, here = loss, Point(0.0, np.float64(loss), gradient, np.float64(slope))
            last = iteration == group["max_iter"]
            most = group["max_eval"] - evaluations
            reached, calls = self._advance(closure, here, direction, step, group, last, most)
            loss, gradient, memory.step = float(reached.loss), reached.gradient, reached.step
            evaluations += calls
            state["func_evals"] += calls
            if last or evaluations >= group["max_eval"] or np.abs(gradient).max() <= group["tolerance_grad"]:
                break
            if np.abs(direction * reached.step).max() <= tolerance or abs(loss - before) < tolerance:
                break
        state.update(memory.saved())
        return first

    def _advance(
        self,
        closure: Callable[[], Any],
        here: Point,
        direction: Array,
        step: float,
        group: Group,
        last: bool,
        most: int,
    ) -> tuple[Point, int]:
        """Go along the direction: return the point reached and how often the closure was called."""

        def arrive() -> Point:
            return Point(step, np.float64(float(closure())), self._gradient(), np.float64(0))

        if group["line_search_fn"] is None:
            self._move(direction, step)
            return (Point(step, here.loss, here.gradient, here.slope), 0) if last else (arrive(), 1)
        starts = [parameter._array.copy() for parameter in group["params"]]

        def evaluate(step: float) -> Point:
            self._move(direction, step)
            loss, gradient = np.float64(float(closure())), self._gradient()
            for parameter, start in zip(group["params"], starts, strict=True):
                parameter._array[...] = start
            return Point(step, loss, gradient, np.float64(gradient @ direction))

        largest = float(np.abs(direction).max())
        reached, calls = strong_wolfe(evaluate, here, step, largest, group["tolerance_change"], most)
        self._move(direction, reached.step)
        return reached, calls

    def _gradient(self) -> Array:
        """Return the gradients of all parameters as one vector of real numbers, zeros where there is none."""
        pieces = []
        for parameter in self.param_groups[0]["params"]:
            array = np.zeros_like(parameter._array) if parameter._grad is None else parameter._grad._array
            pieces.append((parts(array) if array.dtype.kind == "c" else array).reshape(-1))
        return np.concatenate(pieces)

    def _move(self, direction: Array, step: float) -> None:
        """Add *step* times the direction to the parameters."""
        place, start = caller(), 0
        for parameter in self.param_groups[0]["params"]:
            values = parameter._array
            values = parts(values) if values.dtype.kind == "c" else values
            values += step * direction[start : start + values.size].reshape(values.shape)
            start += values.size
            parameter._counter_or_new().bump(place)


class _Memory:
    """The last steps and the changes of the gradient over them: an estimate of the inverse of the Hessian."""

    def __init__(self, state: dict[str, Any], size: int) -> None:
        self._size = size
        self._changes = [change._array for change in state.get("old_dirs", [])]
        self._steps = [step._array for step in state.get("old_stps", [])]
        self._weights = [float(weight) for weight in state.get("ro", [])]
        self._scale = float(state.get("H_diag", 1))
        self.is_new = "d" not in state
        self._gradient: Array = np.empty(0) if self.is_new else state["prev_flat_grad"]._array
        self._direction: Array = np.empty(0) if self.is_new else state["d"]._array
        self.step = float(state.get("t", 0.0))

    def saved(self) -> dict[str, Any]:
        """Return what the optimizer's state keeps, under PyTorch's names."""
        wrap = Tensor._wrap
        kept: dict[str, Any] = {"d": wrap(self._direction), "t": self.step, "prev_flat_grad": wrap(self._gradient)}
        kept |= {"old_dirs": [wrap(change) for change in self._changes], "old_stps": [wrap(s) for s in self._steps]}
        return kept | {"ro": list(self._weights), "H_diag": self._scale}

    def direction(self, gradient: Array) -> Array:
        """Take in what the last step showed, and return the direction to go: minus the inverse Hessian's product."""
        if self.is_new:
            return -gradient
        self._learn(gradient - self._gradient, self._direction * self.step)
        remembered = list(zip(self._changes, self._steps, self._weights, strict=True))
        turned, shares = -gradient, []
        for change, step, weight in reversed(remembered):
            shares.append(float(step @ turned) * weight)
            turned -= shares[-1] * change
        turned *= self._scale
        for (change, step, weight), share in zip(remembered, reversed(shares), strict=True):
            turned += (share - float(change @ turned) * weight) * step
        return turned

    def _learn(self, change: Array, step: Array) -> None:
        curvature = float(change @ step)
        if curvature <= _LEAST_CURVATURE:
            return
        self._changes.append(change)
        self._steps.append(step)
        self._weights.append(1.0 / curvature)
        for kept in (self._changes, self._steps, self._weights):
            del kept[: -self._size]
        self._scale = curvature / float(change @ change)

    def note(self, gradient: Array, direction: Array, step: float) -> None:
        """Remember where the next step starts from and which way it goes."""
        self._gradient, self._direction, self.step, self.is_new = gradient, direction, step, False
