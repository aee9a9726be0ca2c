"""The loss modules pass on what their functions take, in PyTorch's order."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import allgrad
import allgrad.nn.functional as F
from allgrad import nn

from .test_layers import copied

RNG = np.random.default_rng(0)
X, Y, Z = (allgrad.from_numpy(RNG.standard_normal((4, 3))) for _ in range(3))
SIGNS = allgrad.tensor([1.0, -1.0, 1.0, -1.0]).double()
CLASSES = allgrad.tensor([0, 2, 1, 2])
WEIGHT = allgrad.tensor([0.2, 1.0, 2.0]).double()
LOGS = F.log_softmax(allgrad.from_numpy(RNG.standard_normal((5, 1, 3))), 2)

MODULES: list[tuple[Any, tuple[Any, ...], Any]] = [
    (nn.KLDivLoss(reduction="batchmean", log_target=True), (X, Y), F.kl_div(X, Y, None, None, "batchmean", True)),
    (nn.PoissonNLLLoss(False, True), (Y.abs(), Z.abs()), F.poisson_nll_loss(Y.abs(), Z.abs(), False, True)),
    (nn.GaussianNLLLoss(full=True), (X, Y, Z.abs()), F.gaussian_nll_loss(X, Y, Z.abs(), full=True)),
    (nn.SoftMarginLoss(reduction="sum"), (X, Y.sign()), F.soft_margin_loss(X, Y.sign(), reduction="sum")),
    (nn.MarginRankingLoss(0.5), (X[:, 0], Y[:, 0], SIGNS), F.margin_ranking_loss(X[:, 0], Y[:, 0], SIGNS, 0.5)),
    (nn.HingeEmbeddingLoss(0.5), (X[:, 0], SIGNS), F.hinge_embedding_loss(X[:, 0], SIGNS, 0.5)),
    (nn.CosineEmbeddingLoss(0.1), (X, Y, SIGNS), F.cosine_embedding_loss(X, Y, SIGNS, 0.1)),
    (nn.MultiMarginLoss(2, 0.5, WEIGHT), (X, CLASSES), F.multi_margin_loss(X, CLASSES, 2, 0.5, WEIGHT)),
    (nn.MultiLabelMarginLoss(), (X[0], CLASSES[:3]), F.multilabel_margin_loss(X[0], CLASSES[:3])),
    (nn.MultiLabelSoftMarginLoss(WEIGHT), (X, Y), F.multilabel_soft_margin_loss(X, Y, WEIGHT)),
    (nn.TripletMarginLoss(2.0, 1.0, swap=True), (X, Y, Z), F.triplet_margin_loss(X, Y, Z, 2.0, 1.0, swap=True)),
    (
        nn.TripletMarginWithDistanceLoss(distance_function=F.cosine_similarity, margin=2.0),
        (X, Y, Z),
        F.triplet_margin_with_distance_loss(X, Y, Z, distance_function=F.cosine_similarity, margin=2.0),
    ),
    (
        nn.CTCLoss(blank=2, reduction="sum"),
        (LOGS, allgrad.tensor([[0, 1]]), (5,), (2,)),
        F.ctc_loss(LOGS, allgrad.tensor([[0, 1]]), (5,), (2,), 2, "sum"),
    ),
    (nn.CrossEntropyLoss(WEIGHT, None, 1), (X, CLASSES), F.cross_entropy(X, CLASSES, WEIGHT, ignore_index=1)),
    (nn.NLLLoss(WEIGHT, False), (X, CLASSES), F.nll_loss(X, CLASSES, WEIGHT, reduction="sum")),
    (nn.MSELoss(False), (X, Y), F.mse_loss(X, Y, reduction="sum")),
    (nn.SmoothL1Loss(None, False, beta=0.5), (X, Y), F.smooth_l1_loss(X, Y, reduction="none", beta=0.5)),
    (nn.PairwiseDistance(1.0, 0.5, True), (X, Y), F.pairwise_distance(X, Y, 1.0, 0.5, True)),
    (nn.CosineSimilarity(0, 0.5), (X, Y), F.cosine_similarity(X, Y, 0, 0.5)),
]


@pytest.mark.parametrize(
    ("module", "inputs", "expected"), MODULES, ids=lambda v: str(v) if isinstance(v, nn.Module) else ""
)
def test_a_module_is_its_function(module: Any, inputs: tuple[Any, ...], expected: Any) -> None:
    assert allgrad.equal(module(*inputs), expected)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nn.MultiMarginLoss(p=3), "p == 1 and p == 2"),
        (lambda: nn.MultiMarginLoss(weight=allgrad.ones(2, 2)), "weight must be a vector"),
        (lambda: nn.TripletMarginLoss(margin=0.0), "margin must be greater than 0"),
        (lambda: nn.AdaptiveLogSoftmaxWithLoss(4, 5, []), "larger than 0"),
        (lambda: nn.AdaptiveLogSoftmaxWithLoss(4, 5, [3, 2]), "increasing order"),
        (lambda: nn.AdaptiveLogSoftmaxWithLoss(4, 5, [5]), "between 1 and n_classes-1"),
    ],
)
def test_options_that_make_no_sense_are_refused(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_the_adaptive_softmax_is_a_distribution_whose_loss_its_probabilities_give() -> None:
    layer = nn.AdaptiveLogSoftmaxWithLoss(8, 10, [3, 6], div_value=2.0, dtype=allgrad.float64)
    x, target = allgrad.from_numpy(RNG.standard_normal((6, 8))), allgrad.tensor([0, 9, 4, 2, 6, 5])
    every = layer.log_prob(x)
    np.testing.assert_allclose(every.exp().sum(1).detach().numpy(), 1, rtol=1e-12)
    output, loss = layer(x, target)
    np.testing.assert_allclose(output.detach().numpy(), every.gather(1, target[:, None])[:, 0].detach().numpy())
    assert loss.item() == pytest.approx(-output.mean().item())
    assert layer.predict(x).tolist() == every.argmax(1).tolist()
    assert layer(x[0], target[0]).output.shape == ()
    with pytest.raises(RuntimeError, match=r"should be in \[0, 9\]"):
        layer(x, target + 1)


def test_the_adaptive_softmax_equals_pytorchs() -> None:
    torch: Any = pytest.importorskip("torch")
    theirs = torch.nn.AdaptiveLogSoftmaxWithLoss(8, 10, [3, 6], 2.0, True, dtype=torch.float64)
    ours = nn.AdaptiveLogSoftmaxWithLoss(8, 10, [3, 6], 2.0, True, dtype=allgrad.float64)
    copied(torch, theirs, ours)
    assert repr(ours) == repr(theirs)
    x, target = RNG.standard_normal((6, 8)), np.array([0, 9, 4, 2, 6, 5])

    def run(library: Any, layer: Any) -> list[Any]:
        rows = library.from_numpy(x.copy()).requires_grad_()
        output, loss = layer(rows, library.from_numpy(target))
        loss.backward()
        return [output.detach().numpy(), loss.item(), rows.grad.numpy(), *(p.grad.numpy() for p in layer.parameters())]

    for found, expected in zip(run(allgrad, ours), run(torch, theirs), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)
