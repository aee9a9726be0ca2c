"""NAdam: Adam with Nesterov's momentum."""

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


class NAdam(Optimizer):
    """Adam whose step looks ahead by the momentum that the next one will have (Dozat 2016).

    Args:
        params: parameters or groups of them.
        lr: the learning rate (default 2e-3).
        betas: how much of the averages of g and g² stays (default 0.9 and 0.999).
        eps: keeps the divisor from 0 (default 1e-8).
        weight_decay: adds weight_decay · p to the gradient or, if decoupled, takes lr · weight_decay · p away.
        momentum_decay: how fast the momentum comes to its full strength (default 4e-3).
        decoupled_weight_decay: decay as AdamW does.
        foreach, capturable, differentiable: accepted as PyTorch does.
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
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_at_least_zero(lr=float(lr), eps=eps, weight_decay=weight_decay, momentum_decay=momentum_decay)
        check_betas(betas)
        own = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "momentum_decay": momentum_decay}
        rest = {"decoupled_weight_decay": decoupled_weight_decay, "maximize": maximize, "foreach": foreach}
        super().__init__(params, own | rest | {"capturable": capturable, "differentiable": differentiable})

    def prepare(self, parameter: Tensor, state: dict[str, Any], group: Group) -> dict[str, Any]:
        """Make the averages, count the step, and weigh the gradient and the momentum."""
        if not state:
            state["step"] = step_count()
            state["mu_product"] = Tensor._wrap(np.ones((), np.float32))
            state["exp_avg"], state["exp_avg_sq"] = zeros_beside(parameter), zeros_beside(parameter)
        state["step"]._array += 1
        steps, lr = float(state["step"]._array), float(group["lr"])
        first, second = group["betas"]
        now, following = (first * (1 - 0.5 * 0.96 ** (k * group["momentum_decay"])) for k in (steps, steps + 1))
        state["mu_product"]._array *= now
        product = float(state["mu_product"]._array)
        return group | {
            "lr": lr,
            "by_gradient": lr * (1 - now) / (1 - product),
            "by_average": lr * following / (1 - product * following),
            "correction": 1 - second**steps,
        }

    def update(self, values: Array, gradient: Array, state: dict[str, Array], options: Any) -> None:
        """Change one parameter or a piece of one."""
        average, square, (first, second) = state["exp_avg"], state["exp_avg_sq"], options["betas"]
        gradient = descent(values, gradient, options)
        average += (1 - first) * (gradient - average)
        square *= second
        square += (1 - second) * (gradient * gradient)
        divisor = np.sqrt(square / options["correction"]) + options["eps"]
        values -= options["by_gradient"] * (gradient / divisor)
        values -= options["by_average"] * (average / divisor)
