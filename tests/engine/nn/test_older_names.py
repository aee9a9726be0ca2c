"""Modules that PyTorch keeps for older scripts, and those that other rooms lend."""

from __future__ import annotations

from typing import Any

import pytest

import allgrad
from allgrad import dist, nn


def test_a_buffer_registers_itself_and_is_replaced_by_tensors() -> None:
    module = nn.Module()
    module.kept = nn.Buffer(allgrad.ones(2))
    module.passing = nn.Buffer(allgrad.ones(2), persistent=False)
    assert [name for name, _ in module.named_buffers()] == ["kept", "passing"]
    assert list(module.state_dict()) == ["kept"]
    assert not list(module.parameters())
    module.kept = allgrad.zeros(2)
    assert list(module.state_dict()) == ["kept"]
    assert isinstance(nn.Buffer(), nn.Buffer)
    assert type(nn.Buffer(allgrad.ones(2)) + 1) is allgrad.Tensor
    with pytest.raises(AttributeError, match="cannot assign buffers before"):
        nn.Module.__new__(nn.Module).kept = nn.Buffer()


def test_cross_map_norm_takes_as_many_channels_on_both_sides() -> None:
    x = allgrad.tensor([1.0, 2.0, 3.0, 4.0]).reshape(1, 4, 1, 1)
    found = nn.CrossMapLRN2d(4, alpha=4.0, beta=1.0, k=0.0)(x).flatten()
    assert found.tolist() == pytest.approx([1 / 5, 2 / 14, 3 / 29, 4 / 25])


def test_cross_map_norm_of_odd_size_is_local_response_norm() -> None:
    x = allgrad.arange(8.0).reshape(1, 4, 2, 1)
    assert allgrad.allclose(nn.CrossMapLRN2d(3)(x), nn.LocalResponseNorm(3)(x))
    assert repr(nn.CrossMapLRN2d(3)) == "CrossMapLRN2d(3, alpha=0.0001, beta=0.75, k=1)"


def test_the_older_name_of_nll_loss_warns() -> None:
    with pytest.warns(FutureWarning, match="NLLLoss2d has been deprecated"):
        loss = nn.NLLLoss2d(ignore_index=1)
    logs = allgrad.log_softmax(allgrad.ones(1, 3, 2, 2), 1)
    target = allgrad.ones(1, 2, 2, dtype=allgrad.int64)
    target[0, 0, 0] = 2
    assert loss(logs, target).item() == pytest.approx(1.0986, rel=1e-4)


def test_data_parallel_on_the_cpu_is_the_module_under_a_name() -> None:
    inner = nn.Linear(2, 1)
    model = nn.DataParallel(inner)
    assert list(model.state_dict()) == ["module.weight", "module.bias"]
    assert allgrad.equal(model(allgrad.ones(3, 2)), inner(allgrad.ones(3, 2)))
    with pytest.raises(RuntimeError, match=r"allgrad\.dist\.DataParallel on several ranks"):
        nn.DataParallel(inner, device_ids=[0, 1])


def test_what_the_ranks_lend_is_found_where_pytorch_has_it() -> None:
    assert nn.SyncBatchNorm is dist.SyncBatchNorm
    assert allgrad.utils.data.DistributedSampler is dist.DistributedSampler
    assert allgrad.distributed is dist
    for module in (allgrad, nn, allgrad.utils.data):
        with pytest.raises(AttributeError, match="has no attribute 'unheard_of'"):
            _ = module.unheard_of


def test_a_cell_base_holds_as_many_gates_as_it_is_told() -> None:
    assert nn.RNNCellBase(2, 3, True, num_chunks=4).weight_ih.shape == (12, 2)
    assert isinstance(nn.LSTMCell(2, 3), nn.RNNCellBase)


def test_the_loss_of_a_linear_layer_is_the_cross_entropy_of_its_logits() -> None:
    x = allgrad.randn(4, 3)
    loss = nn.LinearCrossEntropyLoss(3, 5, bias=True, weight=allgrad.arange(1.0, 6.0), label_smoothing=0.1)
    target = allgrad.tensor([0, 4, 2, -100])
    expected = nn.functional.cross_entropy(loss.linear(x), target, loss.weight, label_smoothing=0.1)
    assert allgrad.allclose(loss(x, target), expected)
    chances = allgrad.softmax(allgrad.randn(4, 5), 1)
    expected = nn.functional.cross_entropy(loss.linear(x), chances, loss.weight, label_smoothing=0.1)
    assert allgrad.allclose(loss(x, chances), expected)
    assert allgrad.allclose(loss(x[0], target[0]), nn.functional.cross_entropy(
        loss.linear(x[0]), target[0], loss.weight, label_smoothing=0.1))  # fmt: skip


def test_several_predictions_of_one_example_equal_pytorchs() -> None:
    torch: Any = pytest.importorskip("torch")
    found = []
    for library in (torch, allgrad):
        loss = library.nn.LinearCrossEntropyLoss(3, 4, out_features=(2,), bias=True, reduction="none", ignore_index=1)
        with library.no_grad():
            for parameter in loss.parameters():
                parameter.copy_(library.arange(float(parameter.numel())).reshape(parameter.shape).sin())
        found.append(loss(library.ones(2, 3), library.tensor([[0, 1], [2, 3]])).detach().numpy())
    assert found[1] == pytest.approx(found[0], rel=1e-5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda f, x: f(x[None], allgrad.ones(2, 3), None), "expected input with dimensionality 1 or 2, got 3"),
        (lambda f, x: f(x, allgrad.ones(3), None), "expected linear_weight with dimensionality at least 2, got 1"),
        (lambda f, x: f(x, allgrad.ones(2, 4), None), "expected equal input and linear_weight last dimensions"),
        (lambda f, x: f(x, allgrad.ones(2, 3), None, linear_bias=allgrad.ones(3)), "expected linear_bias shape"),
        (lambda f, x: f(x[0], allgrad.ones(2, 2, 3), None), "requires batched input"),
        (
            lambda f, x: f(x, allgrad.ones(2, 3), allgrad.ones(4, 2), ignore_index=1),
            "ignore_index cannot be specified when target contains probabilities",
        ),
        (lambda f, x: f(x, allgrad.ones(2, 3), None, options="chunks"), "leave options=None"),
        (lambda f, x: nn.LinearCrossEntropyLoss(2, 3, weight=allgrad.ones(2)), "expected weight shape to be"),
        (lambda f, x: nn.LinearCrossEntropyLoss(2, 3, label_smoothing=2), "expected label_smoothing to be in range"),
    ],
)
def test_shapes_that_do_not_fit_raise_pytorchs_errors(make: Any, message: str) -> None:
    with pytest.raises(RuntimeError, match=message):
        make(nn.functional.linear_cross_entropy, allgrad.ones(4, 3))
