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
