"""Schedules that let the rate rise and fall: once, or again and again."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from types import FunctionType
from typing import Any

from ..optimizer import Optimizer
from .schedule import LRScheduler, check_has_momentum, per_group, set_momentum


class OneCycleLR(LRScheduler):
    """The rate rises from max_lr / *div_factor* to *max_lr*, then falls far below (Smith and Topin 2018); step per batch.

    Args:
        optimizer: whose groups are set.
        max_lr: the greatest rate, for all groups or one each.
        total_steps: steps in the cycle; or *epochs* times *steps_per_epoch*.
        epochs: see *total_steps*.
        steps_per_epoch: see *total_steps*.
        pct_start: the part of the cycle in which the rate rises (default 0.3).
        anneal_strategy: "cos" or "linear".
        cycle_momentum: let momentum, or the first beta, fall from *max_momentum* to *base_momentum* and rise again.
        base_momentum: the least momentum (default 0.85).
        max_momentum: the greatest momentum (default 0.95).
        div_factor: the first rate is max_lr / div_factor (default 25).
        final_div_factor: the last rate is the first / final_div_factor (default 1e4).
        last_epoch: as in LRScheduler.

    Raises:
        ValueError: options out of range, or more steps than the cycle has.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | Sequence[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: float = 0.85,
        max_momentum: float = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        last_epoch: int = -1,
    ) -> None:
        if total_steps is None:
            if epochs is None or steps_per_epoch is None:
                raise ValueError("You must define either total_steps OR (epochs AND steps_per_epoch)")
            total_steps = epochs * steps_per_epoch
        if not isinstance(total_steps, int) or total_steps <= 0:
            raise ValueError(f"Expected positive integer total_steps, but got {total_steps}")
        if not 0 <= pct_start <= 1:
            raise ValueError(f"Expected float between 0 and 1 pct_start, but got {pct_start}")
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(f"anneal_strategy must be one of 'cos' or 'linear', instead got {anneal_strategy}")
        if cycle_momentum:
            check_has_momentum(optimizer)
        self.total_steps = total_steps
        self.cycle_momentum = cycle_momentum
        self._peak = float(pct_start * total_steps) - 1
        self._strategy = anneal_strategy
        for group, rate in zip(optimizer.param_groups, per_group("max_lr", optimizer, max_lr), strict=True):
            if last_epoch == -1:
                first = rate / div_factor
                group.update(initial_lr=first, max_lr=rate, min_lr=first / final_div_factor)
                if cycle_momentum:
                    group.update(max_momentum=max_momentum, base_momentum=base_momentum)
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """Return the rates for ``last_epoch``, and set the groups' momentum."""
        self._current()
        if self.last_epoch > self.total_steps:
            raise ValueError(
                f"Tried to step {self.last_epoch} times. The specified number of total steps is {self.total_steps}"
            )
        rising = self.last_epoch <= self._peak
        start, end = (0.0, self._peak) if rising else (self._peak, self.total_steps - 1)
        part = (self.last_epoch - start) / (end - start)
        rates = []
        for group in self.optimizer.param_groups:
            low = group["initial_lr"] if rising else group["min_lr"]
            rates.append(self._between(low, group["max_lr"], part if rising else 1 - part))
            if self.cycle_momentum:
                momentum = self._between(group["max_momentum"], group["base_momentum"], part if rising else 1 - part)
                set_momentum(self.optimizer, group, momentum)
        return rates

    def _between(self, start: float, end: float, part: float) -> float:
        if self._strategy == "linear":
            return (end - start) * part + start
        return end + (start - end) / 2.0 * (math.cos(math.pi * part) + 1)


class CyclicLR(LRScheduler):
    """The rate rises from *base_lr* to *max_lr* and falls again, over and over (Smith 2017); step per batch.

    Args:
        optimizer: whose groups are set.
        base_lr: the least rate, for all groups or one each.
        max_lr: the greatest rate of the first cycle, for all groups or one each.
        step_size_up: batches in which the rate rises (default 2000).
        step_size_down: batches in which it falls (default *step_size_up*).
        mode: "triangular", every cycle as high as the first; "triangular2", each half as high as the one before;
            "exp_range", heights times gamma ** batches.
        gamma: see *mode* (default 1).
        scale_fn: states the height instead of *mode*: a function of the cycle, counted from 1, or of the batches.
        scale_mode: what *scale_fn* is a function of, "cycle" or "iterations".
        cycle_momentum: let momentum, or the first beta, fall from *max_momentum* to *base_momentum* and rise again.
        base_momentum: the least momentum (default 0.8).
        max_momentum: the greatest momentum (default 0.9).
        last_epoch: batches that have been seen, less one.

    Raises:
        ValueError: an unknown *mode* without *scale_fn*, or an optimizer without momentum.

    Example:
        >>> import allgrad as torch
        >>> optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1, momentum=0.9)
        >>> schedule = torch.optim.lr_scheduler.CyclicLR(optimizer, base_lr=0.0, max_lr=1.0, step_size_up=2)
        >>> for _ in range(4):
        ...     print(schedule.get_last_lr())
        ...     optimizer.step()
        ...     schedule.step()
        [0.0]
        [0.5]
        [1.0]
        [0.5]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        base_lr: float | Sequence[float],
        max_lr: float | Sequence[float],
        step_size_up: int = 2000,
        step_size_down: int | None = None,
        mode: str = "triangular",
        gamma: float = 1.0,
        scale_fn: Callable[[float], float] | None = None,
        scale_mode: str = "cycle",
        cycle_momentum: bool = True,
        base_momentum: float | Sequence[float] = 0.8,
        max_momentum: float | Sequence[float] = 0.9,
        last_epoch: int = -1,
    ) -> None:
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"{type(optimizer).__name__} is not an Optimizer")
        if mode not in ("triangular", "triangular2", "exp_range") and scale_fn is None:
            raise ValueError("mode is invalid and scale_fn is None")
        least = per_group("base_lr", optimizer, base_lr)
        self.max_lrs = per_group("max_lr", optimizer, max_lr)
        self.total_size = float(step_size_up + (step_size_up if step_size_down is None else step_size_down))
        self.step_ratio = step_size_up / self.total_size
        self.mode = mode
        self.gamma = gamma
        self.scale_mode = scale_mode if scale_fn else "iterations" if mode == "exp_range" else "cycle"
        self._scale_fn = scale_fn
        self.cycle_momentum = cycle_momentum
        if last_epoch == -1:
            for group, rate in zip(optimizer.param_groups, least, strict=True):
                group["lr"] = rate
        if cycle_momentum:
            self._prepare_momentum(optimizer, base_momentum, max_momentum, last_epoch)
        super().__init__(optimizer, last_epoch)
        self.base_lrs = least

    def _prepare_momentum(
        self, optimizer: Optimizer, base: float | Sequence[float], greatest: float | Sequence[float], last_epoch: int
    ) -> None:
        check_has_momentum(optimizer)
        self.base_momentums = per_group("base_momentum", optimizer, base)
        self.max_momentums = per_group("max_momentum", optimizer, greatest)
        if last_epoch == -1:
            for group, low, high in zip(optimizer.param_groups, self.base_momentums, self.max_momentums, strict=True):
                set_momentum(optimizer, group, high)
                group.update(max_momentum=high, base_momentum=low)

    def scale_fn(self, x: float) -> float:
        """Return the height of cycle *x*, or after *x* batches, as a part of the first one's."""
        if self._scale_fn is not None:
            return self._scale_fn(x)
        if self.mode == "exp_range":
            return float(self.gamma**x)
        return 1.0 if self.mode == "triangular" else 1 / 2.0 ** (x - 1)

    def get_lr(self) -> list[float]:
        """Return the rates for ``last_epoch``, and set the groups' momentum."""
        self._current()
        cycle = math.floor(1 + self.last_epoch / self.total_size)
        place = 1.0 + self.last_epoch / self.total_size - cycle
        part = place / self.step_ratio if place <= self.step_ratio else (place - 1) / (self.step_ratio - 1)
        height = self.scale_fn(cycle if self.scale_mode == "cycle" else self.last_epoch)
        if self.cycle_momentum:
            bounds = zip(self.base_momentums, self.max_momentums, strict=True)
            for group, (low, high) in zip(self.optimizer.param_groups, bounds, strict=True):
                set_momentum(self.optimizer, group, high - (high - low) * part * height)
        return [low + (high - low) * part * height for low, high in zip(self.base_lrs, self.max_lrs, strict=True)]

    def state_dict(self) -> dict[str, Any]:
        """Return everything but the optimizer and the function; of an object that can be called, its attributes."""
        rule = self._scale_fn
        saved = None if rule is None or isinstance(rule, FunctionType) else dict(vars(rule))
        return super().state_dict() | {"_scale_fn": saved}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take back what ``state_dict`` returned."""
        own = dict(state_dict)
        attributes = own.pop("_scale_fn")
        if attributes:
            vars(self._scale_fn).update(attributes)
        super().load_state_dict(own)
