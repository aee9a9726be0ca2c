"""Adagrad: steps divided by the size of all gradients so far."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..tensors.tensor import Tensor
from .optimizer import Array, Group, Optimizer, Parameters, check_at_least_zero, step_count


class Adagrad(Optimizer):
    """p ← p - lr / (1 + steps · lr_decay) · g / (sqrt(sum of g²) + eps) (Duchi et al. 2011).

    Args:
        params: parameters or groups of them.
        lr: the learning rate (default 1e-2).
        lr_decay: how fast it falls (default 0).
        weight_decay: adds weight_decay · p to the gradient (default 0).
        initial_accumulator_value: where the sums begin (default 0).
        eps: keeps the divisor from 0 (default 1e-10).
        foreach, differentiable, fused: accepted as PyTorch does.
        maximize: ascend instead.

    Raises:
        ValueError: a negative option.
    """

    def __init__(
        self,
        params: Parameters,
        lr: float | Tensor = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        check_at_least_zero(
            lr=float(lr),
            lr_decay=lr_decay,
            weight_decay=weight_decay,
            initial_accumulator_value=initial_accumulator_value,
            eps=eps,
        )
        defaults = {
            "lr": lr,
            "lr_decay": lr_decay,
            "eps": eps,
            "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "fused": fused,
        }
        super().__init__(params, defaults)
        for group in self.param_groups:
            for parameter in group["params"]:
                value = group["initial_accumulator_value"]
                both = complex(value, value) if parameter.is_complex() else value
                start = np.full(parameter.shape, both, parameter.dtype.numpy)
                self.state[parameter] = {
                    "step": step_count(),
                    "sum": Tensor._wrap(start),
                }

    def prepare(self, parameter: Tensor, state: dict[str, Any], group: Group) -> dict[str, Any]:
        """Count the step, and let the rate fall by it."""
        state["step"]._array += 1
        decayed = float(group["lr"]) / (1 + (float(state["step"]._array) - 1) * group["lr_decay"])
        return group | {"lr": decayed}

    def update(self, values: Array, gradient: Array, state: dict[str, Array], options: Any) -> None:
        """Change one parameter or a piece of one."""
        one, other = self.scratch(values, 0), self.scratch(values, 1)
        if options["maximize"]:
            gradient = np.negative(gradient, out=other)
        if options["weight_decay"]:
            gradient = np.add(gradient, np.multiply(values, options["weight_decay"], out=one), out=other)
        total = state["sum"]
        total += np.multiply(gradient, gradient, out=one)
        divisor = np.sqrt(total, out=one)
        divisor += options["eps"]
        change = np.divide(gradient, divisor, out=one)
        change *= options["lr"]
        values -= change
