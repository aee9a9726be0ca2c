"""ReduceLROnPlateau: the rate falls when a metric no longer improves."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..optimizer import Optimizer
from .schedule import LRScheduler


class ReduceLROnPlateau(LRScheduler):
    """The rate times *factor* when a metric has not improved for more than *patience* epochs.

    Args:
        optimizer: whose groups are set.
        mode: "min" if less is better, "max" if more is.
        factor: below 1 (default 0.1).
        patience: epochs without improvement that are borne (default 10).
        threshold: the least improvement that counts, relative ("rel") or absolute ("abs") by *threshold_mode*.
        cooldown: epochs to wait after a reduction (default 0).
        min_lr: the least rate, for all groups or one each (default 0).
        eps: smaller changes are not made (default 1e-8).
    """

    def __init__(
        self,
        optimizer: Optimizer,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: float | Sequence[float] = 0,
        eps: float = 1e-8,
    ) -> None:
        if factor >= 1.0:
            raise ValueError("Factor should be < 1.0.")
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"{type(optimizer).__name__} is not an Optimizer")
        if mode not in ("min", "max"):
            raise ValueError(f"mode {mode} is unknown!")
        if threshold_mode not in ("rel", "abs"):
            raise ValueError(f"threshold mode {threshold_mode} is unknown!")
        count = len(optimizer.param_groups)
        self.optimizer = optimizer
        self.min_lrs = list(min_lr) if isinstance(min_lr, Sequence) else [min_lr] * count
        if len(self.min_lrs) != count:
            raise ValueError(f"expected {count} min_lrs, got {len(self.min_lrs)}")
        self.mode = mode
        self.factor = factor
        self.patience = patience
        self.threshold = threshold
        self.threshold_mode = threshold_mode
        self.cooldown = cooldown
        self.eps = eps
        self.last_epoch = 0
        self.best = math.inf if mode == "min" else -math.inf
        self.cooldown_counter = 0
        self.num_bad_epochs = 0
        self._last_lr = [float(group["lr"]) for group in optimizer.param_groups]

    def step(self, metrics: Any) -> None:  # type: ignore[override]
        """Take note of the metric (a number or 0-d tensor) of one more epoch, and reduce the rate if it is time."""
        current = float(metrics)
        self.last_epoch += 1
        if self._improves(current):
            self.best = current
            self.num_bad_epochs = 0
        else:
            self.num_bad_epochs += 1
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            self._reduce()
            self.cooldown_counter = self.cooldown
            self.num_bad_epochs = 0
        self._last_lr = [float(group["lr"]) for group in self.optimizer.param_groups]

    def _improves(self, current: float) -> bool:
        margin = abs(self.threshold) if self.threshold_mode == "abs" else None
        sign = 1 if self.mode == "max" else -1
        if margin is None:
            return sign * current > sign * self.best * (1 + sign * self.threshold)
        return sign * current > sign * self.best + self.threshold

    def _reduce(self) -> None:
        for group, least in zip(self.optimizer.param_groups, self.min_lrs, strict=True):
            reduced = max(float(group["lr"]) * self.factor, least)
            if float(group["lr"]) - reduced > self.eps:
                group["lr"] = reduced
