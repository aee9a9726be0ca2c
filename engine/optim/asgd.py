"""ASGD: stochastic descent that also keeps the average of the parameters."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..tensors.tensor import Tensor
from .optimizer import Array, Group, Optimizer, Parameters, check_at_least_zero, descent, step_count, zeros_beside


class ASGD(Optimizer):
    """p ← (1 - lambd · eta) · p - eta · g, where eta falls; ``state[p]["ax"]`` is the average of p from step *t0* on.

    Polyak and Juditsky 1992.

    Args:
        params: parameters or groups of them.
        lr: the learning rate at the start (default 1e-2).
        lambd: how much of p is taken away at each step (default 1e-4).
        alpha: the power by which eta falls (default 0.75).
        t0: the step from which p is averaged (default 1e6).
        weight_decay: adds weight_decay · p to the gradient (default 0).
        foreach, differentiable, capturable: accepted as PyTorch does.
        maximize: ascend instead.

    Raises:
        ValueError: a negative *lr* or *weight_decay*.
    """

    def __init__(
        self,
        params: Parameters,
        lr: float | Tensor = 1e-2,
        lambd: float = 1e-4,
        alpha: float = 0.75,
        t0: float = 1e6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        check_at_least_zero(lr=float(lr), weight_decay=weight_decay)
        own = {"lr": lr, "lambd": lambd, "alpha": alpha, "t0": t0, "weight_decay": weight_decay, "maximize": maximize}
        options = {"foreach": foreach, "differentiable": differentiable, "capturable": capturable}
        super().__init__(params, own | options)

    def prepare(self, parameter: Tensor, state: dict[str, Any], group: Group) -> dict[str, Any]:
        """Make the average, count the step, and let eta and the weight of this step in the average fall for the next."""
        if not state:
            state["step"] = step_count()
            state["eta"] = Tensor._wrap(np.array(float(group["lr"]), np.float32))
            state["mu"] = Tensor._wrap(np.ones((), np.float32))
            state["ax"] = zeros_beside(parameter)
        state["step"]._array += 1
        steps, lr = float(state["step"]._array), float(group["lr"])
        now = {"eta": float(state["eta"]._array), "mu": float(state["mu"]._array)}
        state["eta"]._array[...] = lr / (1 + group["lambd"] * lr * steps) ** group["alpha"]
        state["mu"]._array[...] = 1 / max(1, steps - group["t0"])
        return group | now

    def update(self, values: Array, gradient: Array, state: dict[str, Array], options: Any) -> None:
        """Change one parameter or a piece of one."""
        average, eta = state["ax"], options["eta"]
        gradient = descent(values, gradient, options)
        values *= 1 - options["lambd"] * eta
        values -= eta * gradient
        if options["mu"] == 1:
            average[...] = values
        else:
            average += options["mu"] * (values - average)
