"""LRScheduler: what every schedule of learning rates is."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

from ..optimizer import Optimizer


class LRScheduler:
    """Sets the learning rates of an optimizer's groups: a subclass computes the next ones in ``get_lr``.

    Args:
        optimizer: whose groups are set; their rates at this moment are the base rates.
        last_epoch: -1 begins; a later one resumes, given an optimizer whose state was loaded.

    Raises:
        TypeError: *optimizer* is none.
        KeyError: resuming with groups that have no "initial_lr".
    """

    _inside_step = False
    _is_initial = False

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"{type(optimizer).__name__} is not an Optimizer")
        self.optimizer = optimizer
        for i, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", group["lr"])
            elif "initial_lr" not in group:
                raise KeyError(
                    f"param 'initial_lr' is not specified in param_groups[{i}] when resuming scheduler with "
                    "last_epoch >= 0: load the optimizer's state first, or begin with last_epoch=-1"
                )
        self.base_lrs = [float(group["initial_lr"]) for group in optimizer.param_groups]
        self.last_epoch = last_epoch
        self._begin()

    def _begin(self) -> None:
        self._step_count = 0
        self._is_initial = True
        self.step()
        self._is_initial = False

    def _restart(self) -> None:
        """Begin again with the base rates."""
        for group, base in zip(self.optimizer.param_groups, self.base_lrs, strict=True):
            group["lr"] = base
        self.last_epoch = -1
        self._begin()

    def step(self, epoch: float | None = None) -> None:
        """Set the next learning rates; call it after the optimizer's ``step``.

        *epoch*, which is deprecated, jumps to the rates of that epoch.
        """
        if self._step_count == 1 and not self.optimizer._opt_called:
            warnings.warn(
                "Detected call of `lr_scheduler.step()` before `optimizer.step()`. You should call them in the opposite "
                "order: `optimizer.step()` before `lr_scheduler.step()`. Failure to do this will result in skipping the "
                "first value of the learning rate schedule.",
                UserWarning,
                stacklevel=2,
            )
        self._step_count += 1
        if epoch is None:
            self.last_epoch += 1
        else:
            warnings.warn(
                "The epoch parameter in `scheduler.step()` was not necessary and is being deprecated where possible. "
                "Please use `scheduler.step()` to step the scheduler.",
                UserWarning,
                stacklevel=2,
            )
            self.last_epoch = epoch  # type: ignore[assignment]
        self._set(self.get_lr if epoch is None else self.rates_at_epoch)

    def _set(self, rule: Callable[[], list[float]]) -> None:
        self._inside_step = True
        rates = rule()
        self._inside_step = False
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            group["lr"] = rate
        self._last_lr = rates

    def get_last_lr(self) -> list[float]:
        """Return the rates set last, one per group."""
        return self._last_lr

    def get_lr(self) -> list[float]:
        """Return the rates for ``last_epoch``, one per group."""
        raise NotImplementedError

    def rates_at_epoch(self) -> list[float]:
        """Return the rates for ``last_epoch`` by a closed form, where there is one, for jumps to an epoch."""
        return self.get_lr()

    def _current(self) -> list[float]:
        if not self._inside_step:
            warnings.warn(
                "To get the last learning rate computed by the scheduler, please use `get_last_lr()`.",
                UserWarning,
                stacklevel=3,
            )
        return [float(group["lr"]) for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """Return everything but the optimizer."""
        return {key: value for key, value in self.__dict__.items() if key not in ("optimizer", "_inside_step")}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take back what ``state_dict`` returned."""
        self.__dict__.update(state_dict)


def per_group(name: str, optimizer: Optimizer, value: float | Sequence[float]) -> list[float]:
    """Return one value of the option *name* for each of the optimizer's groups."""
    count = len(optimizer.param_groups)
    if not isinstance(value, Sequence):
        return [value] * count
    if len(value) != count:
        raise ValueError(
            f"{name} must have the same length as optimizer.param_groups. "
            f"{name} has {len(value)} values, param_groups has {count}."
        )
    return list(value)


def set_momentum(optimizer: Optimizer, group: dict[str, Any], momentum: float) -> None:
    """Set the momentum of a group, which is the first of its betas in optimizers of Adam's family."""
    if "betas" in optimizer.defaults:
        group["betas"] = (momentum, *group["betas"][1:])
    else:
        group["momentum"] = momentum


def check_has_momentum(optimizer: Optimizer) -> None:
    """ValueError unless the optimizer has a momentum that can be cycled."""
    if not {"momentum", "betas"} & optimizer.defaults.keys():
        raise ValueError("optimizer must support momentum or beta1 with `cycle_momentum` option enabled")
