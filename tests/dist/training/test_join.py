"""Uneven inputs on 1 to 4 ranks: the checks are in programs/join.py."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.dist.conftest import Launcher


@pytest.mark.parametrize(("launcher", "ranks"), [("openmpi", 2), ("mpich", 2), ("openmpi", 3), ("mpich", 4)])
def test_ranks_without_batches_take_part_until_all_have_run_out(
    request: pytest.FixtureRequest, launcher: str, ranks: int
) -> None:
    mpi: Launcher = request.getfixturevalue(launcher)
    outcome = mpi.run(ranks, "join.py", str(ranks))
    assert outcome.code == 0, outcome.output
    assert outcome.output.count("done") == ranks


def test_a_world_of_one_rank_has_nothing_to_join(openmpi: Launcher) -> None:
    outcome = openmpi.run(1, "join.py", "1", launcher=False)
    assert outcome.code == 0, outcome.output
