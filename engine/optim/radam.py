"""RAdam: Adam that waits with scaling until it has seen enough gradients."""

from __future__ import annotations

import math
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


class RAdam(Optimizer):
    """Adam with its variance rectified: the first steps are those of momentum alone (Liu et al. 2020).

    Args:
        params: parameters or groups of them.
        lr: the learning rate (default 1e-3).
        betas: how much of the averages of g and g² stays (default 0.9 and 0.999).
        eps: keeps the divisor from 0 (default 1e-8).
        weight_decay: adds weight_decay · p to the gradient or, if decoupled, takes lr · weight_decay · p away.
        decoupled_weight_decay: decay as AdamW does.
        foreach, capturable, differentiable: accepted as PyTorch does.
        maximize: ascend instead.

    Raises:
        ValueError: a negative option, or betas that are not in [0, 1).
    """

    def __init__(
        self,
        params: Parameters,
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_at_least_zero(lr=float(lr), eps=eps, weight_decay=weight_decay)
        check_betas(betas)
        own = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "maximize": maximize}
        rest = {"foreach": foreach, "capturable": capturable, "differentiable": differentiable}
        super().__init__(params, own | rest | {"decoupled_weight_decay": decoupled_weight_decay})

    def prepare(self, parameter: Tensor, state: dict[str, Any], group: Group) -> dict[str, Any]:
        """Make the averages, count the step and rectify the variance; "scale" is 0 while there are too few steps."""
        if not state:
            state["step"] = step_count()
            state["exp_avg"], state["exp_avg_sq"] = zeros_beside(parameter), zeros_beside(parameter)
        state["step"]._array += 1
        steps, lr = float(state["step"]._array), float(group["lr"])
        first, second = group["betas"]
        correction = 1 - second**steps
        most = 2 / (1 - second) - 1
        length = most - 2 * steps * second**steps / correction
        scale = 0.0
        if length > 5:
            rectified = (length - 4) * (length - 2) * most / ((most - 4) * (most - 2) * length)
            scale = math.sqrt(rectified * correction)
        return group | {"lr": lr, "rate": lr / (1 - first**steps), "scale": scale}

    def update(self, values: Array, gradient: Array, state: dict[str, Array], options: Any) -> None:
        """Change one parameter or a piece of one."""
        average, square, (first, second) = state["exp_avg"], state["exp_avg_sq"], options["betas"]
        gradient = descent(values, gradient, options)
        average += (1 - first) * (gradient - average)
        square *= second
        square += (1 - second) * (gradient * gradient)
        change = options["rate"] * average
        if options["scale"]:
            change *= options["scale"] / (np.sqrt(square) + options["eps"])
        values -= change
