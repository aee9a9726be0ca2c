"""Adadelta: steps in the units of the parameters, by running averages of gradients and of past steps."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..tensors.tensor import Tensor
from .optimizer import Array, Group, Optimizer, Parameters, check_at_least_zero, descent, step_count, zeros_beside


class Adadelta(Optimizer):
    """p ← p - lr · sqrt(u + eps) / sqrt(v + eps) · g, where v averages g² and u the squares of past steps.

    Zeiler 2012.

    Args:
        params: parameters or groups of them.
        lr: the learning rate (default 1).
        rho: how much of the averages stays (default 0.9).
        eps: keeps the divisor from 0 (default 1e-6).
        weight_decay: adds weight_decay · p to the gradient (default 0).
        foreach, capturable, differentiable: accepted as PyTorch does.
        maximize: ascend instead.

    Raises:
        ValueError: a negative option, or a *rho* that is not in [0, 1].
    """

    def __init__(
        self,
        params: Parameters,
        lr: float | Tensor = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        capturable: bool = False,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_at_least_zero(lr=float(lr), eps=eps, weight_decay=weight_decay)
        if not 0.0 <= rho <= 1.0:
            raise ValueError(f"Invalid rho value: {rho}")
        own = {"lr": lr, "rho": rho, "eps": eps, "weight_decay": weight_decay, "maximize": maximize}
        options = {"capturable": capturable, "foreach": foreach, "differentiable": differentiable}
        super().__init__(params, own | options)

    def prepare(self, parameter: Tensor, state: dict[str, Any], group: Group) -> dict[str, Any]:
        """Make the averages and count the step."""
        if not state:
            state["step"] = step_count()
            state["square_avg"], state["acc_delta"] = zeros_beside(parameter), zeros_beside(parameter)
        state["step"]._array += 1
        return group | {"lr": float(group["lr"])}

    def update(self, values: Array, gradient: Array, state: dict[str, Array], options: Any) -> None:
        """Change one parameter or a piece of one."""
        square, past, rho, eps = state["square_avg"], state["acc_delta"], options["rho"], options["eps"]
        gradient = descent(values, gradient, options)
        square *= rho
        square += (1 - rho) * (gradient * gradient)
        change = np.sqrt(past + eps) / np.sqrt(square + eps) * gradient
        past *= rho
        past += (1 - rho) * (change * change)
        values -= options["lr"] * change
