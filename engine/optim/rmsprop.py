"""RMSprop: steps divided by a running average of the gradient's size."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..tensors.tensor import Tensor
from .optimizer import Array, Group, Optimizer, Parameters, check_at_least_zero, step_count, zeros_beside


class RMSprop(Optimizer):
    """p ← p - lr · g / (sqrt(v) + eps), where v ← alpha · v + (1 - alpha) · g² (Hinton 2012).

    Args:
        params: parameters or groups of them.
        lr: the learning rate (default 1e-2).
        alpha: how much of the average of g² stays (default 0.99).
        eps: keeps the divisor from 0 (default 1e-8).
        weight_decay: adds weight_decay · p to the gradient (default 0).
        momentum: how much of the last direction stays (default 0).
        centered: divide by the deviation of g instead of its size.
        capturable, foreach, differentiable: accepted as PyTorch does.
        maximize: ascend instead.

    Raises:
        ValueError: a negative option.
    """

    def __init__(
        self,
        params: Parameters,
        lr: float | Tensor = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_at_least_zero(lr=float(lr), eps=eps, momentum=momentum, weight_decay=weight_decay, alpha=alpha)
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "alpha": alpha,
            "eps": eps,
            "centered": centered,
            "weight_decay": weight_decay,
            "capturable": capturable,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def prepare(self, parameter: Tensor, state: dict[str, Any], group: Group) -> dict[str, Any]:
        """Make the averages and count the step."""
        if not state:
            state["step"] = step_count()
            state["square_avg"] = zeros_beside(parameter)
            if group["momentum"]:
                state["momentum_buffer"] = zeros_beside(parameter)
            if group["centered"]:
                state["grad_avg"] = zeros_beside(parameter)
        state["step"]._array += 1
        return group | {"lr": float(group["lr"])}

    def update(self, values: Array, gradient: Array, state: dict[str, Array], options: Any) -> None:
        """Change one parameter or a piece of one."""
        one, other = self.scratch(values, 0), self.scratch(values, 1)
        if options["maximize"]:
            gradient = np.negative(gradient, out=other)
        if options["weight_decay"]:
            gradient = np.add(gradient, np.multiply(values, options["weight_decay"], out=one), out=other)
        change = np.divide(gradient, _divisor(gradient, state, options, one), out=one)
        if options["momentum"]:
            buffer = state["momentum_buffer"]
            buffer *= options["momentum"]
            buffer += change
            change = np.multiply(buffer, options["lr"], out=one)
        else:
            change *= options["lr"]
        values -= change


def _divisor(gradient: Array, state: dict[str, Array], options: Any, spare: Array) -> Array:
    """Move the averages and return sqrt(v) + eps in the memory of *spare*."""
    square, alpha = state["square_avg"], options["alpha"]
    np.multiply(gradient, gradient, out=spare)
    spare *= 1 - alpha
    square *= alpha
    square += spare
    if options["centered"]:
        average = state["grad_avg"]
        np.subtract(gradient, average, out=spare)
        spare *= 1 - alpha
        average += spare
        np.multiply(average, average, out=spare)
        np.subtract(square, spare, out=spare)
        np.sqrt(spare, out=spare)
    else:
        np.sqrt(square, out=spare)
    spare += options["eps"]
    return spare
