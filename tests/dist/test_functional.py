"""Gradients that flow between ranks: one program on 1 to 3 ranks, and what is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import allgrad as torch
from allgrad import dist

if TYPE_CHECKING:
    from tests.dist.worlds import World


@pytest.mark.parametrize("ranks", [1, 2, 3])
def test_gradients_of_collectives_are_those_of_the_sum_of_all_losses(world: World, ranks: int) -> None:
    outcome = world(ranks, "functional")
    assert outcome.code == 0, outcome.output
    for rank in range(ranks):
        assert f"rank {rank}: all_to_all" in outcome.output
        assert f"rank {rank}: a value changed by a collective is not used silently" in outcome.output


def test_a_reduction_without_a_gradient_says_so() -> None:
    x = torch.ones(2, requires_grad=True)
    with pytest.raises(NotImplementedError, match="all_gather the factors and multiply them"):
        dist.functional.all_reduce(x, "product")
    assert dist.functional.all_reduce(x.detach(), "product").tolist() == [1.0, 1.0]
    for call in (lambda: dist.functional.reduce(x, op="max"), lambda: dist.functional.reduce_scatter([x], "max")):
        with pytest.raises(NotImplementedError, match="max has no gradient here"):
            call()
