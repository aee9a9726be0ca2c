"""Adam and AdamW: steps scaled by running averages of the gradient and of its square."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..tensors.tensor import Tensor
from .optimizer import (
    IMPLEMENTATION_OPTIONS,
    Array,
    Group,
    Optimizer,
    Parameters,
    check_at_least_zero,
    check_betas,
    step_count,
    zeros_beside,
)


class Adam(Optimizer):
    """p ← p - lr · m̂ / (sqrt(v̂) + eps), where m and v average g and g² by *betas* and the hats correct their start.

    Kingma and Ba 2015.

    Args:
        params: parameters or groups of them.
        lr: the learning rate (default 1e-3).
        betas: how much of the averages of g and g² stays (default 0.9 and 0.999).
        eps: keeps the divisor from 0 (default 1e-8).
        weight_decay: adds weight_decay · p to the gradient or, if decoupled, takes lr · weight_decay · p away.
        amsgrad: divide by the greatest v̂ so far (Reddi et al. 2018).
        maximize: ascend instead.
        foreach, capturable, differentiable, fused: accepted as PyTorch does.
        decoupled_weight_decay: decay as AdamW does.

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
        amsgrad: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        decoupled_weight_decay: bool = False,
    ) -> None:
        check_at_least_zero(lr=float(lr), eps=eps, weight_decay=weight_decay)
        check_betas(betas)
        options = {"foreach": foreach, "capturable": capturable, "differentiable": differentiable, "fused": fused}
        own = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "amsgrad": amsgrad}
        rest = {"maximize": maximize, "decoupled_weight_decay": decoupled_weight_decay}
        super().__init__(params, own | rest | IMPLEMENTATION_OPTIONS | options)

    def prepare(self, parameter: Tensor, state: dict[str, Any], group: Group) -> dict[str, Any]:
        """Make the averages, count the step, and correct both averages' start by one factor and the epsilon."""
        if not state:
            state["step"] = step_count()
            state["exp_avg"], state["exp_avg_sq"] = zeros_beside(parameter), zeros_beside(parameter)
            if group["amsgrad"]:
                state["max_exp_avg_sq"] = zeros_beside(parameter)
        state["step"]._array += 1
        steps = float(state["step"]._array)
        (first, second), lr = group["betas"], float(group["lr"])
        scale = math.sqrt(1 - second**steps)
        return group | {"lr": lr, "rate": lr * scale / (1 - first**steps), "eps": group["eps"] * scale}

    def update(self, values: Array, gradient: Array, state: dict[str, Array], options: Any) -> None:
        """Change one parameter or a piece of one."""
        one, other = self.scratch(values, 0), self.scratch(values, 1)
        average, square, decay = state["exp_avg"], state["exp_avg_sq"], options["weight_decay"]
        if options["maximize"]:
            gradient = np.negative(gradient, out=other)
        if decay and options["decoupled_weight_decay"]:
            values *= 1 - options["lr"] * decay
        elif decay:
            gradient = np.add(gradient, np.multiply(values, decay, out=one), out=other)
        np.subtract(gradient, average, out=one)
        one *= 1 - options["betas"][0]
        average += one
        np.multiply(gradient, gradient, out=one)
        one *= 1 - options["betas"][1]
        square *= options["betas"][1]
        square += one
        if options["amsgrad"]:
            square = np.maximum(state["max_exp_avg_sq"], square, out=state["max_exp_avg_sq"])
        divisor = np.sqrt(square, out=one)
        divisor += options["eps"]
        change = np.divide(average, divisor, out=other)
        change *= options["rate"]
        values -= change


class AdamW(Adam):
    """Adam whose weight decay takes lr · weight_decay · p away, apart from the gradient (Loshchilov and Hutter 2019)."""

    def __init__(
        self,
        params: Parameters,
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, **options, decoupled_weight_decay=True)
