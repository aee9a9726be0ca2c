"""Modules of one recurrent step."""

from __future__ import annotations

import math
from typing import Any

from ..operations import recurrent_cells as operations
from ..operations.creation import empty, zeros
from ..tensors.parameter import Parameter
from ..tensors.tensor import Tensor
from . import init
from .module import Module


class RNNCellBase(Module):
    """Weights and biases, evenly distributed over ±1 / sqrt(hidden_size) in the beginning, of *num_chunks* gates."""

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool, num_chunks: int, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__()
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.bias = bias
        rows = num_chunks * hidden_size
        self.weight_ih = Parameter(empty(rows, input_size, device=device, dtype=dtype))
        self.weight_hh = Parameter(empty(rows, hidden_size, device=device, dtype=dtype))
        self.register_parameter("bias_ih", Parameter(empty(rows, device=device, dtype=dtype)) if bias else None)
        self.register_parameter("bias_hh", Parameter(empty(rows, device=device, dtype=dtype)) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the parameters anew."""
        bound = 1 / math.sqrt(self.hidden_size) if self.hidden_size else 0
        for parameter in self.parameters():
            init.uniform_(parameter, -bound, bound)

    def _learned(self) -> tuple[Any, ...]:
        return self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh

    def _as_batch(self, input: Tensor, states: tuple[Tensor, ...] | None) -> tuple[Tensor, tuple[Tensor, ...]]:
        """*input* and *states* with a batch dimension; zeros for states that are not given."""
        name = self._get_name()
        if input.ndim not in (1, 2):
            raise ValueError(f"{name}: Expected input to be 1D or 2D, got {input.ndim}D instead")
        for state in states or ():
            if state.ndim not in (1, 2):
                raise ValueError(f"{name}: Expected hidden to be 1D or 2D, got {state.ndim}D instead")
        rows = input if input.ndim == 2 else input.unsqueeze(0)
        if states is None:
            return rows, (zeros(rows.shape[0], self.hidden_size, dtype=input.dtype),) * 2
        return rows, states if input.ndim == 2 else tuple(s.unsqueeze(0) for s in states)

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.hidden_size}{'' if self.bias else ', bias=False'}"

    def summary(self) -> str:
        return f"{self._get_name()} {self.input_size}→{self.hidden_size}"


class RNNCell(RNNCellBase):
    """tanh(input @ weight_ihᵀ + bias_ih + hidden @ weight_hhᵀ + bias_hh), or max(0, …) for *nonlinearity* "relu".

    Example:
        >>> import allgrad as torch
        >>> torch.nn.RNNCell(3, 4)(torch.zeros(2, 3)).shape
        torch.Size([2, 4])
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 1, device, dtype)
        self.nonlinearity = nonlinearity

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        """Return the next state (N, hidden) of *input* (N, in) and the state *hx* (N, hidden), or all without N."""
        rows, states = self._as_batch(input, None if hx is None else (hx,))
        if self.nonlinearity not in ("tanh", "relu"):
            raise RuntimeError(f"Unknown nonlinearity: {self.nonlinearity}: expected 'tanh' or 'relu'")
        function = operations.rnn_tanh_cell if self.nonlinearity == "tanh" else operations.rnn_relu_cell
        result = function(rows, states[0], *self._learned())
        return result if input.ndim == 2 else result.squeeze(0)

    def extra_repr(self) -> str:
        return super().extra_repr() + ("" if self.nonlinearity == "tanh" else f", nonlinearity={self.nonlinearity}")


class LSTMCell(RNNCellBase):
    """One step of a long short-term memory (S. Hochreiter and J. Schmidhuber, 1997); see ``allgrad.lstm_cell``.

    Example:
        >>> import allgrad as torch
        >>> hidden, cell = torch.nn.LSTMCell(3, 4)(torch.zeros(2, 3))
        >>> hidden.shape, cell.shape
        (torch.Size([2, 4]), torch.Size([2, 4]))
    """

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 4, device, dtype)

    def forward(self, input: Tensor, hx: tuple[Tensor, Tensor] | None = None) -> tuple[Tensor, Tensor]:
        """Return the next hidden and cell state (N, hidden) of *input* (N, in) and those before, or all without N."""
        rows, states = self._as_batch(input, hx)
        hidden, cell = operations.lstm_cell(rows, states, *self._learned())
        return (hidden, cell) if input.ndim == 2 else (hidden.squeeze(0), cell.squeeze(0))


class GRUCell(RNNCellBase):
    """One step of a gated recurrent unit (K. Cho et al., arXiv:1406.1078); see ``allgrad.gru_cell``.

    Example:
        >>> import allgrad as torch
        >>> torch.nn.GRUCell(3, 4)(torch.zeros(2, 3)).shape
        torch.Size([2, 4])
    """

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 3, device, dtype)

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        """Return the next state (N, hidden) of *input* (N, in) and the state *hx* (N, hidden), or all without N."""
        rows, states = self._as_batch(input, None if hx is None else (hx,))
        result = operations.gru_cell(rows, states[0], *self._learned())
        return result if input.ndim == 2 else result.squeeze(0)
