"""One virtual shard's forward pass, loss and backward pass, with random numbers, buffers and gradients of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import allgrad
from allgrad import Tensor
from allgrad.autograd.graph import set_gradient_destination
from allgrad.random import Stream

from .pieces import piece
from .rows import Row
from .shard_buffers import BufferCopies, ShardBuffers


@dataclass
class Outcome:
    """What a shard came to: how many samples it has, its loss and the dtype of that, and what else was measured."""

    samples: int
    loss: float
    dtype: Any
    metrics: dict[str, float]


class ShardPass:
    """Computes the loss of the samples *which* of *batch*, which have *weight* among all samples of the step.

    It may be left between `enter` and its end, for another shard to run, and entered again.
    """

    def __init__(
        self,
        loss_of: Callable[..., Any],
        batch: Sequence[Any],
        which: slice,
        weight: float,
        stream: tuple[tuple[int, int], tuple[int, int]],
        parameters: Sequence[Tensor],
        buffers: ShardBuffers,
    ) -> None:
        self._loss_of, self._batch, self._which, self._weight = loss_of, batch, which, weight
        self._stream = Stream(*stream)
        self._parameters = parameters
        self._gradients: list[Tensor | None] = [None] * len(parameters)
        self._row: Row | None = None
        self.copies = BufferCopies(buffers)
        self.used = [False] * len(parameters)
        self.outcome: Outcome | None = None

    def enter(self) -> None:
        """Give the model this shard's buffers and gradients, and all random numbers its stream."""
        self.copies.__enter__()
        self._stream.__enter__()
        if self._row is not None:
            for parameter, view, gradient in zip(self._parameters, self._row.views, self._gradients, strict=False):
                parameter.grad = None
                set_gradient_destination(parameter, view)
                parameter.grad = gradient

    def leave(self) -> None:
        """Take them away again, and keep them."""
        if self._row is not None:
            self._gradients = [parameter.grad for parameter in self._parameters]
            for parameter in self._parameters:
                parameter.grad = None
                set_gradient_destination(parameter, None)
        self._stream.__exit__(None, None, None)
        self.copies.__exit__(None, None, None)

    def measure(self) -> None:
        """Compute the loss alone."""
        self.enter()
        try:
            with allgrad.no_grad():
                self._measure()
        finally:
            self.leave()

    def learn(self, row: Row) -> None:
        """Compute the loss and its gradients; write these, and the changes of the buffers, into *row*."""
        self._row = row
        self.enter()
        try:
            loss = self._measure()
            loss.backward(allgrad.full_like(loss, self._weight))
        finally:
            self.leave()
        for number, gradient in enumerate(self._gradients):
            self.used[number] = gradient is not None
            if gradient is None:
                row.clear(number)
            elif gradient.detach().numpy() is not row.views[number]:
                # A hook has replaced it.
                row.views[number][...] = gradient.detach().numpy()
        self.copies.write_changes(row.views[len(self._parameters) :], self._weight)

    def _measure(self) -> Tensor:
        result = self._loss_of(*piece(list(self._batch), self._which))
        loss, metrics = result if isinstance(result, tuple) and len(result) == 2 else (result, {})
        if not isinstance(loss, Tensor) or loss.numel() != 1 or not isinstance(metrics, Mapping):
            found = f"a Tensor of shape {tuple(loss.shape)}" if isinstance(loss, Tensor) else type(loss).__name__
            raise TypeError(
                f"the loss function returned {found}: it is to return the mean loss of its samples, a Tensor with one "
                "element, or that and a dict of metrics"
            )
        numbers = {name: float(value.item() if hasattr(value, "item") else value) for name, value in metrics.items()}
        samples = self._which.stop - self._which.start
        self.outcome = Outcome(samples, float(loss.item()), loss.dtype, numbers)
        return loss
