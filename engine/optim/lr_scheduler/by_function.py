"""Schedules that a function of the epoch states."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import FunctionType
from typing import Any

from ..optimizer import Optimizer
from .schedule import LRScheduler


class _ByFunction(LRScheduler):
    """Holds one function, or one for every group; objects that can be called are saved, functions are not."""

    def __init__(
        self,
        optimizer: Optimizer,
        lr_lambda: Callable[[int], float] | Sequence[Callable[[int], float]],
        last_epoch: int = -1,
    ) -> None:
        count = len(optimizer.param_groups)
        self.lr_lambdas = [lr_lambda] * count if callable(lr_lambda) else list(lr_lambda)
        if len(self.lr_lambdas) != count:
            raise ValueError(f"Expected {count} lr_lambdas, but got {len(self.lr_lambdas)}")
        for rule in self.lr_lambdas:
            if not callable(rule):
                raise TypeError(f"lr_lambda should be a function, but got {type(rule).__name__}")
        super().__init__(optimizer, last_epoch)

    def state_dict(self) -> dict[str, Any]:
        """Return everything but the optimizer and the functions; of objects that can be called, their attributes."""
        attributes = [None if isinstance(f, FunctionType) else dict(vars(f)) for f in self.lr_lambdas]
        return super().state_dict() | {"lr_lambdas": attributes}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take back what ``state_dict`` returned."""
        own = dict(state_dict)
        for rule, attributes in zip(self.lr_lambdas, own.pop("lr_lambdas"), strict=True):
            vars(rule).update(attributes or {})
        super().load_state_dict(own)


class LambdaLR(_ByFunction):
    """The base rate times ``lr_lambda(epoch)``: one function, or one for every group."""

    def get_lr(self) -> list[float]:
        """Return the rates for ``last_epoch``."""
        self._current()
        return [base * rule(self.last_epoch) for base, rule in zip(self.base_lrs, self.lr_lambdas, strict=True)]


class MultiplicativeLR(_ByFunction):
    """The last rate times ``lr_lambda(epoch)``: one function, or one for every group.

    Example:
        >>> import allgrad as torch
        >>> optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
        >>> schedule = torch.optim.lr_scheduler.MultiplicativeLR(optimizer, lambda epoch: 0.5)
        >>> optimizer.step()
        >>> schedule.step()
        >>> schedule.get_last_lr()
        [0.5]
    """

    def get_lr(self) -> list[float]:
        """Return the rates for ``last_epoch``."""
        rates = self._current()
        if self._is_initial:
            return rates
        return [rate * rule(self.last_epoch) for rate, rule in zip(rates, self.lr_lambdas, strict=True)]
