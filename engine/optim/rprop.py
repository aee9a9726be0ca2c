"""Rprop: steps by the sign of the gradient, each element with a size of its own."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..tensors.tensor import Tensor
from .optimizer import Array, Group, Optimizer, Parameters, check_at_least_zero, step_count, zeros_beside


class Rprop(Optimizer):
    """p ← p - size · sign(g), where the size grows while the sign stays and shrinks when it turns.

    Riedmiller and Braun 1993. Made for full batches.

    Args:
        params: parameters or groups of them.
        lr: the first size of a step (default 1e-2).
        etas: what the size is multiplied by when the sign turns, and when it stays (default 0.5 and 1.2).
        step_sizes: the least and the greatest size (default 1e-6 and 50).
        capturable, foreach, differentiable: accepted as PyTorch does.
        maximize: ascend instead.

    Raises:
        ValueError: a negative *lr*, or *etas* that are not on both sides of 1.
    """

    def __init__(
        self,
        params: Parameters,
        lr: float | Tensor = 1e-2,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50),
        *,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_at_least_zero(lr=float(lr))
        if not 0.0 < etas[0] < 1.0 < etas[1]:
            raise ValueError(f"Invalid eta values: {etas[0]}, {etas[1]}")
        own = {"lr": lr, "etas": etas, "step_sizes": step_sizes, "foreach": foreach, "maximize": maximize}
        super().__init__(params, own | {"differentiable": differentiable, "capturable": capturable})

    def prepare(self, parameter: Tensor, state: dict[str, Any], group: Group) -> Group:
        """Make the sizes and count the step."""
        if not state:
            state["step"] = step_count()
            state["prev"] = zeros_beside(parameter)
            lr = float(group["lr"])
            both = complex(lr, lr) if parameter.is_complex() else lr
            state["step_size"] = Tensor._wrap(np.full(parameter.shape, both, parameter._array.dtype))
        state["step"]._array += 1
        return group

    def update(self, values: Array, gradient: Array, state: dict[str, Array], options: Any) -> None:
        """Change one parameter or a piece of one."""
        previous, size, (shrinking, growing) = state["prev"], state["step_size"], options["etas"]
        if options["maximize"]:
            gradient = -gradient
        agreement = np.sign(gradient * previous)
        turned = agreement < 0
        size *= np.where(agreement > 0, growing, np.where(turned, shrinking, 1)).astype(size.dtype, copy=False)
        np.clip(size, *options["step_sizes"], out=size)
        previous[...] = np.where(turned, 0, gradient)
        values -= np.sign(previous) * size
