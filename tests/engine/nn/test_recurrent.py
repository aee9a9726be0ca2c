"""Recurrent layers: held against their own cells step by step, and against PyTorch, weight for weight, where it is installed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import allgrad
from allgrad import nn
from allgrad.autograd import gradcheck, gradgradcheck

from .test_layers import copied

KINDS = [("RNN", "RNNCell", 1), ("GRU", "GRUCell", 1), ("LSTM", "LSTMCell", 2)]


def numbers(*shape: int, seed: int = 0) -> Any:
    return allgrad.from_numpy(np.random.default_rng(seed).standard_normal(shape))


@pytest.mark.parametrize(("layer", "cell", "states"), KINDS)
def test_a_layer_is_its_cell_step_by_step(layer: str, cell: str, states: int) -> None:
    whole = getattr(nn, layer)(3, 4, dtype=allgrad.float64)
    single = getattr(nn, cell)(3, 4, dtype=allgrad.float64)
    single.load_state_dict({name.removesuffix("_l0"): value for name, value in whole.state_dict().items()})
    x = numbers(5, 2, 3)
    output, _ = whole(x)
    state = None
    for t in range(5):
        state = single(x[t], state)
        hidden = state[0] if states == 2 else state
        np.testing.assert_allclose(output[t].detach().numpy(), hidden.detach().numpy(), rtol=1e-12)


@pytest.mark.parametrize(("layer", "cell", "states"), KINDS)
def test_packed_sequences_run_as_each_alone(layer: str, cell: str, states: int) -> None:
    net = getattr(nn, layer)(3, 4, num_layers=2, bidirectional=True, dtype=allgrad.float64)
    lengths = [2, 5, 1, 3]
    sequences = [numbers(n, 3, seed=n) for n in lengths]
    packed = nn.utils.rnn.pack_sequence(sequences, enforce_sorted=False)
    output, last = net(packed)
    padded, found = nn.utils.rnn.pad_packed_sequence(output)
    assert found.tolist() == lengths
    for i, sequence in enumerate(sequences):
        alone, own = net(sequence)
        np.testing.assert_allclose(padded[: lengths[i], i].detach().numpy(), alone.detach().numpy(), rtol=1e-10)
        assert not padded[lengths[i] :, i].any()
        for a, b in zip(last if states == 2 else [last], own if states == 2 else [own], strict=True):
            np.testing.assert_allclose(a[:, i].detach().numpy(), b.detach().numpy(), rtol=1e-10)


@pytest.mark.parametrize(("layer", "cell", "states"), KINDS)
def test_first_and_second_derivatives_are_right(layer: str, cell: str, states: int) -> None:
    net = getattr(nn, layer)(2, 2, dtype=allgrad.float64)

    def output(x: Any, weight: Any) -> Any:
        return allgrad.func.functional_call(net, {"weight_hh_l0": weight}, (x,))[0]

    inputs = (numbers(3, 1, 2).requires_grad_(), net.weight_hh_l0)
    assert gradcheck(output, inputs)
    assert gradgradcheck(output, inputs)


def test_a_sequence_of_which_only_the_first_output_counts_has_gradients() -> None:
    net = nn.LSTM(2, 3)
    x = allgrad.randn(4, 1, 2, requires_grad=True)
    net(x)[0][0].sum().backward()
    assert x.grad is not None
    assert x.grad[0].any()
    assert not x.grad[1:].any()


OPTIONS: list[tuple[str, dict[str, Any]]] = [
    ("RNN", {"nonlinearity": "relu", "num_layers": 2}),
    ("RNN", {"bias": False, "bidirectional": True}),
    ("GRU", {"batch_first": True, "num_layers": 2, "bidirectional": True}),
    ("GRU", {"bias": False}),
    ("LSTM", {"num_layers": 2, "bidirectional": True}),
    ("LSTM", {"proj_size": 2, "num_layers": 2}),
    ("LSTM", {"bias": False, "batch_first": True}),
    ("RNNCell", {"nonlinearity": "relu"}),
    ("GRUCell", {"bias": False}),
    ("LSTMCell", {}),
]


@pytest.mark.parametrize(("name", "options"), OPTIONS, ids=lambda value: str(value).replace(" ", ""))
def test_recurrent_modules_equal_pytorchs(name: str, options: dict[str, Any]) -> None:
    torch: Any = pytest.importorskip("torch")
    theirs = getattr(torch.nn, name)(3, 4, dtype=torch.float64, **options)
    ours = getattr(nn, name)(3, 4, dtype=allgrad.float64, **options)
    copied(torch, theirs, ours)
    assert repr(ours) == repr(theirs)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    values = np.random.default_rng(0).standard_normal((2, 3) if "Cell" in name else (5, 2, 3))

    def run(library: Any, net: Any) -> list[Any]:
        x = library.from_numpy(values.copy()).requires_grad_()
        result = net(x)
        tensors = [result] if isinstance(result, library.Tensor) else [result[0], *result[1]]
        sum((t * t).sum() for t in tensors).backward()
        return [*(t.detach().numpy() for t in tensors), x.grad.numpy(), *(p.grad.numpy() for p in net.parameters())]

    for found, expected in zip(run(allgrad, ours), run(torch, theirs), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


def test_dropout_between_layers_is_drawn_while_training_only() -> None:
    net = nn.GRU(3, 8, num_layers=2, dropout=0.5)
    x = allgrad.randn(6, 2, 3)
    assert not allgrad.equal(net(x)[0], net(x)[0])
    net.eval()
    assert allgrad.equal(net(x)[0], net(x)[0])


def test_dropout_in_a_single_layer_warns() -> None:
    with pytest.warns(UserWarning, match="num_layers greater than 1"):
        nn.LSTM(2, 3, dropout=0.5)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: nn.LSTM(2, 0), ValueError, "hidden_size must be greater than zero, found 0"),
        (lambda: nn.LSTM(2, 3, proj_size=3), ValueError, "proj_size has to be smaller than hidden_size"),
        (lambda: nn.LSTM(2.0, 3), TypeError, "input_size should be of type int, got: float"),
        (lambda: nn.RNN(2, 3, nonlinearity="sine"), ValueError, "Unknown nonlinearity 'sine'"),
        (lambda: nn.GRU(2, 3)(allgrad.ones(4, 1, 5)), RuntimeError, "Expected 2, got 5"),
        (lambda: nn.GRU(2, 3)(allgrad.ones(4)), ValueError, "Expected input to be 2D or 3D, got 1D"),
        (lambda: nn.GRU(2, 3)(allgrad.ones(0, 1, 2)), RuntimeError, "sequence length to be larger than 0"),
        (lambda: nn.GRU(2, 3)(allgrad.ones(4, 1, 2).double()), ValueError, "does not match weight dtype"),
        (lambda: nn.GRU(2, 3)(allgrad.ones(4, 1, 2), allgrad.ones(1, 2, 3)), RuntimeError, r"Expected hidden size \(1, 1, 3\)"),
        (lambda: nn.GRU(2, 3)(allgrad.ones(4, 1, 2), allgrad.ones(1, 3)), RuntimeError, "hx should also be 3-D"),
        (lambda: nn.GRUCell(2, 3)(allgrad.ones(4, 5)), RuntimeError, "inconsistent input_size: got 5 expected 2"),
        (lambda: nn.LSTMCell(2, 3)(allgrad.ones(1, 1, 2)), ValueError, "LSTMCell: Expected input to be 1D or 2D, got 3D"),
    ],
)  # fmt: skip
def test_wrong_options_and_inputs_are_refused(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize(("layer", "cell", "states"), KINDS)
def test_a_batch_without_sequences_gives_one_without_outputs(layer: str, cell: str, states: int) -> None:
    net = getattr(nn, layer)(2, 3, bidirectional=True)
    x = allgrad.ones(4, 0, 2, requires_grad=True)
    output, _ = net(x)
    assert output.shape == (4, 0, 6)
    output.sum().backward()
    assert x.grad is not None
    assert x.grad.shape == (4, 0, 2)
