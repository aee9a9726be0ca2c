"""Finite differences, and how a sample of an operation is called: what the registry's tests are made of."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import allgrad
from allgrad import Tensor
from allgrad.registry import OPERATIONS, Operation, Sample

Array = np.ndarray[Any, Any]


def samples_of(name: str) -> list[Sample]:
    """The samples of operation *name*, always the same ones."""
    op = OPERATIONS[name]
    assert op.samples is not None
    return list(op.samples(np.random.default_rng(7)))


def with_tensors(value: Any, found: list[Tensor], requires_grad: bool) -> Any:
    """*value* with its arrays made tensors; those of floating type are noted in *found*."""
    if isinstance(value, np.ndarray):
        made = allgrad.from_numpy(value.copy())
        if value.dtype.kind in "fc":
            found.append(made.requires_grad_(requires_grad))
        return made
    if isinstance(value, list) and value and isinstance(value[0], np.ndarray):
        return [with_tensors(v, found, requires_grad) for v in value]
    return value


def call(op: Operation, sample: Sample, requires_grad: bool = True) -> tuple[list[Tensor], Callable[[], Any]]:
    """The floating-point tensors of *sample*, and the call of *op* on them."""
    tensors: list[Tensor] = []
    args = []
    for name, value in zip(op.parameters + ("rest",) * 9, sample.args, strict=False):
        attribute = op.differentiable and name not in op.operands
        args.append(value if attribute else with_tensors(value, tensors, requires_grad))
    kwargs = {k: v if k not in op.operands and op.differentiable else with_tensors(v, tensors, requires_grad)
              for k, v in sample.kwargs.items()}  # fmt: skip
    function = op.call if sample.around is None else sample.around(op.call)
    return tensors, lambda: function(*args, **kwargs)


def floating_outputs(result: Any) -> list[Tensor]:
    """The tensors of *result* that a gradient can come from."""
    listed = result if isinstance(result, (tuple, list)) else (result,)
    return [t for t in listed if isinstance(t, Tensor) and t.is_floating_point()]


def weighted_sum(outputs: list[Tensor]) -> Tensor:
    """One number made of all elements of *outputs*, each with another weight."""
    total = allgrad.zeros((), dtype=allgrad.float64)
    for t in outputs:
        weights = np.asarray(np.cos(np.arange(t.numel(), dtype=np.float64)).reshape(tuple(t.shape)) + 0.3)
        total = total + (t * allgrad.from_numpy(weights)).sum()
    return total


def numeric_gradient(function: Callable[[], float], array: Array, step: float = 1e-6) -> Array:
    """The derivative of *function* by every element of *array*, by central differences; *array* is put back."""
    result = np.zeros_like(array)
    flat, out = array.reshape(-1), result.reshape(-1)
    for i in range(flat.size):
        kept = flat[i]
        flat[i] = kept + step
        above = function()
        flat[i] = kept - step
        below = function()
        flat[i] = kept
        out[i] = (above - below) / (2 * step)
    return result


def differentiable_samples() -> Iterator[tuple[str, int]]:
    """Every operation with samples, and the number of each sample."""
    for name, op in OPERATIONS.items():
        if op.samples is not None:
            for i in range(len(samples_of(name))):
                yield name, i
