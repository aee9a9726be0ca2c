"""Recurrent cells: one step in time of a plain, a long short-term memory and a gated recurrent network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..kernels import recurrent as kernels
from ..registry import Array, Arrays, composite, operation
from ..registry.samples import each, on, real
from ..tensors.tensor import Tensor
from .elementwise import relu, tanh
from .linear import linear_rows
from .shape import cut


@operation(
    lambda g, weight: np.matmul(g, weight),
    lambda g, input: np.matmul(np.swapaxes(g, 0, 1), input),
    lambda g: g,
    node_name="AddmmBackward0",
    public=False,
    samples=on(real(3, 4), real(2, 4), real(3, 2)),
)
def product_added(input: Array, weight: Array, base: Array) -> Array:
    """base + input @ weightᵀ: (n, in), (out, in) and (n, out) give (n, out)."""
    product = np.matmul(input, weight.T)
    product += base
    return product


class LSTMStep(NamedTuple):
    """The next states of an LSTM, and the activated gates (n, 4 · width), which its rules need."""

    hidden: Any
    cell: Any
    gates: Any


class GRUStep(NamedTuple):
    """The next state of a GRU, and the activated gates (n, 3 · width), which its rules need."""

    hidden: Any
    gates: Any


def _parts(x: Any, count: int) -> list[Any]:
    """*x* cut into *count* equal parts along its last dimension."""
    width = tuple(x.shape)[-1] // count
    return cut(x, [width] * count, -1)


def _total(*gradients: Any) -> Any:
    """The sum of those *gradients* that are there, or None."""
    there = [g for g in gradients if g is not None]
    return sum(there[1:], there[0]) if there else None


def _cell_gradient(g: Sequence[Any], cell: Any, gates: Any) -> Any:
    """What reaches the next *cell* state: its own gradient and that of the hidden state o · tanh(cell)."""
    hidden, direct, _ = g
    if hidden is None:
        return np.zeros_like(cell) if direct is None else direct
    squashed = np.tanh(cell)
    return _total(hidden * _parts(gates, 4)[3] * (1 - squashed * squashed), direct)


def _lstm_gates_rule(g: Sequence[Any], cell: Any, y1: Any, y2: Any) -> Any:
    i, f, n, o = _parts(y2, 4)
    change = _cell_gradient(g, y1, y2)
    activated = [change * n, change * cell, change * i, np.zeros_like(y1) if g[0] is None else g[0] * np.tanh(y1)]
    if g[2] is not None:
        activated = [a + b for a, b in zip(activated, _parts(g[2], 4), strict=True)]
    slopes = (i * (1 - i), f * (1 - f), 1 - n * n, o * (1 - o))
    return np.concatenate([a * s for a, s in zip(activated, slopes, strict=True)], -1)


@operation(
    _lstm_gates_rule,
    lambda g, y1, y2: _cell_gradient(g, y1, y2) * _parts(y2, 4)[1],
    outputs=LSTMStep,
    public=False,
    node_name="LstmStepBackward0",
    samples=on(real(2, 8), real(2, 2)),
)
def lstm_gates(gates: Array, cell: Array) -> tuple[Array, Array, Array]:
    """The next hidden and cell state from *gates* (n, 4 · width: input, forget, candidate, output) and *cell*."""
    width = cell.shape[-1]
    activated = _sigmoid(gates)
    np.tanh(gates[:, 2 * width : 3 * width], out=activated[:, 2 * width : 3 * width])
    i, f, n, o = _parts(activated, 4)
    following = f * cell
    following += i * n
    return o * np.tanh(following), following, activated


class LSTMRun(NamedTuple):
    """The hidden and cell states of an LSTM at all steps (steps, n, width), and its activated gates."""

    hidden: Any
    cell: Any
    gates: Any


def _lstm_run_rule(g: Sequence[Any], parts: Sequence[Any], y0: Any, y1: Any, y2: Any) -> Sequence[Any]:
    _, hidden, cell, weight = parts
    if isinstance(y0, np.ndarray) and g[2] is None:
        return kernels.lstm_backward((g[0], g[1]), (hidden, cell), weight, (y0, y1, y2))
    steps = y0.shape[0]
    by_gates: list[Any] = [None] * steps
    by_hidden, by_cell, by_weight = np.zeros_like(hidden), np.zeros_like(cell), np.zeros_like(weight)
    for t in range(steps - 1, -1, -1):
        before = (y0[t - 1], y1[t - 1]) if t else (hidden, cell)
        arrived = [
            _total(kept, None if x is None else x[t]) for kept, x in zip((by_hidden, by_cell, None), g, strict=True)
        ]
        by_gates[t] = _lstm_gates_rule(arrived, before[1], y1[t], y2[t])
        by_cell = _cell_gradient(arrived, y1[t], y2[t]) * _parts(y2[t], 4)[1]
        by_hidden = np.matmul(by_gates[t], weight)
        by_weight = by_weight + np.matmul(np.swapaxes(by_gates[t], 0, 1), before[0])
    return np.stack(by_gates), by_hidden, by_cell, by_weight


@operation(
    _lstm_run_rule,
    outputs=LSTMRun,
    public=False,
    node_name="MkldnnRnnLayerBackward0",
    samples=on([real(3, 2, 8), real(2, 2), real(2, 2), real(8, 2)]),
)
def lstm_run(parts: Arrays) -> tuple[Array, Array, Array]:
    """An LSTM over all steps: *parts* are the projected inputs, hidden and cell state before, and the hidden weight."""
    return kernels.lstm(*parts)


def _sigmoid(x: Array) -> Array:
    """The logistic function."""
    return kernels.sigmoid(x.copy())


def _gru_slopes(g: Sequence[Any], projected: Any, hidden: Any, gates: Any) -> tuple[Any, Any, Any]:
    """The gradients of the three gates before their activation."""
    r, z, n = _parts(gates, 3)
    through = np.zeros_like(hidden) if g[0] is None else g[0]
    extra = (None, None, None) if g[1] is None else _parts(g[1], 3)
    by_n = _total(through * (1 - z), extra[2]) * (1 - n * n)
    by_z = _total(through * (hidden - n), extra[1]) * (z * (1 - z))
    by_r = _total(by_n * _parts(projected, 3)[2], extra[0]) * (r * (1 - r))
    return by_r, by_z, by_n


def _gru_projected_rule(g: Sequence[Any], projected: Any, hidden: Any, y1: Any) -> Any:
    by_r, by_z, by_n = _gru_slopes(g, projected, hidden, y1)
    return np.concatenate([by_r, by_z, by_n * _parts(y1, 3)[0]], -1)


@operation(
    lambda g, projected, hidden, y1: np.concatenate(_gru_slopes(g, projected, hidden, y1), -1),
    _gru_projected_rule,
    lambda g, hidden, y1: np.zeros_like(hidden) if g[0] is None else g[0] * _parts(y1, 3)[1],
    outputs=GRUStep,
    public=False,
    node_name="GruStepBackward0",
    samples=on(real(2, 6), real(2, 6), real(2, 2)),
)
def gru_gates(input: Array, projected: Array, hidden: Array) -> tuple[Array, Array]:
    """The next state from what the input and the *hidden* state add to the gates (n, 3 · width: reset, update, new)."""
    width = hidden.shape[-1]
    activated = np.empty_like(input)
    activated[:, : 2 * width] = _sigmoid(input[:, : 2 * width] + projected[:, : 2 * width])
    r, z, n = _parts(activated, 3)
    np.tanh(input[:, 2 * width :] + r * projected[:, 2 * width :], out=n)
    return n + z * (hidden - n), activated


class Weights(NamedTuple):
    """What one direction of one recurrent layer has learned; biases and the LSTM's projection may be missing."""

    input: Tensor
    hidden: Tensor
    input_bias: Tensor | None = None
    hidden_bias: Tensor | None = None
    projection: Tensor | None = None


State = tuple[Tensor, ...]


class Cell(NamedTuple):
    """A kind of recurrent network: what the input contributes for many steps at once, and one step."""

    project: Callable[[Tensor, Weights], Tensor]
    step: Callable[[Tensor, State, Weights], State]
    gates: int  # rows of a weight for each hidden unit
    run: Callable[[Tensor, State, Weights], tuple[Tensor, State]] | None = None  # all steps at once


def _with_both_biases(input: Tensor, weights: Weights) -> Tensor:
    bias, other = weights.input_bias, weights.hidden_bias
    return linear_rows(input, weights.input, other if bias is None else bias if other is None else bias + other)


def _with_one_bias(input: Tensor, weights: Weights) -> Tensor:
    return linear_rows(input, weights.input, weights.input_bias)


def _lstm_step(projected: Tensor, state: State, weights: Weights) -> State:
    hidden, cell, _ = lstm_gates(product_added(state[0], weights.hidden, projected), state[1])
    return (hidden if weights.projection is None else linear_rows(hidden, weights.projection)), cell


def _lstm_all_steps(projected: Tensor, state: State, weights: Weights) -> tuple[Tensor, State]:
    hidden, cell, _ = lstm_run([projected, *state, weights.hidden])
    return hidden, (hidden[-1], cell[-1])


def _gru_step(projected: Tensor, state: State, weights: Weights) -> State:
    return (gru_gates(projected, linear_rows(state[0], weights.hidden, weights.hidden_bias), state[0])[0],)


def _plain_step(activation: Callable[[Tensor], Tensor]) -> Callable[[Tensor, State, Weights], State]:
    def step(projected: Tensor, state: State, weights: Weights) -> State:
        return (activation(product_added(state[0], weights.hidden, projected)),)

    return step


CELLS = {
    "LSTM": Cell(_with_both_biases, _lstm_step, 4, _lstm_all_steps),
    "GRU": Cell(_with_one_bias, _gru_step, 3),
    "RNN_TANH": Cell(_with_both_biases, _plain_step(tanh), 1),
    "RNN_RELU": Cell(_with_both_biases, _plain_step(relu), 1),
}


def _one_step(kind: str, input: Tensor, state: State, weights: Weights) -> State:
    cell = CELLS[kind]
    width = weights.hidden._array.shape[1]
    if input._array.shape[-1] != weights.input._array.shape[1]:
        raise RuntimeError(
            f"input has inconsistent input_size: got {input._array.shape[-1]} expected {weights.input._array.shape[1]}"
        )
    for hidden in state:
        if hidden._array.shape != (input._array.shape[0], width):
            raise RuntimeError(
                f"hidden0 has inconsistent shape: got {list(hidden.shape)}, expected [{input._array.shape[0]}, {width}] "
                "(batch of the input, hidden_size)"
            )
    return cell.step(cell.project(input, weights), state, weights)


_SAMPLE = each(on(real(2, 3), real(2, 2), real(2, 3), real(2, 2), real(2), real(2)))


@composite(method=False, samples=_SAMPLE)
def rnn_tanh_cell(
    input: Tensor, hx: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor | None = None, b_hh: Tensor | None = None
) -> Tensor:
    """tanh(input @ w_ihᵀ + b_ih + hx @ w_hhᵀ + b_hh): the next state (n, hidden) of input (n, in) and *hx* (n, hidden).

    See J. L. Elman, Finding structure in time, Cognitive Science 14 (1990).
    """
    return _one_step("RNN_TANH", input, (hx,), Weights(w_ih, w_hh, b_ih, b_hh))[0]


@composite(method=False, samples=_SAMPLE)
def rnn_relu_cell(
    input: Tensor, hx: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor | None = None, b_hh: Tensor | None = None
) -> Tensor:
    """max(0, input @ w_ihᵀ + b_ih + hx @ w_hhᵀ + b_hh): the next state (n, hidden) of input (n, in) and *hx*."""
    return _one_step("RNN_RELU", input, (hx,), Weights(w_ih, w_hh, b_ih, b_hh))[0]


@composite(method=False, samples=on(real(2, 3), [real(2, 2), real(2, 2)], real(8, 3), real(8, 2), real(8), real(8)))
def lstm_cell(
    input: Tensor,
    hx: Sequence[Tensor],
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None = None,
    b_hh: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """The next hidden and cell state (n, hidden) of an LSTM, from input (n, in) and *hx*, the pair of them before.

    S. Hochreiter and J. Schmidhuber, Long short-term memory, Neural Computation 9 (1997); the gates as in F. Gers,
    J. Schmidhuber and F. Cummins, Learning to forget (2000). Weights (4 · hidden, …) hold input, forget, candidate
    and output gate in this order.
    """
    hidden, cell = _one_step("LSTM", input, tuple(hx), Weights(w_ih, w_hh, b_ih, b_hh))
    return hidden, cell


@composite(method=False, samples=on(real(2, 3), real(2, 2), real(6, 3), real(6, 2), real(6), real(6)))
def gru_cell(
    input: Tensor, hx: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor | None = None, b_hh: Tensor | None = None
) -> Tensor:
    """The next state (n, hidden) of a gated recurrent unit, from input (n, in) and the state *hx* (n, hidden) before.

    K. Cho et al., Learning phrase representations using RNN encoder-decoder (arXiv:1406.1078). Weights
    (3 · hidden, …) hold reset, update and new gate in this order.
    """
    return _one_step("GRU", input, (hx,), Weights(w_ih, w_hh, b_ih, b_hh))[0]
