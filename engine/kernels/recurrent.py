"""A long short-term memory run over all steps of its sequences, and its gradients."""

from __future__ import annotations

from typing import Any

import numpy as np

from .loops import loops

Array = np.ndarray[Any, Any]


def _loops(projected: Array, *others: Array) -> Any:
    return loops("recurrent", projected, *others) if projected.dtype == np.float32 else None


def lstm(projected: Array, hidden: Array, cell: Array, weight: Array) -> tuple[Array, Array, Array]:
    """Hidden states, cell states (each (steps, n, width)) and activated gates (steps, n, 4 · width) of all steps.

    *projected* (steps, n, 4 · width) is what the inputs contribute to the gates (input, forget, candidate, output),
    *hidden* and *cell* (n, width) the states before, *weight* (4 · width, width) what the hidden state contributes.
    """
    faster = _loops(projected, hidden, cell)
    steps, n, _ = projected.shape
    outputs, cells = (np.empty((steps, *cell.shape), projected.dtype) for _ in range(2))
    gates = np.empty(projected.shape, projected.dtype)
    by = np.ascontiguousarray(weight.T)
    product = np.empty((n, by.shape[1]), projected.dtype)
    step = lstm_step if faster is None else faster.lstm_step
    for t in range(steps):
        np.matmul(hidden, by, out=product)
        step(product, projected[t], cell, gates[t], cells[t], outputs[t])
        hidden, cell = outputs[t], cells[t]
    return outputs, cells, gates


def lstm_step(product: Array, projected: Array, before: Array, gates: Array, cell: Array, hidden: Array) -> None:
    """Fill *gates*, *cell* and *hidden* of one step, by NumPy."""
    width = cell.shape[1]
    np.add(product, projected, out=gates)
    squashed = np.tanh(gates[:, 2 * width : 3 * width])
    sigmoid(gates)
    gates[:, 2 * width : 3 * width] = squashed
    i, f, o = gates[:, :width], gates[:, width : 2 * width], gates[:, 3 * width :]
    np.multiply(f, before, out=cell)
    squashed *= i
    cell += squashed
    np.tanh(cell, out=hidden)
    hidden *= o


def sigmoid(x: Array) -> Array:
    """The logistic function, written over *x*, by the hyperbolic tangent, which cannot overflow."""
    x *= x.dtype.type(0.5)
    np.tanh(x, out=x)
    x *= 0.5
    x += 0.5
    return x


def lstm_backward(
    grads: tuple[Array | None, Array | None],
    before: tuple[Array, Array],
    weight: Array,
    states: tuple[Array, Array, Array],
) -> tuple[Array, Array, Array, Array]:
    """The gradients of the projected inputs, the hidden and cell state before, and the weight.

    *grads* are those of the hidden and of the cell states of all steps, *states* what ``lstm`` returned.
    """
    outputs, cells, gates = states
    by_projected = np.empty(gates.shape, gates.dtype)
    by_hidden, by_cell = (np.zeros(cells.shape[1:], cells.dtype) for _ in range(2))
    faster = _loops(gates, *before)
    step = lstm_step_backward if faster is None else faster.lstm_step_backward
    for t in range(len(gates) - 1, -1, -1):
        for total, grad in zip((by_hidden, by_cell), grads, strict=True):
            if grad is not None:
                total += grad[t]
        step(gates[t], cells[t - 1] if t else before[1], cells[t], by_hidden, by_cell, by_projected[t])
        np.matmul(by_projected[t], weight, out=by_hidden)
    flat = by_projected.reshape(-1, gates.shape[-1])
    _, n, width = outputs.shape
    by_weight = flat[:n].T @ before[0]
    by_weight += flat[n:].T @ outputs[:-1].reshape(-1, width)
    return by_projected, by_hidden, by_cell, by_weight


def lstm_step_backward(
    gates: Array, before: Array, cell: Array, by_hidden: Array, by_cell: Array, by_gates: Array
) -> None:
    """Fill *by_gates* and turn *by_cell* into the gradient of the cell state *before*, by NumPy."""
    width = cell.shape[1]
    i, f, c, o = (gates[:, k * width : (k + 1) * width] for k in range(4))
    squashed = np.tanh(cell)
    by_gates[:, 3 * width :] = by_hidden * squashed
    squashed *= squashed
    np.subtract(1, squashed, out=squashed)
    squashed *= o
    squashed *= by_hidden
    by_cell += squashed
    np.multiply(by_cell, c, out=by_gates[:, :width])
    np.multiply(by_cell, before, out=by_gates[:, width : 2 * width])
    np.multiply(by_cell, i, out=by_gates[:, 2 * width : 3 * width])
    slopes = 1 - gates
    slopes *= gates
    slopes[:, 2 * width : 3 * width] = 1 - c * c
    by_gates *= slopes
    by_cell *= f
