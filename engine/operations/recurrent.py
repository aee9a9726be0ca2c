"""Recurrent layers: cells run over the steps of sequences, of equal or unequal lengths, in one direction or both."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..tensors.tensor import Tensor
from .dropouts import dropout as drop_out
from .pieces import pieces_of
from .recurrent_cells import CELLS, Cell, State, Weights
from .shape import cat, stack


def recurrent_layers(
    kind: str,
    rows: Tensor,
    sizes: Sequence[int],
    state: State,
    weights: Sequence[Weights],
    *,
    directions: int = 1,
    dropout: float = 0.0,
    training: bool = False,
) -> tuple[Tensor, State]:
    """All layers of a recurrent network, and their last states.

    Args:
        kind: "LSTM", "GRU", "RNN_TANH" or "RNN_RELU".
        rows: the inputs of all steps, one step after the other, (sum of *sizes*, features).
        sizes: how many sequences each step has; never more than the step before.
        state: the states before the first step, each (layers · directions, sequences, width).
        weights: those of every layer and direction, directions of a layer side by side.
        directions: 2 runs another network from the last step to the first, its output beside the other's.
        dropout: probability by which an output between layers is left out while *training*.

    Returns:
        The outputs of the last layer, in rows as the input, and the states after the last step, as *state*.
    """
    last: list[State] = []
    for number, own in enumerate(weights):
        if number and number % directions == 0:
            rows = drop_out(rows, dropout, training)
        backwards = number % directions == 1
        if not backwards:
            outputs: list[Tensor] = []
        output, final = _over_time(CELLS[kind], rows, sizes, tuple(s[number] for s in state), own, backwards)
        outputs.append(output)
        last.append(final)
        if number % directions == directions - 1:
            rows = outputs[0] if directions == 1 else cat(outputs, -1)
    return rows, tuple(stack(one, 0) for one in zip(*last, strict=True))


def _over_time(
    cell: Cell, rows: Tensor, sizes: Sequence[int], state: State, weights: Weights, backwards: bool
) -> tuple[Tensor, State]:
    """One layer in one direction: its outputs in rows, in order of time, and its last state."""
    projected = cell.project(rows, weights)
    if cell.run is not None and weights.projection is None and sizes[0] == sizes[-1]:
        stacked = projected.reshape(len(sizes), sizes[0], projected.shape[-1])
        output, final = cell.run(stacked.flip(0) if backwards else stacked, state, weights)
        return (output.flip(0) if backwards else output).reshape(rows._array.shape[0], output.shape[-1]), final
    inputs = pieces_of(projected, tuple(sizes), 0)
    steps = range(len(sizes))
    outputs: list[Any] = [None] * len(sizes)
    active = _first(state, sizes[-1]) if backwards else state
    ended: list[State] = []
    for step in reversed(steps) if backwards else steps:
        count, going = sizes[step], active[0]._array.shape[0]
        if count > going:  # backwards, the shorter sequences begin later
            active = tuple(cat([a, s[going:count]]) for a, s in zip(active, state, strict=True))
        elif count < going:  # forwards, they end earlier
            ended.append(tuple(a[count:] for a in active))
            active = _first(active, count)
        active = cell.step(inputs[step], active, weights)
        outputs[step] = active[0]
    if ended:
        active = tuple(cat(list(parts)) for parts in zip(active, *reversed(ended), strict=True))
    return cat(outputs), active


def _first(state: State, count: int) -> State:
    """*state* of the first *count* sequences."""
    return tuple(s if s._array.shape[0] == count else s[:count] for s in state)
