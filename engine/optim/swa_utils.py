"""Averages of a model's weights over training, and the schedule and statistics that go with them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy
from itertools import chain
from typing import Any

from .. import dtypes
from ..nn.module import Module
from ..nn.normalization import _BatchNorm
from ..operations.creation import tensor
from ..tape.mode import no_grad
from ..tensors.tensor import Tensor
from .lr_scheduler import LRScheduler
from .lr_scheduler.schedule import per_group
from .optimizer import Optimizer

Average = Callable[[Tensor, Tensor, Any], Tensor]
AverageOfAll = Callable[[list[Tensor], list[Tensor], Any], None]


def get_swa_avg_fn() -> Average:
    """Return the rule of the equal average: averaged + (current - averaged) / (count + 1)."""

    @no_grad()
    def average(averaged: Tensor, current: Tensor, count: Any) -> Tensor:
        change: Tensor = (current - averaged) / (count + 1)
        return averaged + change

    return average


def get_ema_avg_fn(decay: float = 0.999) -> Average:
    """Return the rule of the exponential average: decay · averaged + (1 - decay) · current. ValueError beyond [0, 1]."""
    if not 0.0 <= decay <= 1.0:
        raise ValueError(f"Invalid decay value {decay} provided. Please provide a value in [0,1] range.")

    @no_grad()
    def average(averaged: Tensor, current: Tensor, count: Any) -> Tensor:
        return decay * averaged + (1 - decay) * current

    return average


def _of_all(rule: Average) -> AverageOfAll:
    """Return a rule for lists of tensors, which are changed in place."""

    @no_grad()
    def average(averaged: list[Tensor], current: list[Tensor], count: Any) -> None:
        for mean, value in zip(averaged, current, strict=True):
            mean.copy_(rule(mean, value, count))

    return average


def get_swa_multi_avg_fn() -> AverageOfAll:
    """Return the rule of the equal average for lists of tensors, which it changes in place."""
    return _of_all(get_swa_avg_fn())


def get_ema_multi_avg_fn(decay: float = 0.999) -> AverageOfAll:
    """Return the rule of the exponential average for lists of tensors, which it changes in place."""
    return _of_all(get_ema_avg_fn(decay))


class AveragedModel(Module):
    """A copy of a model whose weights are the average of those the model had (Izmailov et al. 2018).

    Args:
        model: the model that is trained; it is copied.
        device: "cpu" or None.
        avg_fn: ``avg_fn(averaged, current, count)`` gives the new average; the default is the equal average.
        multi_avg_fn: the same for lists of tensors, in place; one of the two may be given.
        use_buffers: average the buffers too, which are copied otherwise.

    Raises:
        AssertionError: both rules are given.

    Example:
        >>> import allgrad as torch
        >>> model = torch.nn.Linear(1, 1, bias=False)
        >>> averaged = torch.optim.swa_utils.AveragedModel(model)
        >>> for value in (1.0, 2.0, 6.0):
        ...     _ = torch.nn.init.constant_(model.weight, value)
        ...     averaged.update_parameters(model)
        >>> averaged.module.weight.item()
        3.0
    """

    n_averaged: Tensor

    def __init__(
        self,
        model: Module,
        device: Any = None,
        avg_fn: Average | None = None,
        multi_avg_fn: AverageOfAll | None = None,
        use_buffers: bool = False,
    ) -> None:
        super().__init__()
        if avg_fn is not None and multi_avg_fn is not None:
            raise AssertionError("Only one of avg_fn and multi_avg_fn should be provided")
        self.module = deepcopy(model) if device is None else deepcopy(model).to(device)
        self.register_buffer("n_averaged", tensor(0, dtype=dtypes.int64))
        self.avg_fn = avg_fn
        self.multi_avg_fn = multi_avg_fn
        self.use_buffers = use_buffers

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Return what the averaged model computes."""
        return self.module(*args, **kwargs)

    def update_parameters(self, model: Module) -> None:
        """Take the present weights of *model* into the average."""
        averaged, current = (self._averaged_of(m) for m in (self.module, model))
        if int(self.n_averaged) == 0:
            _copy(averaged, current)
        elif self.multi_avg_fn is not None:
            self.multi_avg_fn(averaged, current, self.n_averaged)
        else:
            _of_all(self.avg_fn or get_swa_avg_fn())(averaged, current, self.n_averaged)
        if not self.use_buffers:
            _copy(list(self.module.buffers()), list(model.buffers()))
        self.n_averaged.add_(1)

    def _averaged_of(self, model: Module) -> list[Tensor]:
        return [t.detach() for t in chain(model.parameters(), model.buffers() if self.use_buffers else ())]


def _copy(targets: list[Tensor], sources: list[Tensor]) -> None:
    for target, source in zip(targets, sources, strict=True):
        target.detach().copy_(source.detach())


@no_grad()
def update_bn(loader: Iterable[Any], model: Module, device: Any = None) -> None:
    """Compute the running statistics of a model's batch norms anew over *loader*, as an average of all batches.

    Args:
        loader: batches; of a list or tuple the first is taken.
        model: is called on each batch in training mode, and left in the mode it was in.
        device: "cpu" or None.
    """
    momenta = {module: module.momentum for module in model.modules() if isinstance(module, _BatchNorm)}
    if not momenta:
        return
    was_training = model.training
    model.train()
    for module in momenta:
        module.reset_running_stats()
        module.momentum = None
    for batch in loader:
        first = batch[0] if isinstance(batch, list | tuple) else batch
        model(first if device is None else first.to(device))
    for module, momentum in momenta.items():
        module.momentum = momentum
    model.train(was_training)


class SWALR(LRScheduler):
    """The rate goes from its present value to *swa_lr* in *anneal_epochs*, and stays there.

    Args:
        optimizer: whose groups are set.
        swa_lr: the rate to reach, for all groups or one each.
        anneal_epochs: how long it takes (default 10).
        anneal_strategy: along half a cosine, "cos", or a line, "linear".
        last_epoch: as in LRScheduler.

    Raises:
        ValueError: an unknown strategy or a negative number of epochs.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        swa_lr: float | Sequence[float],
        anneal_epochs: int = 10,
        anneal_strategy: str = "cos",
        last_epoch: int = -1,
    ) -> None:
        for rate, group in zip(per_group("swa_lr", optimizer, swa_lr), optimizer.param_groups, strict=True):
            group["swa_lr"] = rate
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(f"anneal_strategy must be one of 'cos' or 'linear', instead got {anneal_strategy}")
        if not isinstance(anneal_epochs, int) or anneal_epochs < 0:
            raise ValueError(f"anneal_epochs must be equal or greater than 0, got {anneal_epochs}")
        self.anneal_epochs = anneal_epochs
        self._anneal_strategy = anneal_strategy
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """Return the rates for the next epoch; the part of the way comes from how far the last one was."""
        rates = self._current()
        step = self._step_count - 1 if self.anneal_epochs else max(1, self._step_count - 1)
        before, now = self._part(step - 1), self._part(step)
        found = []
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            goal = group["swa_lr"]
            first = goal if before == 1 else (rate - before * goal) / (1 - before)
            found.append(goal * now + first * (1 - now))
        return found

    def _part(self, step: int) -> float:
        """Return how much of the way is behind after *step* epochs."""
        part = max(0.0, min(1.0, step / max(1, self.anneal_epochs)))
        return part if self._anneal_strategy == "linear" else (1 - math.cos(math.pi * part)) / 2
