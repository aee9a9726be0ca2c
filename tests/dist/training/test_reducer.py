"""The reducer on 2 to 4 ranks of both MPIs: the checks are in programs/reducer.py."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.dist.worlds import World


@pytest.mark.parametrize("ranks", [2, 3, 4])
def test_gradients_become_the_mean_over_ranks_while_backward_runs(world: World, ranks: int) -> None:
    outcome = world(ranks, "reducer")
    assert outcome.code == 0, outcome.output
    assert outcome.output.count("done") == ranks


@pytest.mark.parametrize(("ranks", "hosts"), [(2, "alone"), (3, "pairs"), (4, "pairs")])
def test_the_same_holds_where_ranks_share_no_memory_and_where_there_are_several_hosts(
    world: World, ranks: int, hosts: str
) -> None:
    outcome = world(ranks, f"reducer-{hosts}")
    assert outcome.code == 0, outcome.output
    assert outcome.output.count("done") == ranks
