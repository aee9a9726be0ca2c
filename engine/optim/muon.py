"""Muon: momentum made orthogonal, for the matrices inside a network."""

from __future__ import annotations

import math

import numpy as np

from ..tensors.tensor import Tensor
from .optimizer import Array, Group, Optimizer, Parameters, check_at_least_zero, zeros_beside


class Muon(Optimizer):
    """p ← (1 - lr · weight_decay) · p - rate · O, where O is the nearest orthogonal matrix to the momentum.

    Jordan 2024. Newton and Schulz's iteration finds O up to singular values between about 0.5 and 1.5.

    Args:
        params: matrices or groups of them; train biases, embeddings and the last layer by another optimizer.
        lr: the learning rate (default 1e-3).
        weight_decay: how much of p is taken away (default 0.1).
        momentum: how much of the last direction stays (default 0.95).
        nesterov: look ahead by the momentum (default).
        ns_coefficients: those of the iteration's polynomial of fifth degree.
        eps: keeps the norm that is divided by from 0 (default 1e-7).
        ns_steps: the number of iterations, below 100 (default 5).
        adjust_lr_fn: "original" (None) multiplies the rate by sqrt(max(1, rows / columns)), "match_rms_adamw" by
            0.2 · sqrt(max(rows, columns)), so that the rates of AdamW fit.

    Raises:
        ValueError: a negative option, a parameter that is no matrix, or an unknown *adjust_lr_fn*.
    """

    def __init__(
        self,
        params: Parameters,
        lr: float = 1e-3,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_coefficients: tuple[float, float, float] = (3.4445, -4.775, 2.0315),
        eps: float = 1e-7,
        ns_steps: int = 5,
        adjust_lr_fn: str | None = None,
    ) -> None:
        check_at_least_zero(lr=float(lr), momentum=momentum, weight_decay=weight_decay)
        if adjust_lr_fn not in (None, "original", "match_rms_adamw"):
            raise ValueError(f"Adjust learning rate function {adjust_lr_fn} is not supported")
        own = {"lr": lr, "weight_decay": weight_decay, "momentum": momentum, "nesterov": nesterov, "eps": eps}
        iteration = {"ns_coefficients": ns_coefficients, "ns_steps": ns_steps, "adjust_lr_fn": adjust_lr_fn}
        super().__init__(params, own | iteration)
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.ndim != 2:
                    raise ValueError(
                        f"Muon only supports 2D parameters whereas we found a parameter with size: {parameter.size()}"
                    )

    def _change(self, parameter: Tensor, group: Group) -> None:
        """Apply the rule to the whole of one matrix."""
        if parameter.is_complex():
            raise ValueError("Complex parameters are not supported")
        assert parameter._grad is not None
        values, gradient, state = parameter._array, parameter._grad._array, self.state[parameter]
        if not state:
            state["momentum_buffer"] = zeros_beside(parameter)
        average, momentum, lr = state["momentum_buffer"]._array, group["momentum"], float(group["lr"])
        average += (1 - momentum) * (gradient - average)
        change = gradient + momentum * (average - gradient) if group["nesterov"] else average
        rows, columns = values.shape
        factor = math.sqrt(max(1, rows / columns))
        if group["adjust_lr_fn"] == "match_rms_adamw":
            factor = 0.2 * math.sqrt(max(rows, columns))
        values *= 1 - lr * group["weight_decay"]
        values -= lr * factor * _orthogonal(change, group)


def _orthogonal(matrix: Array, options: Group) -> Array:
    """Return the matrix with its singular values brought near 1."""
    if options["ns_steps"] >= 100:
        raise ValueError("Number of steps must be less than 100 for computational efficiency")
    if len(options["ns_coefficients"]) != 3:
        raise ValueError("Coefficients must be a tuple of exactly 3 values")
    a, b, c = options["ns_coefficients"]
    found = matrix.T if matrix.shape[0] > matrix.shape[1] else matrix
    found = found / max(float(np.linalg.norm(found)), options["eps"])
    for _ in range(options["ns_steps"]):
        gram = found @ found.T
        found = a * found + (b * gram + c * (gram @ gram)) @ found
    return np.asarray(found.T if matrix.shape[0] > matrix.shape[1] else found)
