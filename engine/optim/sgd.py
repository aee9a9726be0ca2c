"""Stochastic gradient descent, with momentum if wanted."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..tensors.tensor import Tensor
from .optimizer import Array, Group, Optimizer, Parameters, check_at_least_zero, zeros_beside


class SGD(Optimizer):
    """p ← p - lr · g, or with momentum p ← p - lr · b where b ← momentum · b + (1 - dampening) · g.

    Args:
        params: parameters or groups of them.
        lr: the learning rate.
        momentum: how much of the last direction stays (default 0).
        dampening: how much less a new gradient counts than it would (default 0).
        weight_decay: adds weight_decay · p to the gradient (default 0).
        nesterov: look ahead along the momentum (Sutskever et al. 2013).
        maximize: ascend instead.
        foreach, differentiable, fused: accepted as PyTorch does.

    Raises:
        ValueError: a negative option, or Nesterov's momentum without momentum or with dampening.

    Example:
        >>> import allgrad as torch
        >>> w = torch.nn.Parameter(torch.tensor([1.0]))
        >>> (w * w).sum().backward()
        >>> torch.optim.SGD([w], lr=0.1).step()
        >>> w.data
        tensor([0.8000])
    """

    def __init__(
        self,
        params: Parameters,
        lr: float | Tensor = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        check_at_least_zero(lr=float(lr), momentum=momentum, weight_decay=weight_decay)
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError("Nesterov momentum requires a momentum and zero dampening")
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "maximize": maximize,
            "foreach": foreach,
            "differentiable": differentiable,
            "fused": fused,
        }
        super().__init__(params, defaults)

    def prepare(self, parameter: Tensor, state: dict[str, Any], group: Group) -> dict[str, Any]:
        """Make the momentum buffer; the first step of it is the gradient itself."""
        first = bool(group["momentum"]) and state.get("momentum_buffer") is None
        if first:
            state["momentum_buffer"] = zeros_beside(parameter)
        return group | {"lr": float(group["lr"]), "first": first}

    def update(self, values: Array, gradient: Array, state: dict[str, Array], options: Any) -> None:
        """Change one parameter or a piece of one."""
        change = self.scratch(values, 0)
        lr = options["lr"]
        if options["maximize"]:
            gradient = np.negative(gradient, out=change)
        if options["weight_decay"]:
            decay = np.multiply(values, options["weight_decay"], out=self.scratch(values, 1))
            gradient = np.add(gradient, decay, out=change)
        if options["momentum"]:
            buffer, spare = state["momentum_buffer"], self.scratch(values, 1)
            if options["first"]:
                buffer[...] = gradient
            else:
                buffer *= options["momentum"]
                kept = 1 - options["dampening"]
                buffer += gradient if kept == 1 else np.multiply(gradient, kept, out=spare)
            if options["nesterov"]:
                gradient = np.add(gradient, np.multiply(buffer, options["momentum"], out=spare), out=change)
            else:
                gradient = buffer
        values -= np.multiply(gradient, lr, out=change)
