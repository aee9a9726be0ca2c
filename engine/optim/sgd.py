"""Stochastic gradient descent, with momentum if wanted."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..tensors.tensor import Tensor
from .optimizer import Array, Group, Optimizer, Parameters, check_at_least_zero


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

    def update(self, parameter: Tensor, gradient: Array, state: dict[str, Any], group: Group) -> None:
        """Change one parameter."""
        values = parameter._array
        change = self.scratch(values, 0)
        lr = -float(group["lr"]) if group["maximize"] else float(group["lr"])
        if group["weight_decay"]:
            decay = -group["weight_decay"] if group["maximize"] else group["weight_decay"]
            gradient = np.add(gradient, np.multiply(values, decay, out=change), out=change)
        momentum = group["momentum"]
        if momentum:
            buffer = state.get("momentum_buffer")
            if buffer is None:
                buffer = state["momentum_buffer"] = Tensor._wrap(np.array(gradient))
                if group["maximize"]:
                    buffer._array *= -1
            else:
                _advance(buffer._array, gradient, momentum, group, self.scratch(values, 1))
            if group["nesterov"]:
                ahead = np.multiply(
                    buffer._array, -momentum if group["maximize"] else momentum, out=self.scratch(values, 1)
                )
                gradient = np.add(gradient, ahead, out=change)
            else:
                gradient, lr = buffer._array, float(group["lr"])
        values -= np.multiply(gradient, lr, out=change)


def _advance(buffer: Array, gradient: Array, momentum: float, group: Group, spare: Array) -> None:
    """Let *buffer* become momentum · buffer + (1 - dampening) · gradient."""
    buffer *= momentum
    factor = 1 - group["dampening"]
    if group["maximize"]:
        buffer -= np.multiply(gradient, factor, out=spare)
    elif factor == 1:
        buffer += gradient
    else:
        buffer += np.multiply(gradient, factor, out=spare)
