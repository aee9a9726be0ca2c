"""Recurrent layers: networks whose state runs along a sequence."""

from __future__ import annotations

import math
import numbers
import warnings
from typing import Any

from ..operations.creation import empty, zeros
from ..operations.indexing import index_select
from ..operations.recurrent import recurrent_layers
from ..operations.recurrent_cells import CELLS, State, Weights
from ..tensors.parameter import Parameter
from ..tensors.tensor import Tensor
from . import init
from .module import Module
from .utils.rnn import PackedSequence


def _check_options(
    input_size: Any, hidden_size: Any, num_layers: Any, bias: Any, batch_first: Any, dropout: Any, proj_size: Any
) -> None:
    if not isinstance(dropout, numbers.Number) or isinstance(dropout, bool) or not 0 <= dropout <= 1:  # type: ignore[operator]
        raise ValueError(
            "dropout should be a number in range [0, 1] representing the probability of an element being zeroed, "
            f"found {dropout!r}"
        )
    for name, flag in (("bias", bias), ("batch_first", batch_first)):
        if not isinstance(flag, bool):
            raise TypeError(f"{name} should be of type bool, got: {type(flag).__name__}")
    for name, size in (("input_size", input_size), ("hidden_size", hidden_size)):
        if not isinstance(size, int):
            raise TypeError(f"{name} should be of type int, got: {type(size).__name__}")
        if size <= 0:
            raise ValueError(f"{name} must be greater than zero, found {size}")
    if num_layers <= 0:
        raise ValueError(f"num_layers must be greater than zero, found {num_layers}")
    if proj_size < 0:
        raise ValueError("proj_size should be a positive integer or zero to disable projections")
    if proj_size >= hidden_size:
        raise ValueError(f"proj_size has to be smaller than hidden_size, found {proj_size} and {hidden_size}")


class RNNBase(Module):
    """What the recurrent layers share: their weights, and how sequences and states go in and out.

    *mode* is "RNN_TANH", "RNN_RELU", "LSTM" or "GRU".
    """

    def __init__(
        self,
        mode: str,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        _check_options(input_size, hidden_size, num_layers, bias, batch_first, dropout, proj_size)
        if mode not in CELLS:
            raise ValueError(f"Unrecognized RNN mode: {mode}: expected one of {', '.join(CELLS)}")
        if dropout > 0 and num_layers == 1:
            warnings.warn(
                "dropout option adds dropout after all but last recurrent layer, so non-zero dropout expects num_layers "
                f"greater than 1, but got dropout={dropout} and num_layers={num_layers}",
                stacklevel=3,
            )
        self.mode = mode
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.bias = bias
        self.batch_first = batch_first
        self.dropout = float(dropout)
        self.bidirectional = bidirectional
        self.proj_size = proj_size
        self._all_weights = [self._add_weights(n, device, dtype) for n in range(num_layers * self._directions)]
        self.reset_parameters()

    @property
    def _directions(self) -> int:
        return 2 if self.bidirectional else 1

    @property
    def _output_size(self) -> int:
        return self.proj_size or self.hidden_size

    def _add_weights(self, number: int, device: Any, dtype: Any) -> list[str]:
        """Make the parameters of one layer and direction; return their names."""
        layer, direction = divmod(number, self._directions)
        rows = CELLS[self.mode].gates * self.hidden_size
        wide = self._output_size * self._directions if layer else self.input_size
        shapes: dict[str, tuple[int, ...]] = {"weight_ih": (rows, wide), "weight_hh": (rows, self._output_size)}
        if self.bias:
            shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
        if self.proj_size:
            shapes["weight_hr"] = (self.proj_size, self.hidden_size)
        ending = f"_l{layer}{'_reverse' if direction else ''}"
        for name, shape in shapes.items():
            self.register_parameter(name + ending, Parameter(empty(*shape, device=device, dtype=dtype)))
        return [name + ending for name in shapes]

    def reset_parameters(self) -> None:
        """Draw the parameters anew, evenly over ±1 / sqrt(hidden_size)."""
        bound = 1 / math.sqrt(self.hidden_size)
        for parameter in self.parameters():
            init.uniform_(parameter, -bound, bound)

    @property
    def all_weights(self) -> list[list[Parameter]]:
        """The parameters of every layer and direction."""
        return [[getattr(self, name) for name in names] for names in self._all_weights]

    def flatten_parameters(self) -> None:
        """Do nothing: the parameters need no order in memory. For programs that call it for the sake of GPUs."""

    def _weights(self) -> list[Weights]:
        sets = []
        for own in self.all_weights:
            input_bias, hidden_bias = own[2:4] if self.bias else (None, None)
            sets.append(Weights(own[0], own[1], input_bias, hidden_bias, own[-1] if self.proj_size else None))
        return sets

    def _run(self, input: Any, states: State | None, widths: tuple[int, ...]) -> tuple[Any, State]:
        """The outputs, packed as the input is, and the last states; *widths* are those of the states."""
        if isinstance(input, PackedSequence):
            return self._run_packed(input, states, widths)
        if input.ndim not in (2, 3):
            raise ValueError(f"{self._get_name()}: Expected input to be 2D or 3D, got {input.ndim}D instead")
        batched = input.ndim == 3
        for state in states or ():
            if state.ndim != input.ndim:
                raise RuntimeError(
                    f"For {'batched 3-D' if batched else 'unbatched 2-D'} input, hx should also be {input.ndim}-D but got "
                    f"{state.ndim}-D tensor"
                )
        if not batched:
            input = input.unsqueeze(1)
            states = None if states is None else tuple(s.unsqueeze(1) for s in states)
        elif self.batch_first:
            input = input.transpose(0, 1)
        steps, batch, features = input.shape
        self._check_input(input)
        if not steps:
            raise RuntimeError("Expected sequence length to be larger than 0 in RNN")
        rows, last = self._through_layers(input.reshape(steps * batch, features), (batch,) * steps, states, widths)
        output = rows.reshape(steps, batch, rows.shape[-1])
        if not batched:
            return output.squeeze(1), tuple(s.squeeze(1) for s in last)
        return (output.transpose(0, 1) if self.batch_first else output), last

    def _run_packed(self, input: PackedSequence, states: State | None, widths: tuple[int, ...]) -> tuple[Any, State]:
        self._check_input(input.data)
        if states is not None and input.sorted_indices is not None:
            states = tuple(index_select(s, 1, input.sorted_indices) for s in states)
        rows, last = self._through_layers(input.data, tuple(input.batch_sizes.tolist()), states, widths)
        if input.unsorted_indices is not None:
            last = tuple(index_select(s, 1, input.unsorted_indices) for s in last)
        return PackedSequence(rows, *input[1:]), last

    def _through_layers(
        self, rows: Tensor, sizes: tuple[int, ...], states: State | None, widths: tuple[int, ...]
    ) -> tuple[Tensor, State]:
        expected = [(self.num_layers * self._directions, sizes[0], width) for width in widths]
        if states is None:
            states = tuple(zeros(*shape, dtype=rows.dtype) for shape in expected)
        for name, state, shape in zip(("hidden", "cell"), states, expected, strict=False):
            if tuple(state.shape) != shape:
                where = "hidden size" if len(widths) == 1 else f"hidden[{0 if name == 'hidden' else 1}] size"
                raise RuntimeError(
                    f"Expected {where} {shape}, got {list(state.shape)} (layers · directions, batch, width)"
                )
        return recurrent_layers(
            self.mode, rows, sizes, states, self._weights(),
            directions=self._directions, dropout=self.dropout, training=self.training,
        )  # fmt: skip

    def _check_input(self, input: Tensor) -> None:
        dtype = self.all_weights[0][0].dtype
        if input.dtype != dtype:
            raise ValueError(
                f"RNN input dtype ({input.dtype}) does not match weight dtype ({dtype}). Convert input: input.to({dtype}), "
                f"or convert model: model.to({input.dtype})"
            )
        if input.shape[-1] != self.input_size:
            raise RuntimeError(
                f"input.size(-1) must be equal to input_size. Expected {self.input_size}, got {input.shape[-1]}"
            )

    def extra_repr(self) -> str:
        options = {
            "proj_size": (self.proj_size, 0),
            "num_layers": (self.num_layers, 1),
            "bias": (self.bias, True),
            "batch_first": (self.batch_first, False),
            "dropout": (self.dropout, 0),
            "bidirectional": (self.bidirectional, False),
        }
        named = [f", {name}={value}" for name, (value, usual) in options.items() if value != usual]
        return f"{self.input_size}, {self.hidden_size}" + "".join(named)

    def summary(self) -> str:
        return f"{self._get_name()} {self.input_size}→{self.hidden_size}"


class RNN(RNNBase):
    """Plain recurrent layers: h' = tanh(x @ weight_ihᵀ + bias_ih + h @ weight_hhᵀ + bias_hh).

    Args:
        input_size: features of the sequence.
        hidden_size: width of the state.
        num_layers: layers, each of which takes the outputs of the one before.
        nonlinearity: "tanh" or "relu".
        bias: learn the biases.
        batch_first: sequences are (N, L, features), not (L, N, features); states stay (…, N, hidden).
        dropout: probability by which an output between layers is left out while training.
        bidirectional: each layer has a second network that runs backwards, its output beside the other's.

    Raises:
        ValueError, TypeError: options that make no sense.

    Example:
        >>> import allgrad as torch
        >>> output, last = torch.nn.RNN(3, 4, num_layers=2)(torch.zeros(5, 2, 3))
        >>> output.shape, last.shape
        (torch.Size([5, 2, 4]), torch.Size([2, 2, 4]))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        if nonlinearity not in ("tanh", "relu"):
            raise ValueError(f"Unknown nonlinearity '{nonlinearity}'. Select from 'tanh' or 'relu'.")
        self.nonlinearity = nonlinearity
        super().__init__(
            f"RNN_{nonlinearity.upper()}", input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional,
            device=device, dtype=dtype,
        )  # fmt: skip

    def forward(self, input: Any, hx: Tensor | None = None) -> tuple[Any, Tensor]:
        """Return the last layer's outputs (L, N, directions · hidden) and the last states (layers · directions, N, hidden).

        *input* is (L, N, features), (L, features) without a batch, or a PackedSequence; *hx* the states before, or
        zeros. RuntimeError or ValueError where shapes or types do not fit.
        """
        output, states = self._run(input, None if hx is None else (hx,), (self.hidden_size,))
        return output, states[0]


class GRU(RNNBase):
    """Layers of gated recurrent units (K. Cho et al., arXiv:1406.1078).

    The arguments are those of ``RNN`` without *nonlinearity*.

    Example:
        >>> import allgrad as torch
        >>> output, last = torch.nn.GRU(3, 4, bidirectional=True)(torch.zeros(5, 2, 3))
        >>> output.shape, last.shape
        (torch.Size([5, 2, 8]), torch.Size([2, 2, 4]))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            "GRU", input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional,
            device=device, dtype=dtype,
        )  # fmt: skip

    def forward(self, input: Any, hx: Tensor | None = None) -> tuple[Any, Tensor]:
        """Return the last layer's outputs (L, N, directions · hidden) and the last states; see ``RNN.forward``."""
        output, states = self._run(input, None if hx is None else (hx,), (self.hidden_size,))
        return output, states[0]


class LSTM(RNNBase):
    """Layers of long short-term memory (S. Hochreiter and J. Schmidhuber, Neural Computation 9, 1997).

    The arguments are those of ``RNN`` without *nonlinearity*, and *proj_size*: the width to which the hidden state is
    projected before it goes on, less than hidden_size; 0 leaves it as it is (H. Sak et al., arXiv:1402.1128).

    Example:
        >>> import allgrad as torch
        >>> output, (hidden, cell) = torch.nn.LSTM(3, 4, batch_first=True)(torch.zeros(2, 5, 3))
        >>> output.shape, hidden.shape, cell.shape
        (torch.Size([2, 5, 4]), torch.Size([1, 2, 4]), torch.Size([1, 2, 4]))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            "LSTM", input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, proj_size,
            device, dtype,
        )  # fmt: skip

    def forward(self, input: Any, hx: tuple[Tensor, Tensor] | None = None) -> tuple[Any, tuple[Tensor, Tensor]]:
        """Return the last layer's outputs (L, N, directions · width) and the last hidden and cell states.

        *input* is (L, N, features), (L, features) without a batch, or a PackedSequence; *hx* the hidden and the cell
        states before, (layers · directions, N, width) and (…, hidden), or zeros. RuntimeError or ValueError where
        shapes or types do not fit.
        """
        output, (hidden, cell) = self._run(input, hx, (self._output_size, self.hidden_size))
        return output, (hidden, cell)
