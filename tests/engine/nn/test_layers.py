"""Layers and losses: held against NumPy formulas, and against PyTorch, weight for weight, where it is installed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import allgrad
from allgrad import nn


def test_linear_is_a_matrix_product_and_a_shift() -> None:
    layer = nn.Linear(3, 2)
    x = allgrad.randn(5, 3)
    expected = x.numpy() @ layer.weight.detach().numpy().T + layer.bias.detach().numpy()
    np.testing.assert_allclose(layer(x).detach().numpy(), expected, rtol=1e-6)
    assert nn.Linear(3, 2, bias=False).bias is None
    assert nn.Linear(3, 2, dtype=allgrad.float64).weight.dtype is allgrad.float64


@pytest.mark.parametrize("seed", range(3))
def test_a_seed_gives_the_same_layer_every_time(seed: int) -> None:
    allgrad.manual_seed(seed)
    first = nn.Conv2d(2, 3, 3)
    allgrad.manual_seed(seed)
    second = nn.Conv2d(2, 3, 3)
    assert allgrad.equal(first.weight, second.weight)
    assert abs(first.weight.detach().numpy()).max() <= 1 / np.sqrt(18)


def test_batch_norm_learns_statistics_and_uses_them() -> None:
    layer = nn.BatchNorm1d(2)
    x = allgrad.tensor([[1.0, 10.0], [3.0, 30.0]])
    y = layer(x)
    np.testing.assert_allclose(y.detach().numpy(), [[-1, -1], [1, 1]], atol=1e-4)
    np.testing.assert_allclose(layer.running_mean.numpy(), [0.2, 2.0], rtol=1e-6)
    np.testing.assert_allclose(layer.running_var.numpy(), [0.9 + 0.2, 0.9 + 20], rtol=1e-6)
    assert layer.num_batches_tracked.item() == 1
    layer.eval()
    expected = (x.numpy() - [0.2, 2.0]) / np.sqrt(np.array([1.1, 20.9]) + 1e-5)
    np.testing.assert_allclose(layer(x).detach().numpy(), expected, rtol=1e-5)
    assert layer.num_batches_tracked.item() == 1


def test_batch_norm_of_one_value_is_refused() -> None:
    with pytest.raises(ValueError, match="Expected more than 1 value per channel when training"):
        nn.BatchNorm1d(2)(allgrad.ones(1, 2))
    with pytest.raises(ValueError, match=r"expected 4D input \(got 2D input\)"):
        nn.BatchNorm2d(2)(allgrad.ones(3, 2))


def test_dropout_leaves_out_its_part_and_keeps_the_mean() -> None:
    allgrad.manual_seed(0)
    layer = nn.Dropout(0.25)
    y = layer(allgrad.ones(40_000)).numpy()
    assert set(np.unique(y)) == {0.0, np.float32(1 / 0.75)}
    assert abs((y == 0).mean() - 0.25) < 0.01
    assert allgrad.equal(layer.eval()(allgrad.ones(5)), allgrad.ones(5))
    with pytest.raises(ValueError, match="dropout probability has to be between 0 and 1, but got 2"):
        nn.Dropout(2)


def test_the_padding_row_of_an_embedding_stays_zero() -> None:
    layer = nn.Embedding(4, 2, padding_idx=-1)
    y = layer(allgrad.tensor([[0, 3], [3, 1]]))
    assert y.shape == (2, 2, 2)
    assert not y[0, 1].any()
    y.sum().backward()
    assert layer.weight.grad is not None
    assert layer.weight.grad.tolist() == [[1, 1], [1, 1], [0, 0], [0, 0]]
    fixed = nn.Embedding.from_pretrained(allgrad.ones(3, 2))
    assert not fixed.weight.requires_grad
    with pytest.raises(AssertionError, match="Padding_idx must be within num_embeddings"):
        nn.Embedding(4, 2, padding_idx=4)


@pytest.mark.parametrize("groups", [2, 3])
def test_groups_that_do_not_divide_the_channels_are_refused(groups: int) -> None:
    with pytest.raises(ValueError, match=r"(in|out)_channels must be divisible by groups"):
        nn.Conv2d(6, 9, 3, groups=groups) if groups == 2 else nn.Conv2d(4, 9, 3, groups=groups)


IMAGES = (3, 4, 6, 6)
LAYERS: list[tuple[str, tuple[Any, ...], dict[str, Any], tuple[int, ...]]] = [
    ("Linear", (5, 3), {}, (4, 5)),
    ("Linear", (5, 3), {"bias": False}, (2, 4, 5)),
    ("Conv2d", (4, 6, 3), {}, IMAGES),
    ("Conv2d", (4, 6, (3, 2)), {"stride": 2, "padding": 1, "groups": 2}, IMAGES),
    ("Conv2d", (4, 6, 3), {"padding": "same", "dilation": 2, "bias": False}, IMAGES),
    ("MaxPool2d", (2,), {}, IMAGES),
    ("MaxPool2d", (3,), {"stride": 2, "padding": 1, "ceil_mode": True}, IMAGES),
    ("AvgPool2d", (2,), {}, IMAGES),
    ("AvgPool2d", (3,), {"stride": 2, "padding": 1, "count_include_pad": False}, IMAGES),
    ("BatchNorm1d", (4,), {}, (5, 4)),
    ("BatchNorm1d", (4,), {"affine": False}, (5, 4, 3)),
    ("BatchNorm2d", (4,), {"momentum": None}, IMAGES),
    ("BatchNorm2d", (4,), {"track_running_stats": False}, IMAGES),
    ("BatchNorm2d", (4,), {"bias": False}, IMAGES),
    ("LayerNorm", (6,), {}, IMAGES),
    ("LayerNorm", ((6, 6),), {"bias": False}, IMAGES),
    ("ReLU", (), {}, IMAGES),
    ("ReLU", (), {"inplace": True}, IMAGES),
    ("ReLU6", (), {}, IMAGES),
    ("LeakyReLU", (0.2,), {}, IMAGES),
    ("ELU", (1.5,), {}, IMAGES),
    ("SiLU", (), {}, IMAGES),
    ("Mish", (), {}, IMAGES),
    ("GELU", (), {}, IMAGES),
    ("GELU", (), {"approximate": "tanh"}, IMAGES),
    ("Sigmoid", (), {}, IMAGES),
    ("LogSigmoid", (), {}, IMAGES),
    ("Tanh", (), {}, IMAGES),
    ("Softsign", (), {}, IMAGES),
    ("Softplus", (), {"beta": 2.0, "threshold": 3.0}, IMAGES),
    ("Hardtanh", (-0.5, 0.7), {}, IMAGES),
    ("Softmax", (1,), {}, IMAGES),
    ("LogSoftmax", (-1,), {}, IMAGES),
    ("Flatten", (), {}, IMAGES),
    ("Flatten", (0, 1), {}, IMAGES),
    ("Unflatten", (1, (2, 2)), {}, IMAGES),
    ("Identity", (), {}, IMAGES),
]
LOSSES: list[tuple[str, dict[str, Any], str]] = [
    ("MSELoss", {}, "real"),
    ("L1Loss", {"reduction": "sum"}, "real"),
    ("SmoothL1Loss", {"beta": 0.7}, "real"),
    ("HuberLoss", {"delta": 0.7, "reduction": "none"}, "real"),
    ("CrossEntropyLoss", {}, "classes"),
    ("CrossEntropyLoss", {"ignore_index": 1, "label_smoothing": 0.1}, "classes"),
    ("CrossEntropyLoss", {"weight": [0.2, 1.0, 2.0], "reduction": "sum"}, "classes"),
    ("CrossEntropyLoss", {"weight": [0.2, 1.0, 2.0], "label_smoothing": 0.2}, "classes"),
    ("NLLLoss", {"weight": [0.2, 1.0, 2.0]}, "classes"),
    ("BCELoss", {}, "unit"),
    ("BCEWithLogitsLoss", {"pos_weight": [0.5, 1.0, 3.0]}, "unit"),
]


def copied(torch: Any, theirs: Any, ours: Any) -> None:
    """Give our module the state of PyTorch's."""
    ours.load_state_dict({k: allgrad.from_numpy(v.detach().numpy().copy()) for k, v in theirs.state_dict().items()})


@pytest.mark.parametrize(("name", "args", "kwargs", "shape"), LAYERS, ids=lambda value: str(value).replace(" ", ""))
def test_layers_equal_pytorchs(name: str, args: Any, kwargs: Any, shape: tuple[int, ...]) -> None:
    torch: Any = pytest.importorskip("torch")
    theirs, ours = getattr(torch.nn, name)(*args, **kwargs), getattr(nn, name)(*args, **kwargs)
    copied(torch, theirs, ours)
    assert repr(ours) == repr(theirs)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    for training in (True, True, False):
        theirs.train(training)
        ours.train(training)
        values = np.random.default_rng(0).normal(size=shape).astype(np.float32)
        a, b = torch.tensor(values, requires_grad=True), allgrad.tensor(values, requires_grad=True)
        expected, found = theirs(a * 1), ours(b * 1)
        np.testing.assert_allclose(found.detach().numpy(), expected.detach().numpy(), rtol=1e-5, atol=1e-6)
        weights = np.random.default_rng(1).normal(size=tuple(expected.shape)).astype(np.float32)
        (expected * torch.tensor(weights)).sum().backward()
        (found * allgrad.tensor(weights)).sum().backward()
        assert b.grad is not None
        np.testing.assert_allclose(b.grad.numpy(), a.grad.numpy(), rtol=1e-4, atol=1e-5)
        for p, q in zip(theirs.parameters(), ours.parameters(), strict=True):
            np.testing.assert_allclose(q.grad.numpy(), p.grad.numpy(), rtol=1e-4, atol=1e-4)
    for p, q in zip(theirs.buffers(), ours.buffers(), strict=True):
        np.testing.assert_allclose(q.numpy(), p.numpy(), rtol=1e-5)


@pytest.mark.parametrize(("name", "kwargs", "kind"), LOSSES, ids=lambda value: str(value).replace(" ", ""))
def test_losses_equal_pytorchs(name: str, kwargs: dict[str, Any], kind: str) -> None:
    torch: Any = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    values = rng.uniform(0.05, 0.95, (7, 3)).astype(np.float32)
    target: Any = rng.integers(0, 3, 7) if kind == "classes" else rng.uniform(0, 1, (7, 3)).astype(np.float32)

    def run(library: Any) -> tuple[Any, Any]:
        options = {k: library.tensor(v) if isinstance(v, list) else v for k, v in kwargs.items()}
        x = library.tensor(values, requires_grad=True)
        loss = getattr(library.nn, name)(**options)(x, library.tensor(target))
        loss.sum().backward()
        return loss.detach().numpy(), x.grad.numpy()

    for found, expected in zip(run(allgrad), run(torch), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)


def test_a_whole_network_trains_as_pytorchs_does() -> None:
    torch: Any = pytest.importorskip("torch")

    def build(library: Any) -> Any:
        net = library.nn
        return net.Sequential(
            net.Conv2d(1, 4, 3, padding=1), net.BatchNorm2d(4), net.ReLU(), net.MaxPool2d(2), net.Flatten(),
            net.Linear(64, 16), net.GELU(), net.LayerNorm(16), net.Linear(16, 10)
        )  # fmt: skip

    theirs, ours = build(torch), build(allgrad)
    copied(torch, theirs, ours)
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(32, 1, 8, 8)).astype(np.float32), rng.integers(0, 10, 32)
    losses: dict[str, list[float]] = {}
    for library, net in ((torch, theirs), (allgrad, ours)):
        optimizer = library.optim.Adam(net.parameters(), lr=1e-2)
        for _ in range(20):
            optimizer.zero_grad()
            loss = library.nn.functional.cross_entropy(net(library.tensor(x)), library.tensor(y))
            loss.backward()
            optimizer.step()
            losses.setdefault(library.__name__, []).append(loss.item())
    np.testing.assert_allclose(losses["allgrad"], losses["torch"], rtol=2e-3, atol=1e-4)
    assert losses["allgrad"][-1] < losses["allgrad"][0] / 2


def test_an_empty_batch_is_normalised_and_changes_no_statistics() -> None:
    layer = nn.BatchNorm1d(2)
    layer(allgrad.zeros(0, 2, 3)).sum().backward()
    assert layer.weight.grad.tolist() == layer.bias.grad.tolist() == layer.running_mean.tolist() == [0.0, 0.0]
    assert layer.num_batches_tracked.item() == 1
