"""Communication hooks on 1 to 3 ranks: the checks are in programs/comm_hook.py."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.dist.conftest import Launcher


@pytest.mark.parametrize(("launcher", "ranks", "on_a_host"), [("openmpi", 2, 2), ("mpich", 3, 1)])
def test_hooks_written_for_pytorch_reduce_gradients(
    request: pytest.FixtureRequest, launcher: str, ranks: int, on_a_host: int
) -> None:
    mpi: Launcher = request.getfixturevalue(launcher)
    outcome = mpi.run(ranks, "comm_hook.py", str(ranks), env={"ALLGRAD_RANKS_PER_WINDOW": str(on_a_host)})
    assert outcome.code == 0, outcome.output
    assert outcome.output.count("done") == ranks


def test_a_world_of_one_rank_calls_no_hook(openmpi: Launcher) -> None:
    outcome = openmpi.run(1, "comm_hook.py", "1", launcher=False)
    assert outcome.code == 0, outcome.output
