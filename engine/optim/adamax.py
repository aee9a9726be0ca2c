"""Adamax: Adam by the greatest gradient instead of the mean square."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..tensors.tensor import Tensor
from .optimizer import (
    Array,
    Group,
    Optimizer,
    Parameters,
    check_at_least_zero,
    check_betas,
    descent,
    step_count,
    zeros_beside,
)


class Adamax(Optimizer):
    """p ← p - lr · m̂ / u, where m averages g and u ← max(beta2 · u, |g| + eps) (Kingma and Ba 2015).

    Args:
        params: parameters or groups of them.
        lr: the learning rate (default 2e-3).
        betas: how much of m and u stays (default 0.9 and 0.999).
        eps: keeps the divisor from 0 (default 1e-8).
        weight_decay: adds weight_decay · p to the gradient (default 0).
        foreach, differentiable, capturable: accepted as PyTorch does.
        maximize: ascend instead.

    Raises:
        ValueError: a negative option, or betas that are not in [0, 1).
    """

    def __init__(
        self,
        params: Parameters,
        lr: float | Tensor = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        check_at_least_zero(lr=float(lr), eps=eps, weight_decay=weight_decay)
        check_betas(betas)
        own = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "maximize": maximize}
        options = {"foreach": foreach, "differentiable": differentiable, "capturable": capturable}
        super().__init__(params, own | options)

    def prepare(self, parameter: Tensor, state: dict[str, Any], group: Group) -> dict[str, Any]:
        """Make the averages, count the step and correct the start of m."""
        if not state:
            state["step"] = step_count()
            state["exp_avg"], state["exp_inf"] = zeros_beside(parameter), zeros_beside(parameter)
        state["step"]._array += 1
        return group | {"rate": float(group["lr"]) / (1 - group["betas"][0] ** float(state["step"]._array))}

    def update(self, values: Array, gradient: Array, state: dict[str, Array], options: Any) -> None:
        """Change one parameter or a piece of one."""
        average, greatest, (first, second) = state["exp_avg"], state["exp_inf"], options["betas"]
        gradient = descent(values, gradient, options)
        average += (1 - first) * (gradient - average)
        greatest *= second
        np.maximum(greatest, np.abs(gradient) + options["eps"], out=greatest)
        values -= options["rate"] * (average / greatest)
