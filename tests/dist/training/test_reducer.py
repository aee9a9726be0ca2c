"""The reducer on 2 to 4 ranks of both MPIs: the checks are in programs/reducer.py."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.dist.conftest import Launcher


@pytest.mark.parametrize("ranks", [2, 3, 4])
def test_gradients_become_the_mean_over_ranks_while_backward_runs(mpi: Launcher, ranks: int) -> None:
    outcome = mpi.run(ranks, "reducer.py", str(ranks))
    assert outcome.code == 0, outcome.output
    assert outcome.output.count("done") == ranks


@pytest.mark.parametrize(("ranks", "on_a_host"), [(2, 1), (3, 2), (4, 2)])
def test_the_same_holds_where_ranks_share_no_memory_and_where_there_are_several_hosts(
    mpi: Launcher, ranks: int, on_a_host: int
) -> None:
    outcome = mpi.run(ranks, "reducer.py", str(ranks), env={"ALLGRAD_RANKS_PER_WINDOW": str(on_a_host)})
    assert outcome.code == 0, outcome.output
    assert outcome.output.count("done") == ranks
