"""Adafactor: adaptive steps that keep of a matrix only the mean squares of its rows and columns."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..tensors.tensor import Tensor
from .optimizer import Array, Group, Optimizer, Parameters, step_count, zeros_beside


class Adafactor(Optimizer):
    """Steps of the size of the parameter, divided by a factored estimate of g² (Shazeer and Stern 2018).

    Args:
        params: real parameters or groups of them.
        lr: the greatest relative size of a step (default 1e-2).
        beta2_decay: the power by which the average of g² comes to rest (default -0.8).
        eps: what the estimate of g² is kept above (None: that of the dtype), and the least size of a parameter.
        d: what the size of an update is clipped to (default 1).
        weight_decay: takes lr · weight_decay · p away (default 0).
        foreach: accepted as PyTorch does.
        maximize: ascend instead.

    Raises:
        ValueError: a negative option, or a positive *beta2_decay*.
        RuntimeError: a complex parameter, at the first step.
    """

    def __init__(
        self,
        params: Parameters,
        lr: float | Tensor = 1e-2,
        beta2_decay: float = -0.8,
        eps: tuple[float | None, float] = (None, 1e-3),
        d: float = 1.0,
        weight_decay: float = 0.0,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
    ) -> None:
        if not float(lr) >= 0.0:
            raise ValueError(f"Learning rate should be >= 0 but is: {lr}")
        if not beta2_decay <= 0.0:
            raise ValueError(f"beta2_decay should be <= 0 but is: {beta2_decay}")
        if eps[0] is not None and not eps[0] >= 0.0:
            raise ValueError(f"epsilon1 should be >= 0 but is: {eps[0]}")
        if not eps[1] >= 0.0:
            raise ValueError(f"epsilon2 should be >= 0 but is: {eps[1]}")
        if not d >= 1.0:
            raise ValueError(f"Clipping threshold d should be >= 1 but is: {d}")
        if not weight_decay >= 0.0:
            raise ValueError(f"weight_decay should be >= 0 but is: {weight_decay}")
        own = {"lr": lr, "beta2_decay": beta2_decay, "eps": eps, "d": d, "weight_decay": weight_decay}
        super().__init__(params, own | {"foreach": foreach, "maximize": maximize})

    def _change(self, parameter: Tensor, group: Group) -> None:
        """Apply the rule to the whole of one parameter: its norm and the means of its rows need all of it."""
        if parameter.is_complex():
            raise RuntimeError("Adafactor does not support complex parameters")
        assert parameter._grad is not None
        values, gradient, state = parameter._array, parameter._grad._array, self.state[parameter]
        self.prepare(parameter, state, group)
        steps, lr = float(state["step"]._array), float(group["lr"])
        floor = np.finfo(values.dtype).eps if group["eps"][0] is None else group["eps"][0]
        size = float(np.linalg.norm(values)) / math.sqrt(values.size)
        rate = max(group["eps"][1], size) * min(lr, 1 / math.sqrt(steps))
        values *= 1 - lr * group["weight_decay"]
        estimate = _mean_square(gradient, state, steps ** group["beta2_decay"], floor)
        change = gradient / np.sqrt(np.maximum(estimate, floor * floor))
        clip = max(1.0, float(np.linalg.norm(change)) / (math.sqrt(change.size) * group["d"]))
        values -= (-rate if group["maximize"] else rate) / clip * change

    def prepare(self, parameter: Tensor, state: dict[str, Any], group: Group) -> Group:
        """Make the averages, of rows and columns where there are any, and count the step."""
        if not state:
            state["step"] = step_count()
            if parameter.dim() > 1:
                state["row_var"], state["col_var"] = (
                    zeros_beside(parameter[..., :1]),
                    zeros_beside(parameter[..., :1, :]),
                )
            else:
                state["variance"] = zeros_beside(parameter)
        state["step"]._array += 1
        return group


def _mean_square(gradient: Array, state: dict[str, Any], weight: float, floor: float) -> Array:
    """Move the averages by *weight* and return the estimate of g² they stand for."""
    square = gradient * gradient
    if "variance" in state:
        average: Array = state["variance"]._array
        average += weight * (square - average)
        return average
    rows, columns = state["row_var"]._array, state["col_var"]._array
    rows += weight * (square.mean(-1, keepdims=True) - rows)
    columns += weight * (square.mean(-2, keepdims=True) - columns)
    return np.asarray(rows * columns / np.maximum(rows.mean(-2, keepdims=True), floor))
