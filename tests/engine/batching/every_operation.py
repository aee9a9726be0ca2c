"""Each sample of each operation as a function of its tensors, to be mapped over a batch of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import allgrad
from allgrad import Tensor
from allgrad.registry import Operation, Sample


class Case(NamedTuple):
    """*function* takes *points*, the tensors of the sample, and returns the floating-point tensors that it gives."""

    function: Callable[..., tuple[Tensor, ...]]
    points: list[Tensor]

    @property
    def differentiable(self) -> tuple[int, ...]:
        """The numbers of those points that are of floating type."""
        return tuple(i for i, p in enumerate(self.points) if p.is_floating_point())

    def batches(self) -> list[Tensor]:
        """For each point, three in a batch: itself, and two a little nearer to zero, or in another order if it is of integers."""
        return [
            allgrad.from_numpy(np.stack([p.numpy(), _other(p.numpy(), 0.93), _other(p.numpy(), 0.97)]))
            for p in self.points
        ]

    def rows(self, batched: list[bool]) -> list[list[Tensor]]:
        """The points of each of the three entries, where those of the batches are taken that *batched* says."""
        batches = self.batches()
        return [[b[i] if own else p for b, p, own in zip(batches, self.points, batched, strict=True)] for i in range(3)]


def _other(array: Any, factor: float) -> Any:
    return array * factor if array.dtype.kind in "fc" else array.reshape(-1)[::-1].reshape(array.shape)


class _Point(NamedTuple):
    number: int


def case_of(op: Operation, sample: Sample) -> Case:
    """*sample* of *op*, with a place for each tensor."""
    points: list[Tensor] = []

    def noted(value: Any) -> Any:
        if isinstance(value, np.ndarray):
            points.append(allgrad.from_numpy(value.copy()))
            return _Point(len(points) - 1)
        if isinstance(value, list) and value and isinstance(value[0], np.ndarray):
            return [noted(v) for v in value]
        return value

    def attribute(name: str) -> bool:
        return op.differentiable and name not in op.operands

    args = [
        v if attribute(name) else noted(v) for name, v in zip(op.parameters + ("rest",) * 9, sample.args, strict=False)
    ]
    kwargs = {name: v if attribute(name) else noted(v) for name, v in sample.kwargs.items()}
    call = op.call if sample.around is None else sample.around(op.call)

    def function(*given: Tensor) -> tuple[Tensor, ...]:
        def filled(value: Any) -> Any:
            if isinstance(value, _Point):
                return given[value.number]
            return [filled(v) for v in value] if isinstance(value, list) else value

        result = call(*map(filled, args), **{name: filled(v) for name, v in kwargs.items()})
        listed = result if isinstance(result, (tuple, list)) else (result,)
        return tuple(t for t in listed if isinstance(t, Tensor) and t.is_floating_point())

    return Case(function, points)
