"""Optimizer state and gradients divided among ranks train as the whole ones do: the checks are in programs/sharding.py."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.dist.worlds import World


def test_divided_training_is_whole_training_and_goes_on_on_other_numbers_of_ranks(world: World) -> None:
    for ranks in (2, 4, 3, 1):
        outcome = world(ranks, "sharding")
        assert outcome.code == 0, outcome.output
        assert outcome.output.count("done") == ranks
